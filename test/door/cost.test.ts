import { beforeAll, describe, expect, test } from 'vitest';
import { schema } from '../../src/graphql/schema.ts';
import { testKeys } from '../support/app.ts';
import { bombs } from '../support/documents.ts';
import { useDoor } from '../support/door.ts';
import { insertDeliveries, insertNotification } from '../support/log-events.ts';
import { makeApp } from '../support/make-app.ts';
import { makePerson } from '../support/people.ts';
import { createRandom } from '../support/random.ts';
import { makeQuery } from '../support/random-query.ts';
import { request } from '../support/request.ts';
import { localIdOf } from '../support/send-operations.ts';
import { subscribeBySse, subscribeByWebSocket } from '../support/subscribers.ts';

const g = useDoor();

/** Ids of what there is, as GraphQL writes arguments. */
const given: Record<string, string[]> = {};
beforeAll(async () => {
  const people = [];
  for (let count = 0; count < 4; count += 1) {
    people.push(
      await makePerson(g, {
        emails: [`p${count}@example.com`, `q${count}@example.com`],
        phones: [`+3851641971${count}`],
      }),
    );
  }
  await g.pool.query(`insert into segments (id, name) values (uuid_v7(), 'a'), (uuid_v7(), 'b')`);
  await g.pool.query(
    `insert into segment_members (segment_id, user_id) select segments.id, users.id from segments, users`,
  );
  const { rows } = await g.pool.query<{ id: string }>('select id from segments');
  const segments = rows.map(({ id }) => Buffer.from(`Segment:${id}`).toString('base64'));
  const notificationId = await insertNotification(g.pool);
  const target = {
    users: Array.from({ length: 40 }, (_, index) => ({
      by: 'identifier',
      kind: 'EXTERNAL_USER_ID',
      value: `${index}`,
    })),
    installations: [],
    segments: rows.map(({ id }) => id),
  };
  const content = { body: 'a', data: { a: [{ b: {} }, { c: {} }] } };
  await g.pool.query('update notifications set content = $1, target = $2', [content, target]);
  const notification = Buffer.from(`Notification:${notificationId}`).toString('base64');
  for (const { id } of people) await insertDeliveries(g.pool, { notificationId, userId: localIdOf(id), count: 3 });
  const ids = [notification, ...segments, ...people.flatMap(({ id, installation }) => [id, installation.id])];
  const list = (some: readonly string[]) => `ids: [${some.map((id) => JSON.stringify(id)).join(', ')}]`;
  given['Query.node'] = ids.map((id) => `id: ${JSON.stringify(id)}`);
  given['Query.nodes'] = [list(ids), list(ids.slice(0, 2)), list([...ids, ...ids, 'garbage'].slice(0, -1))];
  given['Query.user'] = people.map(({ externalUserId }) => `ref: { externalUserId: "${externalUserId}" }`);
  given['Query.notification'] = [`id: "${notification}"`];
  given['Query.segment'] = segments.map((id) => `id: "${id}"`);
  given['Query.installation'] = people.map(({ installation }) => `id: "${installation.id}"`);
});

/** An answer to the server key, with its cost. */
async function ask(
  query: string,
): Promise<{ data?: unknown; hasErrors: boolean; cost: { requested: number; actual: number } }> {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${testKeys.serverKey}` };
  const response = await fetch(`${g.url}/graphql`, { method: 'POST', headers, body: JSON.stringify({ query }) });
  const { data, errors, extensions } = JSON.parse(await response.text());
  return { data, hasErrors: errors !== undefined, cost: extensions?.cost };
}

/** Objects in an answer to a document that asks each for its type. What is JSON has none. */
function countTyped(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const own = '__typename' in value ? 1 : 0;
  return own + Object.values(value).reduce((sum: number, inner) => sum + countTyped(inner), 0);
}

test.each([
  1, 2, 3,
])('no answer holds more objects than its price allows, and each has cost what it holds (seed %i)', async (seed) => {
  const random = createRandom(seed);
  let executedCount = 0;
  let largest = 0;
  while (executedCount < 20) {
    const query = makeQuery({ schema, random, givenArguments: given });
    const { data, hasErrors, cost } = await ask(query);
    // One that is not valid, or dearer than any answer may be.
    if (data === undefined) continue;
    executedCount += 1;
    expect(cost.actual).toBeLessThanOrEqual(cost.requested);
    // What has failed is paid for whole.
    if (hasErrors) {
      expect({ query, actual: cost.actual }).toEqual({ query, actual: cost.requested });
      continue;
    }
    // The answer as a whole is none of its objects; one that is not there counts where one could have been.
    const objectCount = countTyped(data) - 1;
    const nullCount = JSON.stringify(data).split('null').length - 1;
    expect(cost.actual).toBeGreaterThanOrEqual(objectCount);
    expect(cost.actual).toBeLessThanOrEqual(Math.max(1, objectCount + nullCount));
    largest = Math.max(largest, objectCount);
  }
  expect(largest).toBeGreaterThan(10);
});

describe.each(Object.entries(bombs))('a bomb of %s', (_, query) => {
  test('is refused over HTTP, WebSocket and SSE, before anything is asked of the database', async () => {
    // Who it is, has been looked up.
    await g.server.send('{ __typename }');
    g.takeStatements();
    const refusal = [{ extensions: { code: 'OPERATION_TOO_COSTLY' } }];
    for (const secret of [testKeys.serverKey, null]) {
      const headers: Record<string, string> = secret === null ? {} : { authorization: `Bearer ${secret}` };
      const { errors, data } = await request(`${g.url}/graphql`, { body: JSON.stringify({ query }), headers });
      expect(errors).toMatchObject(refusal);
      expect(data).toBeUndefined();
      for (const subscribe of [subscribeByWebSocket, subscribeBySse]) {
        const subscriber = await subscribe(g.url, { query, secret });
        expect(await subscriber.next()).toMatchObject({ errors: refusal });
        subscriber.close();
      }
    }
    expect(g.takeStatements().filter((statement) => !statement.includes('api_keys'))).toEqual([]);
  });
});

test('a page that is too large, and an answer that is too dear, are refused before anything is asked of the database', async () => {
  await g.server.send('{ __typename }');
  g.takeStatements();
  const dear = `{ users(first: 100) { nodes { installations(first: 100) { nodes { user { recipients(first: 100) { nodes { id } } } } } } } }`;
  for (const [query, code] of [
    [dear, 'OPERATION_TOO_COSTLY'],
    ['{ users(first: 101) { nodes { id } } }', 'BAD_USER_INPUT'],
    ['{ users { nodes { installations(first: 0) { nodes { id } } } } }', 'BAD_USER_INPUT'],
  ] as const) {
    expect((await g.server.send(query)).body.errors).toMatchObject([{ extensions: { code } }]);
  }
  expect(g.takeStatements().filter((statement) => !statement.includes('api_keys'))).toEqual([]);
});

test('who is not behind a trusted proxy comes from where it comes, whatever it says: its registrations fill one bucket', async () => {
  const { secret } = await makeApp(g);
  let networks = 0;
  const ask = async (query: string) => {
    networks += 1;
    const from = `198.51.${networks}.1`;
    const headers = { 'x-forwarded-for': from, forwarded: `for=${from}`, 'x-real-ip': from, 'cf-connecting-ip': from };
    const authorization = `Bearer ${secret}`;
    const init = { method: 'POST', headers: { ...headers, authorization, 'content-type': 'application/json' } };
    const response = await fetch(`${g.url}/graphql`, { ...init, body: JSON.stringify({ query }) });
    return { status: response.status, ...JSON.parse(await response.text()) };
  };
  const registration = 'mutation { registerInstallation(input: { platform: WEB }) { __typename } }';
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask(registration)));
  for (const answer of answers) {
    expect(answer).toMatchObject({ status: 200, extensions: { cost: { requested: 11, actual: 11 } } });
  }
  const remaining = answers.map(({ extensions }) => extensions.cost.throttle.remaining);
  expect(Math.min(...remaining)).toBeLessThan(50_000 - 5 * 11);

  const introspections = Array.from({ length: 9 }, (_, index) => `s${index}: __schema { __typename }`);
  const statuses = [];
  for (let count = 0; count < 70; count += 1) statuses.push((await ask(`{ ${introspections.join(' ')} }`)).status);
  expect(statuses).toContain(429);
});

test('work that fails is paid for whole, and looking for what is not there is work', async () => {
  const missing = Array.from(
    { length: 20 },
    (_, index) => `a${index}: user(ref: { email: "nobody${index}@example.com" }) { id }`,
  );
  expect((await ask(`{ ${missing.join(' ')} }`)).cost).toMatchObject({ requested: 20, actual: 20 });
  const failing = await ask('{ users(first: 50) { nodes { id } } user(ref: { email: "none" }) { id } }');
  expect(failing).toMatchObject({ hasErrors: true, cost: { requested: 52, actual: 52 } });
  expect((await ask('{ __typename }')).cost).toMatchObject({ requested: 1, actual: 1 });
});

test('variables that are not declared are not looked at, however many there are', async () => {
  const variables = Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`v${index}`, '\0']));
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${testKeys.serverKey}` };
  const body = JSON.stringify({ query: '{ __typename }', variables });
  const response = await fetch(`${g.url}/graphql`, { method: 'POST', headers, body });
  expect(await response.json()).toMatchObject({ data: { __typename: 'Query' } });
});
