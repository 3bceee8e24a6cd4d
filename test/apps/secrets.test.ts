import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openStorage, type Storage } from '../../src/storage/database.ts';
import { testKeys } from '../support/app.ts';
import { type Client, createClient } from '../support/client.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { makeInstallation, makeNotification, makeUser, personalize, settledDeliveries } from '../support/operations.ts';
import { type ReadyProgram, startProgram } from '../support/program.ts';

// What a person gives away by using the program: what its database and its log may know of that. A process of its own, so
// that its whole log is read.

const fcmToken = `fcm-${randomUUID()}`;
const secrets = {
  externalUserId: `secret-${randomUUID()}`,
  email: `${randomUUID()}@example.com`,
  phone: '+31612345678',
  firstName: `Ann-${randomUUID()}`,
};

let database: TestDatabase;
let storage: Storage;
let program: ReadyProgram;
let server: Client;
let app: Client;
let token: string;

beforeAll(async () => {
  database = await createTestDatabase();
  storage = openStorage(database.url);
  program = await startProgram({
    DATABASE_URL: database.url,
    DATA_ENCRYPTION_KEY: randomBytes(32).toString('base64'),
    SERVER_KEY: testKeys.serverKey,
    APP_KEY: testKeys.appKey,
    NODE_ENV: 'production',
    ALLOW_OUTBOX: '1',
  });
  server = createClient(program.url, testKeys.serverKey);
  app = createClient(program.url, testKeys.appKey);
  const installation = await makeInstallation(app, { platform: 'ANDROID', address: { fcm: { token: fcmToken } } });
  token = installation.token;
  await makeUser(server, {
    installation: installation.pushRegistrationId,
    userIdentity: { externalUserId: secrets.externalUserId, emails: [secrets.email], phones: [secrets.phone] },
    userAttributes: { firstName: secrets.firstName },
    idempotencyKey: randomUUID(),
  });
});
afterAll(async () => {
  await program[Symbol.asyncDispose]();
  await storage.close();
  await database.drop();
});

/** Every row of every table, as text; bytes as text too, where they are one. */
async function dump(): Promise<string> {
  const { rows: tables } = await storage.pool.query<{ name: string }>(
    `select format('%I.%I', table_schema, table_name) as name from information_schema.tables
     where table_schema in ('public', 'graphile_worker') and table_type = 'BASE TABLE'`,
  );
  const texts = await Promise.all(
    tables.map(async ({ name }) => {
      const { rows } = await storage.pool.query(`select * from ${name}`);
      return JSON.stringify(rows, (_, value: unknown) => {
        const isBuffer = typeof value === 'object' && value !== null && 'type' in value && value.type === 'Buffer';
        return isBuffer && 'data' in value && Array.isArray(value.data)
          ? `${Buffer.from(value.data).toString('latin1')} ${Buffer.from(value.data).toString('hex')}`
          : value;
      });
    }),
  );
  return texts.join('\n');
}

test('the database holds keys and tokens as hashes only, and addresses of installations encrypted', async () => {
  const everything = await dump();
  // What is looked for would be found.
  expect(everything).toContain(secrets.email);
  for (const secret of [testKeys.serverKey, testKeys.appKey, token, fcmToken]) {
    expect(everything).not.toContain(secret);
    expect(everything).not.toContain(Buffer.from(secret).toString('hex'));
  }
});

test('an address is encrypted anew each time: equal ones look different', async () => {
  const cipherOf = async () =>
    (
      await storage.pool.query<{ cipher: string }>(
        `select encode(address_cipher, 'hex') as cipher from installations where address_hash is not null`,
      )
    ).rows;
  const before = await cipherOf();
  await makeInstallation(app.as(token), { platform: 'ANDROID', address: { fcm: { token: fcmToken } } });
  const after = await cipherOf();
  expect(after).toHaveLength(before.length);
  expect(after).not.toEqual(before);
});

/** Makes the database refuse what follows, in a way that tells it the values. */
async function refusing(table: string, work: () => Promise<unknown>): Promise<void> {
  await storage.pool.query(`alter table ${table} add constraint no_more check (false) not valid`);
  try {
    await work();
  } finally {
    await storage.pool.query(`alter table ${table} drop constraint no_more`);
  }
}

test('no identifier, address, name or token comes into the log, not even when the database refuses the row', async () => {
  const fresh = {
    externalUserId: `fresh-${randomUUID()}`,
    email: `${randomUUID()}@example.com`,
    phone: '+31687654321',
    firstName: `Bob-${randomUUID()}`,
    fcm: `fcm-${randomUUID()}`,
  };
  const { id } = await makeInstallation(app);
  const input = {
    installation: id,
    userIdentity: { externalUserId: fresh.externalUserId, emails: [fresh.email], phones: [fresh.phone] },
    userAttributes: { firstName: fresh.firstName },
  };
  const register = () =>
    makeInstallation(app.as(token), { platform: 'ANDROID', address: { fcm: { token: fresh.fcm } } });
  for (const [table, act] of [
    ['identifiers', () => personalize(server, input)],
    ['recipients', () => personalize(server, input)],
    ['users', () => personalize(server, input)],
    ['installations', register],
  ] as const) {
    await refusing(table, () => expect(act()).rejects.toThrow('INTERNAL_SERVER_ERROR'));
  }
  await makeUser(server, input);
  const notification = await makeNotification(server, {
    content: { title: fresh.firstName, body: fresh.firstName },
    target: { users: [{ externalUserId: fresh.externalUserId }] },
  });
  await settledDeliveries(server, notification);
  await server.send('{ user(ref: { email: "no address at all" }) { id } }');
  const log = program.stdout() + program.stderr();
  expect(log).toContain('An operation failed.');
  for (const secret of [
    ...Object.values(secrets),
    ...Object.values(fresh),
    fcmToken,
    token,
    ...Object.values(testKeys),
  ]) {
    expect(log).not.toContain(secret);
  }
});
