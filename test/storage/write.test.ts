import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { newSecret } from '../../src/apps/api-key.ts';
import { newEmail } from '../support/addresses.ts';
import { useApp } from '../support/app.ts';
import type { Client } from '../support/client.ts';
import { makeInstallation } from '../support/operations.ts';
import { countRows, makePerson } from '../support/people.ts';

const g = useApp();

/** A mutation as text: any of them can be called in the same way. */
interface Mutation {
  document: string;
  /** Makes what it needs, and answers its input. */
  prepare(): Promise<Record<string, unknown>>;
  /** Another input that would be accepted. */
  change(input: Record<string, unknown>): Record<string, unknown>;
}

const toDocument = (name: string, selection: string) =>
  `mutation($input: ${name.charAt(0).toUpperCase()}${name.slice(1)}Input!) {
    result: ${name}(input: $input) { __typename ... on Error { code path } ${selection} }
  }`;

const makeSegment = async (): Promise<string> => {
  const document = `mutation($name: String!) { createSegment(input: { name: $name }) { ... on CreateSegmentPayload { segment { id } } } }`;
  const { body } = await g.server.send(document, { name: randomUUID() });
  const id = /"id":"([^"]+)"/.exec(JSON.stringify(body))?.[1];
  if (!id) throw new Error(`Refused: ${JSON.stringify(body)}`);
  return id;
};

const mutations: Record<string, Mutation> = {
  personalize: {
    document: toDocument(
      'personalize',
      '... on PersonalizePayload { user { id } mergeRecord { id } droppedIdentifiers }',
    ),
    prepare: async () => ({
      installation: (await makeInstallation(g.app)).id,
      userIdentity: { externalUserId: 'undefined', emails: [(await makePersonWithEmail()).email] },
    }),
    change: (input) => ({ ...input, userAttributes: { firstName: 'Ann' } }),
  },
  depersonalize: {
    document: toDocument('depersonalize', '... on DepersonalizePayload { installation { id user { id } } }'),
    prepare: async () => ({ installation: (await makePerson(g)).installation.id }),
    change: () => ({ installation: randomUUID() }),
  },
  mergeUsers: {
    document: toDocument('mergeUsers', '... on MergeUsersPayload { user { id } mergeRecord { id } }'),
    prepare: async () => ({
      survivor: { id: (await makePerson(g)).id },
      merged: { id: (await makePerson(g)).id },
      allowAlias: true,
    }),
    change: (input) => ({ ...input, allowAlias: false }),
  },
  createSegment: {
    document: toDocument('createSegment', '... on CreateSegmentPayload { segment { id name } }'),
    prepare: async () => ({ name: randomUUID() }),
    change: (input) => ({ ...input, description: 'Another' }),
  },
  addToSegment: {
    document: toDocument('addToSegment', '... on AddToSegmentPayload { changedCount unknown segment { id } }'),
    prepare: async () => ({
      segment: await makeSegment(),
      users: [{ id: (await makePerson(g)).id }, { phone: '31600000000' }],
    }),
    change: (input) => ({ ...input, users: [] }),
  },
  removeFromSegment: {
    document: toDocument(
      'removeFromSegment',
      '... on RemoveFromSegmentPayload { changedCount unknown segment { id } }',
    ),
    prepare: async () => ({ segment: await makeSegment(), users: [{ id: (await makePerson(g)).id }] }),
    change: (input) => ({ ...input, users: [] }),
  },
  sendNotification: {
    document: toDocument('sendNotification', '... on SendNotificationPayload { notification { id } }'),
    prepare: async () => ({
      content: { title: 'a', body: 'b' },
      target: { users: [{ id: (await makePerson(g)).id }] },
    }),
    change: (input) => ({ ...input, content: { title: 'a', body: 'c' } }),
  },
};

async function makePersonWithEmail() {
  const email = newEmail();
  return { ...(await makePerson(g, { emails: [email] })), email };
}

async function call(client: Client, mutation: Mutation, input: Record<string, unknown>): Promise<unknown> {
  const { body } = await client.send(mutation.document, { input });
  if (body.errors) throw new Error(`The operation failed: ${JSON.stringify(body.errors)}`);
  return body.data;
}

const reused = {
  result: { __typename: 'IdempotencyKeyReusedError', code: 'IDEMPOTENCY_KEY_REUSED', path: ['idempotencyKey'] },
};

describe.each(Object.entries(mutations))('%s', (_, mutation) => {
  test('with one key and one input writes once and answers the same', async () => {
    const input = { ...(await mutation.prepare()), idempotencyKey: randomUUID() };
    const first = await call(g.server, mutation, input);
    expect(JSON.stringify(first)).toContain('Payload"');
    const after = await countRows(g);
    expect(await call(g.server, mutation, input)).toEqual(first);
    expect(await countRows(g)).toEqual(after);
  });

  test('with one key and another input is refused, and writes nothing', async () => {
    const input = { ...(await mutation.prepare()), idempotencyKey: randomUUID() };
    await call(g.server, mutation, input);
    const after = await countRows(g);
    expect(await call(g.server, mutation, { ...mutation.change(input), idempotencyKey: input.idempotencyKey })).toEqual(
      reused,
    );
    expect(await countRows(g)).toEqual(after);
  });

  test('called at once with one key writes once, and all are answered the same', async () => {
    const input = { ...(await mutation.prepare()), idempotencyKey: randomUUID() };
    const [first, ...others] = await Promise.all(Array.from({ length: 4 }, () => call(g.server, mutation, input)));
    expect(JSON.stringify(first)).toContain('Payload"');
    for (const other of others) expect(other).toEqual(first);
    const { rows } = await g.pool.query('select count(*)::int as count from idempotency_keys where key = $1', [
      input.idempotencyKey,
    ]);
    expect(rows).toEqual([{ count: 1 }]);
  });
});

const { createSegment, depersonalize } = mutations;
if (!createSegment || !depersonalize) throw new Error('They are above.');

test('two callers do not share a key', async () => {
  const [first, second] = [await makePerson(g), await makePerson(g)];
  const input = { idempotencyKey: randomUUID() };
  await call(g.app.as(first.token), depersonalize, input);
  const answer = JSON.stringify(await call(g.app.as(second.token), depersonalize, input));
  expect(answer).toContain(second.installation.id);
  expect(answer).not.toContain(first.installation.id);
});

test('two mutations do not share a key', async () => {
  const idempotencyKey = randomUUID();
  await call(g.server, createSegment, { name: randomUUID(), idempotencyKey });
  const person = await makePerson(g);
  const answer = await call(g.server, depersonalize, { installation: person.installation.id, idempotencyKey });
  expect(answer).toMatchObject({ result: { __typename: 'DepersonalizePayload' } });
});

test('a refused write keeps nothing: the key may be used again', async () => {
  const [name, idempotencyKey] = [randomUUID(), randomUUID()];
  await call(g.server, createSegment, { name });
  expect(await call(g.server, createSegment, { name, idempotencyKey })).toMatchObject({
    result: { code: 'NAME_TAKEN' },
  });
  expect(await call(g.server, createSegment, { name: randomUUID(), idempotencyKey })).toMatchObject({
    result: { __typename: 'CreateSegmentPayload' },
  });
});

test('a key that is older than a day is a new key', async () => {
  const input = { name: randomUUID(), idempotencyKey: randomUUID() };
  await call(g.server, createSegment, input);
  await g.pool.query(`update idempotency_keys set expires_at = now() - interval '1 second' where key = $1`, [
    input.idempotencyKey,
  ]);
  expect(await call(g.server, createSegment, input)).toMatchObject({ result: { code: 'NAME_TAKEN' } });
  expect(await call(g.server, createSegment, { ...input, name: randomUUID() })).toMatchObject({
    result: { __typename: 'CreateSegmentPayload' },
  });
});

test.each(['', 'x'.repeat(257)])('a key has 1 to 256 characters: %j', async (idempotencyKey) => {
  expect(await call(g.server, createSegment, { name: randomUUID(), idempotencyKey })).toMatchObject({
    result: { code: 'VALUE_INVALID', path: ['idempotencyKey'] },
  });
});

test('what is kept of a write holds no address and no secret', async () => {
  const email = newEmail();
  const { token } = await makePersonWithEmail();
  await call(g.server, mutations.personalize ?? createSegment, {
    installation: (await makeInstallation(g.app)).id,
    userIdentity: { emails: [email] },
    idempotencyKey: randomUUID(),
  });
  const { rows } = await g.pool.query('select * from idempotency_keys');
  const kept = JSON.stringify(rows);
  expect(rows.length).toBeGreaterThan(0);
  for (const secret of [email, token, newSecret('SERVER').slice(0, 11)]) expect(kept).not.toContain(secret);
});
