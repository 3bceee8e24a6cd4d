import type { Deployment } from '../deployment.ts';
import { type Database, sql } from '../storage/database.ts';

/** Remembers when keys are used, and writes it down now and then. */
export interface KeyUse {
  /** A key has just been used. Costs nothing: nobody waits for the database. */
  used(apiKeyId: string): void;
  /** Writes what is left, once. What is used after that is not written. */
  close(): Promise<void>;
}

/**
 * Of all keys together, one statement at most every `everyMs`. What could not be written is written with the next uses.
 *
 * @param everyMs @default 10_000 // 10 seconds
 */
export function createKeyUse({ db, log }: Pick<Deployment, 'db' | 'log'>, { everyMs = 10_000 } = {}): KeyUse {
  let uses = new Map<string, Date>();
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> = Promise.resolve();
  let isClosed = false;

  async function write() {
    timer = undefined;
    if (uses.size === 0) return;
    const taken = uses;
    uses = new Map();
    try {
      await writeUses(db, taken);
    } catch (err) {
      log.warn({ err }, 'When keys were used last could not be written.');
      uses = new Map([...taken, ...uses]);
      wait();
    }
  }

  function wait() {
    if (isClosed) return;
    timer ??= setTimeout(() => {
      writing = write();
    }, everyMs);
  }

  return {
    used(apiKeyId) {
      uses.set(apiKeyId, new Date());
      wait();
    },
    async close() {
      isClosed = true;
      clearTimeout(timer);
      await writing;
      await write();
    },
  };
}

/** Locked in id order, as other gateways write the same rows. The latest use stays, whoever writes last. */
async function writeUses(db: Database, uses: ReadonlyMap<string, Date>): Promise<void> {
  const [ids, times] = [[...uses.keys()], [...uses.values()].map((at) => at.toISOString())];
  await db.$executeRaw(sql`
    with used as (select * from unnest(${ids}::uuid[], ${times}::timestamptz[]) as used (id, at)),
    locked as (select id from api_keys where id = any(${ids}::uuid[]) order by id for no key update)
    update api_keys k set last_used_at = greatest(k.last_used_at, used.at)
    from locked join used on used.id = locked.id
    where k.id = locked.id
  `);
}
