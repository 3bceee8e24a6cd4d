import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type App, startApp } from '../../src/app.ts';
import { testConfig, testKeys } from '../support/app.ts';
import { type Client, createClient } from '../support/client.ts';
import { useDatabase } from '../support/database.ts';
import { type StatementCounter, startStatementCounter } from '../support/statement-counter.ts';

// What a page of users costs, in statements that PostgreSQL executes: point 4 of the first issue.

const database = useDatabase();
let counter: StatementCounter;
let app: App;
let server: Client;

beforeAll(async () => {
  counter = await startStatementCounter(database.url);
  // Without a worker, which would ask by itself.
  app = await startApp(testConfig(counter.url, { role: 'gateway' }));
  server = createClient(app.url ?? '', testKeys.serverKey);
  await makeUsers();
});
afterAll(async () => {
  await app.stop();
  await counter[Symbol.asyncDispose]();
});

/** 120 users with a name, two installations and five addresses each, all of them in both of two segments. */
async function makeUsers(): Promise<void> {
  const statements = [
    `insert into users (id, type) select uuid_v7(), 'CUSTOMER' from generate_series(1, 120)`,
    `insert into identifiers (kind, value, user_id) select 'EXTERNAL_USER_ID', 'name of ' || id, id from users`,
    `insert into installations (id, app_id, user_id, platform)
     select uuid_v7(), (select id from apps), users.id, 'WEB' from users, generate_series(1, 2)`,
    `insert into recipients (id, channel, user_id, installation_id) select uuid_v7(), 'PUSH', user_id, id from installations`,
    `insert into recipients (id, channel, user_id) select uuid_v7(), 'IN_APP', id from users`,
    `insert into recipients (id, channel, user_id, address)
     select uuid_v7(), 'EMAIL', id, id || '.' || number || '@example.com' from users, generate_series(1, 2) number`,
    `insert into segments (id, name) values (uuid_v7(), 'a'), (uuid_v7(), 'b')`,
    `insert into segment_members (segment_id, user_id) select segments.id, users.id from segments, users`,
  ];
  for (const statement of statements) await database.pool.query(statement);
}

/** The statements of an operation, without those that find out who calls. */
async function statementsOf(document: string, variables: Record<string, unknown>): Promise<string[]> {
  counter.take();
  const { body } = await server.send(document, variables);
  if (body.errors) throw new Error(`The operation failed: ${JSON.stringify(body.errors)}`);
  return counter.take().filter((statement) => !statement.includes('api_keys'));
}

const pageOfUsers = `query($first: Int!) {
  users(first: $first) {
    totalCount
    nodes {
      id
      externalUserId
      installations(first: 10) { totalCount nodes { id pushStatus user { id externalUserId } } }
      recipients(first: 10) {
        totalCount
        nodes { __typename id isReachable user { id externalUserId } ... on PushRecipient { installation { id user { id } } } }
      }
      segments(first: 10) { totalCount nodes { id memberCount } }
      mergeRecords(first: 10) { totalCount nodes { id survivor { id } } }
    }
  }
}`;

// Users, installations, recipients, segments, merge records (each with how many), externalUserId, user of each, isReachable,
// installation of a recipient, memberCount.
const statementsMax = 10;

test('a page of users with installations, recipients, segments, merge records and the user of each costs a statement a level', async () => {
  const statements = await statementsOf(pageOfUsers, { first: 20 });
  expect(statements.length, statements.join('\n')).toBeLessThanOrEqual(statementsMax);
});

test.each([5, 100])('a page of %i costs exactly as many statements as one of 20', async (first) => {
  const expected = await statementsOf(pageOfUsers, { first: 20 });
  expect(await statementsOf(pageOfUsers, { first })).toHaveLength(expected.length);
});

test('a page of users with their number is one statement', async () => {
  expect(await statementsOf('{ users(first: 20) { totalCount nodes { id type tags } } }', {})).toHaveLength(1);
});

test('who calls is one statement for all that a caller asks within a moment', async () => {
  const ask = () => server.send('{ __typename }');
  const statements = await vi.waitUntil(async () => {
    counter.take();
    await Promise.all(Array.from({ length: 20 }, ask));
    const taken = counter.take();
    return taken.length > 0 ? taken : null;
  });
  expect(statements.filter((statement) => statement.startsWith('SELECT'))).toHaveLength(1);
});

test.each([
  'installations',
  'recipients',
  'segments',
  'mergeRecords',
])('%s with their number cost one statement, for every user of a page together', async (relation) => {
  const document = `query($first: Int!) { users(first: $first) { nodes { id ${relation}(first: 3) { totalCount nodes { id } } } } }`;
  expect(await statementsOf(document, { first: 100 })).toHaveLength(2);
});

test('members of segments, and their installations, cost a statement a level', async () => {
  const document = `query($first: Int!) {
    users(first: 1) { nodes { segments { nodes { members(first: $first) { totalCount nodes { id installations { nodes { id user { id } } } } } } } } }
  }`;
  const expected = await statementsOf(document, { first: 5 });
  expect(expected.length, expected.join('\n')).toBeLessThanOrEqual(5);
  expect(await statementsOf(document, { first: 100 })).toHaveLength(expected.length);
});

test('100 nodes by id cost one statement a type', async () => {
  const { rows } = await database.pool.query<{ user: string; installation: string }>(`
    select translate(encode(convert_to('User:' || user_id, 'utf8'), 'base64'), E'\\n', '') as user,
      translate(encode(convert_to('Installation:' || id, 'utf8'), 'base64'), E'\\n', '') as installation
    from installations limit 50
  `);
  const ids = rows.flatMap(({ user, installation }) => [user, installation]);
  const statements = await statementsOf('query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }', { ids });
  expect(statements).toHaveLength(2);
});

test('custom attributes cost one statement, for every user of a page together', async () => {
  const document = 'query($first: Int!) { users(first: $first) { nodes { id customAttributes } } }';
  expect(await statementsOf(document, { first: 100 })).toHaveLength(2);
});

test('writing custom attributes costs two statements, however many, and writing none costs none', async () => {
  const names = Array.from({ length: 20 }, (_, index) => `attribute ${index}`);
  await database.pool.query(
    `insert into attribute_definitions (id, owner, name, type) select uuid_v7(), 'USER', name, 'NUMBER' from unnest($1::text[]) name`,
    [names],
  );
  const { rows } = await database.pool.query('select id from installations limit 1');
  const document = 'mutation($input: PersonalizeInput!) { personalize(input: $input) { __typename } }';
  const write = (customAttributes: object) =>
    statementsOf(document, {
      input: {
        installation: rows[0]?.id,
        userIdentity: { externalUserId: 'one of the users' },
        userAttributes: { customAttributes },
        forceDepersonalize: true,
      },
    });
  await write({});
  const without = await write({});
  expect(without.filter((statement) => statement.includes('attribute'))).toEqual(
    without.filter((statement) => statement.includes('"custom_attributes"')),
  );
  const withTwenty = await write(Object.fromEntries(names.map((name, index) => [name, index])));
  expect(withTwenty).toHaveLength(without.length + 2);
});
