import { isDeepStrictEqual } from 'node:util';
import DataLoader from 'dataloader';
import type { Caller } from '../apps/caller.ts';
import { findCallerAgain } from '../apps/find-caller.ts';
import type { Database } from '../storage/database.ts';
import type { Access } from '../stream/hub/gate.ts';
import type { Context, Grant } from './context.ts';
import { Loaders } from './loaders.ts';
import { refuseCaller } from './refuse-caller.ts';

/**
 * By what right the caller reads a stream: as long as its key or token is in force, the operation is registered as it was, if
 * it was, and `mayRead`, asked anew with fresh loaders, says yes. What it is told when that ends: `UNAUTHENTICATED`, or `FORBIDDEN`.
 *
 * @throws GraphQLError `UNAUTHENTICATED` for nobody.
 */
export function readAccess(context: Context, mayRead: (now: Context) => Promise<boolean> = async () => true): Access {
  // Without what was loaded: this lasts as long as the stream.
  const { loaders: _, ...lasting } = context;
  const { caller, db, operation } = lasting;
  if (!caller) throw refuseCaller(caller);
  return {
    subjectId: caller.subjectId,
    expiresAt: caller.kind === 'INSTALLATION' ? caller.expiresAt : null,
    async findRefusal() {
      const now = await callersNow(db).load(caller);
      if (!now || (now.kind === 'INSTALLATION' && now.isExpired)) return refuseCaller(null);
      if (operation && !(await isStillGranted(db, operation))) return refuseCaller(now);
      return (await mayRead({ ...lasting, caller: now, loaders: new Loaders(db) })) ? null : refuseCaller(now);
    },
  };
}

/** Whether an operation is registered, and as it was. Of one that is registered with other rights, a stream begins anew. */
async function isStillGranted(db: Database, grant: Grant): Promise<boolean> {
  const now = await db.registeredOperation.findUnique({ where: { id: grant.id } });
  return (
    now !== null &&
    now.scopeAppId === grant.scopeAppId &&
    now.scopeSegmentId === grant.scopeSegmentId &&
    isDeepStrictEqual(now.pinnedVariables, grant.pinnedVariables)
  );
}

type CallersNow = DataLoader<Caller, Caller | null>;

const callersNowOf = new WeakMap<Database, CallersNow>();

/**
 * Who callers are by now. Thousands of streams may be opened with one key, and end with it: whoever asks in the same turn
 * is answered by one look. Nothing is kept, as an answer from before a change would be wrong after it.
 */
function callersNow(db: Database): CallersNow {
  const known = callersNowOf.get(db) ?? new DataLoader((callers) => findAll(db, callers), { cache: false });
  callersNowOf.set(db, known);
  return known;
}

async function findAll(db: Database, callers: readonly Caller[]): Promise<(Caller | null)[]> {
  const looks = new Map<string, Promise<Caller | null>>();
  return Promise.all(
    callers.map((caller) => {
      const name = Buffer.from(caller.secretHash).toString('hex');
      const look = looks.get(name) ?? findCallerAgain(db, caller);
      looks.set(name, look);
      return look;
    }),
  );
}
