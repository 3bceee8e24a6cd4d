import { createHash } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import pg from 'pg';
import type { Database, Sql, Transaction } from './database.ts';

const attemptsMax = 20;

/**
 * Runs `body` in one transaction (read committed) and repeats it when another transaction got in its way: a deadlock, a
 * serialization failure, or two writers of one unique key. `body` must therefore do nothing but database work.
 * Gives up, with the last error, after 20 attempts.
 *
 * @param plans whether PostgreSQL may plan a statement anew for its values. GENERIC, one plan for all values, is for statements
 * that look up what they name by its key: planning them takes longer than running them. Not for what reads a page of many. ONCE,
 * for what is made of a caller's filter: nothing is prepared, as a connection would keep each of the many texts for good.
 */
export async function inTransaction<T>(
  { pool }: Pick<Database, 'pool'>,
  body: (tx: Transaction) => Promise<T>,
  plans: Plans = 'FITTED',
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await runOnce(pool, body, plans);
    } catch (error) {
      if (attempt >= attemptsMax || !isConflict(error)) throw error;
      // Whoever was in the way is given time to finish, and not everybody comes back at once.
      await setTimeout(Math.random() * Math.min(200, 2 ** attempt));
    }
  }
}

type Plans = 'FITTED' | 'GENERIC' | 'ONCE';
const beginWith: Record<Plans, string> = {
  FITTED: 'begin',
  GENERIC: 'begin; set local plan_cache_mode = force_generic_plan',
  ONCE: 'begin',
};

async function runOnce<T>(pool: pg.Pool, body: (tx: Transaction) => Promise<T>, plans: Plans): Promise<T> {
  const client = await pool.connect();
  let isUsable = false;
  try {
    await client.query(beginWith[plans]);
    const result = await body(toTransaction(client, plans === 'ONCE' ? toQuery : toNamedQuery));
    await client.query('commit');
    isUsable = true;
    return result;
  } catch (error) {
    isUsable = (await rollBack(client)) && !isStalePlan(error);
    throw error;
  } finally {
    // A connection that may still be in the transaction, or that has plans of an older schema, is not used again.
    client.release(!isUsable);
  }
}

/** @returns false when the connection is broken: then its end has rolled back. */
async function rollBack(client: pg.PoolClient): Promise<boolean> {
  try {
    await client.query('rollback');
    return true;
  } catch {
    return false;
  }
}

/** What `pg` leaves untyped: whoever asks says what it is. */
type Untyped = pg.QueryResult['rows'][number];

function toTransaction(client: pg.PoolClient, toConfig: (statement: Sql) => pg.QueryConfig): Transaction {
  return {
    async $queryRaw(statement) {
      const { rows }: Untyped = await client.query(toConfig(statement));
      return rows;
    },
    async $executeRaw(statement) {
      const { rowCount } = await client.query(toConfig(statement));
      return rowCount ?? 0;
    },
  };
}

/** Of statements by their text. A program has a few hundred. */
const names = new LRUCache<string, string>({ max: 2_000 });

/** The statement as `pg` prepares it, once a connection. */
function toNamedQuery(statement: Sql): pg.QueryConfig {
  const { text } = statement;
  const name = names.get(text) ?? createHash('sha256').update(text).digest('base64url');
  names.set(text, name);
  return { name, ...toQuery(statement) };
}

const toQuery = ({ text, values }: Sql): pg.QueryConfig => ({ text, values, types });

/** A day has no zone: `pg` would make it a midnight of this machine's. */
const types: pg.CustomTypesConfig = {
  getTypeParser: (oid, format) =>
    oid === pg.types.builtins.DATE
      ? (text: string) => new Date(`${text}T00:00:00Z`)
      : pg.types.getTypeParser(oid, format),
};

/** Throw inside a transaction to have it repeated: what was read is no longer so. */
export class StaleReadError extends Error {
  override readonly name = 'StaleReadError';
}

// 40001 serialization_failure, 40P01 deadlock_detected, 23505 unique_violation.
const conflictCodes = new Set(['40001', '40P01', '23505']);

function isConflict(error: unknown): boolean {
  if (error instanceof StaleReadError || isStalePlan(error)) return true;
  return error instanceof pg.DatabaseError && conflictCodes.has(error.code ?? '');
}

/** 0A000: a table has other columns than when the statement was prepared, as another version has migrated it. */
function isStalePlan(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === '0A000' && /cached plan/.test(error.message);
}
