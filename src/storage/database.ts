import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import { Prisma, PrismaClient } from '../generated/prisma/client.ts';

/**
 * The Prisma client over one pool, for what is read: sets by SQL through `$queryRaw`, rows by their model. What is written is
 * written by SQL in a transaction of that pool (`inTransaction`), since a write is many small statements and Prisma's share of
 * each is larger than the statement.
 */
export type Database = PrismaClient & { readonly pool: pg.Pool };

/** A database inside an open transaction. Its statements are prepared once a connection. */
export interface Transaction {
  /** Rows as SQL names them. `Rows` is the caller's word for what the statement selects. */
  $queryRaw<Rows>(statement: Sql): Promise<Rows>;
  /** How many rows were changed. */
  $executeRaw(statement: Sql): Promise<number>;
}

/** Tagged SQL with parameters, for `$queryRaw` and for `pg`. */
export const sql = Prisma.sql;
export type Sql = Prisma.Sql;

/** One connection pool and the Prisma client that draws from it. Graphile Worker draws from it too. */
export interface Storage {
  db: Database;
  pool: pg.Pool;
  close(): Promise<void>;
}

/**
 * Opens a pool (`connectionsMax` connections, default 10; made on demand) and a Prisma client over it.
 * A connection that idles inside a transaction for 60 s is ended by the server, so that a frozen process cannot hold
 * the event log's lock.
 */
export function openStorage(connectionString: string, { connectionsMax = 10 } = {}): Storage {
  const pool = new pg.Pool({
    connectionString,
    max: connectionsMax,
    connectionTimeoutMillis: 10_000,
    idle_in_transaction_session_timeout: 60_000,
    application_name: 'carillon',
  });
  // An idle connection that breaks is replaced on the next use; without a listener it would end the process.
  pool.on('error', () => undefined);
  // The same for a connection that is in use: its query fails, and that tells its user.
  pool.on('connect', (client) => client.on('error', () => undefined));
  const db = new PrismaClient({ adapter: new PrismaPg(pool) });
  return {
    db: Object.assign(db, { pool }),
    pool,
    async close() {
      await db.$disconnect();
      if (!pool.ended) await pool.end();
    },
  };
}

/** How long a probe waits for the database. @default 2_000 // 2 seconds */
const probeMs = 2_000;

/**
 * A pool of two connections for who looks after the program: it is not kept waiting by work that has taken all the others, and
 * each of its statements fails after 2 seconds.
 */
export function openProbePool(connectionString: string): pg.Pool {
  const pool = new pg.Pool({
    connectionString,
    max: 2,
    connectionTimeoutMillis: probeMs,
    query_timeout: probeMs,
    statement_timeout: probeMs,
    application_name: 'carillon probe',
  });
  // As above.
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}

/**
 * A row as SQL names it (`user_id`) with the model's names (`userId`). `Row` is the caller's word for what the statement
 * selects, as it is with `$queryRaw<Row[]>`.
 */
export function camelCaseKeys<Row>(row: object): Row {
  return Object.fromEntries(Object.entries(row).map(([key, value]): readonly unknown[] => [toCamelCase(key), value]));
}

function toCamelCase(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** A row as it will be: what is given of `changes`; undefined leaves a value alone. */
export function withChanges<Row extends object>(row: Row, changes: Partial<Row>): Row {
  return { ...row, ...Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined)) };
}
