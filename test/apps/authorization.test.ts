import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { newSecret } from '../../src/apps/api-key.ts';
import { newEmail, newPhone } from '../support/addresses.ts';
import { useApp } from '../support/app.ts';
import type { Client, RawAnswer } from '../support/client.ts';
import { findProfile, makePerson, mergeUsers } from '../support/people.ts';

const g = useApp();

const addresses = { emails: [newEmail()], phones: [newPhone()] };
let ann: Awaited<ReturnType<typeof makePerson>>;
let bob: Awaited<ReturnType<typeof makePerson>>;
/** Ann's phone. */
let own: Client;

beforeAll(async () => {
  ann = await makePerson(g, addresses);
  bob = await makePerson(g, { emails: [newEmail()], phones: [newPhone()] });
  await makePerson(g);
  own = g.app.as(ann.token);
});

const codesOf = ({ body }: RawAnswer) => body.errors?.map(({ extensions }) => extensions.code);

/** Everything of a user that has an id, by a caller who may see it. */
async function idsOf(user: string): Promise<string[]> {
  const { body } = await g.server.send(
    `query($user: ID!) { user(ref: { id: $user }) { id recipients { nodes { id } } installations { nodes { id } } } }`,
    { user },
  );
  return [...JSON.stringify(body).matchAll(/"id":"([^"]+)"/g)].map(([, id = '']) => id);
}

const read = async (client: Client, ids: string[]): Promise<unknown> =>
  (await client.send('query($ids: [ID!]!) { nodes(ids: $ids) { id } }', { ids })).body;

describe('an installation', () => {
  test.each([
    ['id', () => ({ id: ann.id })],
    ['externalUserId', () => ({ externalUserId: ann.externalUserId })],
    ['e-mail', () => ({ email: addresses.emails[0] ?? '' })],
    ['phone', () => ({ phone: addresses.phones[0] ?? '' })],
    ['pushRegistrationId', () => ({ pushRegistrationId: ann.installation.pushRegistrationId })],
  ])('sees its own user by %s', async (_, ref) => {
    expect(await findProfile(own, ref())).toMatchObject({ id: ann.id, ...addresses });
  });

  test('sees its own objects as nodes', async () => {
    const ids = await idsOf(ann.id);
    expect(ids).toHaveLength(6);
    expect(await read(own, ids)).toEqual({ data: { nodes: ids.map((id) => ({ id })) } });
  });

  test('cannot tell somebody else’s objects from ones that do not exist', async () => {
    const ids = await idsOf(bob.id);
    expect(ids).toHaveLength(6);
    const missing = ids.map((id) => {
      const [type] = Buffer.from(id, 'base64').toString().split(':');
      return Buffer.from(`${type}:${randomUUID()}`).toString('base64');
    });
    const answer = await read(own, ids);
    expect(answer).toEqual({ data: { nodes: ids.map(() => null) } });
    expect(await read(own, missing)).toEqual(answer);
  });

  test.each([
    ['user', (id: string) => `{ user(ref: { id: "${id}" }) { id } }`, () => bob.id],
    [
      'user by externalUserId',
      (id: string) => `{ user(ref: { externalUserId: "${id}" }) { id } }`,
      () => bob.externalUserId,
    ],
    [
      'user by installation',
      (id: string) => `{ user(ref: { pushRegistrationId: "${id}" }) { id } }`,
      () => bob.installation.pushRegistrationId,
    ],
    ['installation', (id: string) => `{ installation(id: "${id}") { id } }`, () => bob.installation.pushRegistrationId],
  ])('cannot tell somebody else’s from a missing one: %s', async (_, document, others) => {
    const answer = await own.send(document(others()));
    expect(Object.values(Object(answer.body.data))).toEqual([null]);
    expect((await own.send(document(randomUUID()))).body).toEqual(answer.body);
  });

  test('lists no users, no segments and no merge records', async () => {
    for (const document of [
      '{ users { nodes { id } } }',
      '{ segment(id: "a") { id } }',
      `{ user(ref: { id: "${ann.id}" }) { segments { nodes { id } } } }`,
      `{ user(ref: { id: "${ann.id}" }) { mergeRecords { nodes { id } } } }`,
    ]) {
      expect(codesOf(await own.send(document))).toEqual(['FORBIDDEN']);
    }
  });

  test('makes and changes no segment', async () => {
    for (const document of [
      'mutation { createSegment(input: { name: "a" }) { __typename } }',
      'mutation { addToSegment(input: { segment: "a", users: [] }) { __typename } }',
      'mutation { removeFromSegment(input: { segment: "a", users: [] }) { __typename } }',
    ]) {
      expect(codesOf(await own.send(document))).toEqual(['FORBIDDEN']);
    }
  });

  test('sees neither a segment nor a merge record as a node', async () => {
    const name = randomUUID();
    const made = await g.server.send(
      `mutation { createSegment(input: { name: "${name}" }) { ... on CreateSegmentPayload { segment { id } } } }`,
    );
    const segment = /"id":"([^"]+)"/.exec(JSON.stringify(made.body))?.[1] ?? '';
    const merge = await mergeUsers(g.server, {
      survivor: { id: (await makePerson(g)).id },
      merged: { id: (await makePerson(g)).id },
      allowAlias: true,
    });
    const record = merge?.__typename === 'MergeUsersPayload' ? (merge.mergeRecord?.id ?? '') : '';
    expect(await read(g.server, [segment, record])).toEqual({ data: { nodes: [{ id: segment }, { id: record }] } });
    expect(await read(own, [segment, record])).toEqual({ data: { nodes: [null, null] } });
  });

  test('goes on seeing its user after a merge, by the old id too', async () => {
    const [survivor, merged] = [await makePerson(g), await makePerson(g)];
    const before = await idsOf(merged.id);
    await mergeUsers(g.server, { survivor: { id: survivor.id }, merged: { id: merged.id }, allowAlias: true });
    const client = g.app.as(merged.token);
    expect(await findProfile(client, { id: merged.id })).toMatchObject({ id: survivor.id });
    const { body } = await client.send('query($ids: [ID!]!) { nodes(ids: $ids) { id } }', { ids: before });
    expect(JSON.stringify(body)).not.toContain('errors');
    expect(body.data).toMatchObject({ nodes: before.map(() => ({ id: expect.any(String) })) });
  });
});

describe('a publishable key', () => {
  test('reads its app and nothing of any user', async () => {
    expect((await g.app.send('{ app { name } }')).body).toMatchObject({ data: { app: { name: 'default' } } });
    for (const document of [
      `{ user(ref: { id: "${ann.id}" }) { id } }`,
      `{ installation(id: "${ann.installation.pushRegistrationId}") { id } }`,
      '{ users { nodes { id } } }',
      'mutation { depersonalize(input: {}) { __typename } }',
    ]) {
      expect(codesOf(await g.app.send(document))).toEqual(['FORBIDDEN']);
    }
    expect(await read(g.app, await idsOf(ann.id))).toEqual({ data: { nodes: Array(6).fill(null) } });
  });
});

describe('nobody', () => {
  test('is told to authenticate, whatever it asks', async () => {
    for (const document of [
      '{ app { name } }',
      `{ user(ref: { id: "${ann.id}" }) { id } }`,
      '{ installation { id } }',
      '{ users { nodes { id } } }',
      'mutation { registerInstallation(input: { platform: WEB }) { __typename } }',
      'mutation { depersonalize(input: {}) { __typename } }',
      'mutation { createSegment(input: { name: "a" }) { __typename } }',
    ]) {
      expect(codesOf(await g.nobody.send(document))).toEqual(['UNAUTHENTICATED']);
    }
    expect(await read(g.nobody, await idsOf(ann.id))).toEqual({ data: { nodes: Array(6).fill(null) } });
  });

  test.each([
    ['a wrong key', newSecret('SERVER')],
    ['a wrong token', newSecret('INSTALLATION')],
    ['a revoked key', 'revoked'],
    ['no key', ''],
    ['a NUL', 'a%00b'],
    ['something very long', 'x'.repeat(5_000)],
  ])('with %s gets HTTP 401 and no more', async (_, secret) => {
    await g.pool.query(
      `insert into api_keys (id, kind, name, secret_hash, revoked_at) values (gen_random_uuid(), 'SERVER', 'old', sha256('revoked'), now())
       on conflict (secret_hash) do nothing`,
    );
    const { status, body } = await g.server.as(secret).send('{ app { name } }');
    expect(status).toBe(401);
    expect(body).toEqual({ errors: [{ message: expect.any(String), extensions: { code: 'UNAUTHENTICATED' } }] });
  });
});

test.each([
  'nonsense',
  '',
  Buffer.from('User:nonsense').toString('base64'),
  Buffer.from('User:').toString('base64'),
  Buffer.from(`Nothing:${randomUUID()}`).toString('base64'),
  Buffer.from(`App:${randomUUID()}`).toString('base64'),
  Buffer.from(`User:${randomUUID()}:more`).toString('base64'),
  randomUUID(),
])('a node id that is none is null or a bad input, and no fault of the server: %j', async (id) => {
  const { status, body } = await g.server.send('query($id: ID!) { node(id: $id) { id } }', { id });
  expect(status).toBe(200);
  if (body.errors) expect(body.errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }]);
  else expect(body).toEqual({ data: { node: null } });
});

test.each([
  [{ email: 'nobody' }, 'EMAIL_INVALID', ['ref', 'email']],
  [{ phone: '0' }, 'PHONE_INVALID', ['ref', 'phone']],
  [{ id: 'nonsense' }, 'VALUE_INVALID', ['ref', 'id']],
  [{ pushRegistrationId: 'nonsense' }, 'VALUE_INVALID', ['ref', 'pushRegistrationId']],
  [{ externalUserId: 'NULL' }, 'VALUE_INVALID', ['ref', 'externalUserId']],
])('a reference that cannot be one is a bad input: %j', async (ref, reason, inputPath) => {
  const { body } = await g.server.send('query($ref: UserRef!) { user(ref: $ref) { id } }', { ref });
  expect(body.errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', reason, inputPath } }]);
});

test('who registers and logs out in one operation does not go on reading the person', async () => {
  const person = await makePerson(g, { emails: [newEmail()] });
  const { body } = await g.app.as(person.token).send(`mutation {
    registerInstallation(input: { platform: WEB }) { __typename }
    depersonalize(input: {}) { __typename }
    again: registerInstallation(input: { platform: WEB }) {
      ... on RegisterInstallationPayload { installation { user { id externalUserId type } } }
    }
  }`);
  expect(body.errors).toBeUndefined();
  expect(body.data).toMatchObject({ again: { installation: { user: { externalUserId: null, type: 'LEAD' } } } });
  expect(JSON.stringify(body)).not.toContain(person.externalUserId);
});

test('a global id that says another type than the recipient has names nothing', async () => {
  const email = newEmail();
  await makePerson(g, { emails: [email] });
  const { id } = await g.db.recipient.findFirstOrThrow({ where: { address: email } });
  for (const type of ['SmsRecipient', 'PushRecipient', 'InAppRecipient']) {
    const { body } = await g.server.send(`{ node(id: "${btoa(`${type}:${id}`)}") { id } }`);
    expect(body).toEqual({ data: { node: null } });
  }
});
