import pg from 'pg';

/** Runs one statement on a connection of its own. */
export async function executeStatement(url: string, statement: string): Promise<void> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

/** The same server, another database. */
export function withDatabase(url: string, database: string): string {
  const changed = new URL(url);
  changed.pathname = database;
  return changed.href;
}

/** Says of a database that `dropDatabases` is to leave it. */
export function keepDatabase(url: string, name: string): Promise<void> {
  return executeStatement(url, `comment on database ${name} is 'kept'`);
}

/** Drops the databases whose names begin with `prefix`, but for those that are kept. */
export async function dropDatabases(url: string, prefix: string): Promise<void> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    const { rows } = await client.query<{ name: string }>(
      `select datname as name from pg_database
       where starts_with(datname, $1) and shobj_description(oid, 'pg_database') is distinct from 'kept'`,
      [prefix],
    );
    for (const { name } of rows) await client.query(`drop database if exists ${name} with (force)`);
  } finally {
    await client.end();
  }
}
