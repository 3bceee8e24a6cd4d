import { createServer, type Server } from 'node:net';
import pg from 'pg';
import { expect, test } from 'vitest';
import { explainDatabaseError } from '../../src/storage/explain-database-error.ts';
import { findFreePort } from '../../src/storage/free-port.ts';
import { createTestDatabase } from '../support/database.ts';

/** What an operator reads when `url` cannot be connected to. */
async function explain(url: string): Promise<string> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  try {
    await client.connect();
  } catch (error) {
    return explainDatabaseError(error, url).message;
  } finally {
    await client.end();
  }
  throw new Error('The connection was made.');
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return typeof address === 'object' && address ? address.port : 0;
}

test('nothing listens', async () => {
  const port = await findFreePort();
  expect(await explain(`postgresql://ann:hunter2@127.0.0.1:${port}/carillon`)).toBe(
    `The database of DATABASE_URL cannot be used: nothing accepts connections at 127.0.0.1:${port}; is PostgreSQL running there?`,
  );
});

test('no such host', async () => {
  // .invalid never resolves (RFC 2606); without any name server the look-up fails otherwise.
  expect(await explain('postgresql://ann:hunter2@db.invalid/carillon')).toMatch(
    /^The database of DATABASE_URL cannot be used: (there is no host named "db.invalid"|the host "db.invalid" could not be looked up)\.$/,
  );
});

test('no such database', async () => {
  const database = await createTestDatabase({ migrated: false });
  await database.drop();
  expect(await explain(database.url)).toBe(
    `The database of DATABASE_URL cannot be used: there is no database "${database.name}"; create it first.`,
  );
});

test('something that is not PostgreSQL', async () => {
  const server = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  const port = await listen(server);
  const message = await explain(`postgresql://ann:hunter2@127.0.0.1:${port}/carillon`);
  expect(message).toMatch(/^The database of DATABASE_URL cannot be used: .*127\.0\.0\.1:\d+.*\.?$/);
  expect(message).not.toContain('hunter2');
  server.close();
});

test.each([
  ['28P01', 'the password of user "ann" is wrong.'],
  ['28000', 'db.example.com:5432 does not let user "ann" in.'],
  ['53300', 'db.example.com:5432 has no free connection.'],
  ['57P03', 'db.example.com:5432 is starting up or shutting down; try again.'],
])('PostgreSQL answers %s', (code, reason) => {
  const error = new pg.DatabaseError('…', 1, 'error');
  error.code = code;
  expect(explainDatabaseError(error, 'postgresql://ann:hunter2@db.example.com/carillon').message).toBe(
    `The database of DATABASE_URL cannot be used: ${reason}`,
  );
});
