import type pg from 'pg';
import { z } from 'zod';
import type { AttributeDefinition } from '../attributes/attribute-definition.ts';
import { listAttributeDefinitions } from '../attributes/attribute-definition.ts';
import type { Logger } from '../logger.ts';
import { addJob, type Job } from '../queue/job.ts';
import { type Database, sql, type Transaction } from '../storage/database.ts';

// Equality is served by one index over all attributes. Ranges, and lists and beginnings of texts, want an index of their own for
// each attribute: it is made when a saved segment compares by it so, and goes when none does any more, or with the attribute.
// While there is none, the filter is right all the same.

/** Operators that an attribute's own index serves. */
const rangeOperators = ['gt', 'gte', 'lt', 'lte', 'in', 'startsWith', 'withinLast'] as const;

/** Any of them in a condition of a stored filter on an attribute of users. Strict, as else those of installations are, too. */
const rangeConditions = `strict $.**.attribute ? (@.type() == "object" && (${rangeOperators.map((name) => `exists(@.${name})`).join(' || ')}))`;

const prefix = 'users_attribute_';
/** Of what it is made, so that one of an older version, which knew whole texts, goes. */
const suffix = '_256';

/** Name of the index of an attribute: of a definition, as a name that is defined again may have another type. */
const indexName = ({ id }: Pick<AttributeDefinition, 'id'>) => `${prefix}${id.replaceAll('-', '')}${suffix}`;

/** What a worker keeps indexes with. */
export interface IndexWork {
  db: Database;
  pool: Pick<pg.Pool, 'connect'>;
  log: Logger;
  /** Aborts when the process stops: what is being made is left to the database. */
  signal: AbortSignal;
}

/** Sees to the indexes after a segment was written. */
export const attributeIndexesJob: Job<IndexWork, Record<string, never>> = {
  name: 'attribute-indexes',
  payload: z.strictObject({}),
  run: keepAttributeIndexes,
};

/** In the transaction that writes a dynamic segment. */
export const addAttributeIndexesJob = (tx: Transaction): Promise<void> =>
  addJob(tx, attributeIndexesJob, {}, { key: 'attribute indexes' });

/**
 * Makes the indexes that segments want and drops those that none wants, without keeping a writer waiting. Safe in every worker at
 * once: one does it. What a crash has left half made is made anew.
 */
export async function keepAttributeIndexes({ db, pool, log, signal }: IndexWork): Promise<void> {
  const client = await pool.connect();
  // A stop may come while one waits for the connection, too.
  if (signal.aborted) return client.release();
  const cutOff = () => client.release(true);
  signal.addEventListener('abort', cutOff, { once: true });
  try {
    let done: string | null;
    do {
      done = await withLock(client, async () => {
        const wanted = await listWanted(db);
        await reconcile({ client, wanted, log });
        return namesOf(wanted);
      });
      // Who came meanwhile, for a segment that was written meanwhile, has found the lock taken, and has left it to this one.
    } while (done !== null && done !== namesOf(await listWanted(db)));
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    signal.removeEventListener('abort', cutOff);
    if (!signal.aborted) client.release();
  }
}

const namesOf = (wanted: readonly AttributeDefinition[]): string => wanted.map(indexName).sort().join();

/** Null: somebody else is at it. Of the session, not of a transaction: an index that is made concurrently takes part in none. */
async function withLock(client: pg.PoolClient, work: () => Promise<string>): Promise<string | null> {
  const { rows } = await client.query<{ is_mine: boolean }>(
    sql`select pg_try_advisory_lock(hashtextextended('carillon attribute indexes', 0)) as is_mine`,
  );
  if (!rows[0]?.is_mine) return null;
  try {
    return await work();
  } finally {
    await client.query(sql`select pg_advisory_unlock(hashtextextended('carillon attribute indexes', 0))`);
  }
}

interface Reconciliation {
  client: pg.PoolClient;
  wanted: readonly AttributeDefinition[];
  log: Logger;
}

async function reconcile({ client, wanted, log }: Reconciliation): Promise<void> {
  const { rows: present } = await client.query<{ name: string; is_valid: boolean }>(sql`
    select c.relname as name, i.indisvalid as is_valid
    from pg_index i join pg_class c on c.oid = i.indexrelid
    where i.indrelid = 'users'::regclass and starts_with(c.relname, ${prefix})
  `);
  const names = new Set(wanted.map(indexName));
  const standing = new Set(
    present.filter(({ name, is_valid: isValid }) => isValid && names.has(name)).map(({ name }) => name),
  );
  for (const { name } of present.filter((index) => !standing.has(index.name))) {
    await client.query(`drop index concurrently if exists ${client.escapeIdentifier(name)}`);
    log.info({ index: name }, 'An index of an attribute is dropped');
  }
  const missing = wanted.filter((definition) => !standing.has(indexName(definition)));
  for (const definition of missing) {
    const [name, attribute] = [client.escapeIdentifier(indexName(definition)), client.escapeLiteral(definition.name)];
    const value =
      definition.type === 'NUMBER'
        ? `attribute_number(custom_attributes, ${attribute})`
        : `attribute_beginning(custom_attributes, ${attribute}) collate "C"`;
    await client.query(
      `create index concurrently ${name} on users ((${value}), id) where custom_attributes ? ${attribute}`,
    );
    log.info({ index: indexName(definition) }, 'An index of an attribute is made');
  }
  // So that the planner knows what is in them.
  if (missing.length > 0) await client.query('analyze users');
}

/** The attributes by which saved segments compare so, with types that have an order. */
async function listWanted(db: Database): Promise<AttributeDefinition[]> {
  const rows = await db.$queryRaw<{ name: string }[]>(sql`
    select distinct condition ->> 'name' as name
    from segments, jsonb_path_query(filter, ${rangeConditions}::jsonpath) as condition
    where filter is not null
  `);
  const names = new Set(rows.map(({ name }) => z.string().parse(name)));
  const definitions = await listAttributeDefinitions(db, 'USER');
  return definitions.filter(({ name, type }) => names.has(name) && type !== 'BOOLEAN' && type !== 'OBJECT_LIST');
}
