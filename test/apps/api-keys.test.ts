import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { hashSecret } from '../../src/apps/api-key.ts';
import type { ApiKeyKind } from '../generated/graphql.ts';
import { testKeys, useApp } from '../support/app.ts';
import type { Client } from '../support/client.ts';
import { createApiKey, makeApiKey, revokeApiKey, rotateApiKey, rotatedSecret } from '../support/keys.ts';
import { insertDeliveries, insertNotification } from '../support/log-events.ts';
import { inTransaction } from '../support/readers.ts';
import { connectSocket } from '../support/socket.ts';
import { until } from '../support/until.ts';

const g = useApp({}, { sweepMs: 50 });

let app: string;
beforeAll(async () => {
  const { body } = await g.server.send('{ app { id } }');
  app = /"id":"([^"]+)"/.exec(JSON.stringify(body))?.[1] ?? '';
});

const makeKey = (kind: ApiKeyKind = 'DASHBOARD') =>
  makeApiKey(g.server, {
    kind,
    name: 'a key',
    ...(kind === 'APP' && { app }),
    ...(kind === 'PARTNER' && { partner: 'acme' }),
  });

const statusOf = async (client: Client): Promise<number> => (await client.send('{ app { name } }')).status;
const isInForce = async (secret: string): Promise<boolean> => (await statusOf(g.server.as(secret))) === 200;

/** Who waits for the row of a key. */
const waiting = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%api_keys%'`;

/** Follows deliveries with a key. `next` waits for what comes next, and ends it. */
async function followAs(secret: string) {
  const socket = await connectSocket(g.url, secret);
  socket.send({ id: '1', type: 'subscribe', payload: { query: 'subscription { deliveryEvents { __typename } }' } });
  expect(await socket.next()).toMatchObject({ type: 'next' });
  return {
    async next() {
      const told = JSON.stringify(await socket.next());
      socket.close();
      return told;
    },
  };
}

describe('a new key', () => {
  test.each([
    'SERVER',
    'APP',
    'DASHBOARD',
    'PARTNER',
  ] as const)('of kind %s authenticates by its secret', async (kind) => {
    expect(await isInForce((await makeKey(kind)).secret)).toBe(true);
  });

  test('is kept as a hash, and its secret nowhere', async () => {
    const { secret } = await makeApiKey(g.server, { kind: 'SERVER', name: 'a', idempotencyKey: randomUUID() });
    const key = await g.db.apiKey.findFirstOrThrow({ where: { secretHash: hashSecret(secret) } });
    const kept = [key, await g.db.idempotencyKey.findMany(), await g.db.auditEntry.findMany()];
    expect(JSON.stringify(kept)).not.toContain(secret);
  });

  test('is shown once: a repeat answers the same key without its secret', async () => {
    const input = { kind: 'DASHBOARD', name: 'once', idempotencyKey: randomUUID() } as const;
    const first = await createApiKey(g.server, input);
    expect(first).toMatchObject({ secret: expect.stringMatching(/^car_dash_/) });
    expect(await createApiKey(g.server, input)).toEqual({ ...first, secret: null });
    expect(await g.db.apiKey.count({ where: { name: 'once' } })).toBe(1);
  });

  test('that several ask for at once is made once, and its secret shown to one', async () => {
    const input = { kind: 'DASHBOARD', name: 'together', idempotencyKey: randomUUID() } as const;
    const answers = await Promise.all(Array.from({ length: 5 }, () => createApiKey(g.server, input)));
    expect(answers.filter((answer) => answer && 'secret' in answer && answer.secret !== null)).toHaveLength(1);
    expect(await g.db.apiKey.count({ where: { name: 'together' } })).toBe(1);
  });

  test.each([
    ['an APP key without an app', { kind: 'APP' }, ['app']],
    ['a SERVER key with an app', { kind: 'SERVER', app: randomUUID() }, ['app']],
    ['a DASHBOARD key with a partner', { kind: 'DASHBOARD', partner: 'acme' }, ['partner']],
    ['a PARTNER key without a partner', { kind: 'PARTNER' }, ['partner']],
    ['a PARTNER key with an app', { kind: 'PARTNER', partner: 'acme', app: randomUUID() }, ['app']],
    ['a partner with a space', { kind: 'PARTNER', partner: 'a b' }, ['partner']],
    ['a partner without a letter', { kind: 'PARTNER', partner: '' }, ['partner']],
    ['a partner of 101 letters', { kind: 'PARTNER', partner: 'a'.repeat(101) }, ['partner']],
    ['an empty name', { kind: 'SERVER', name: ' ' }, ['name']],
    ['a name of 257 letters', { kind: 'SERVER', name: 'a'.repeat(257) }, ['name']],
  ] as const)('is refused: %s', async (_, input, path) => {
    expect(await createApiKey(g.server, { name: 'refused', ...input })).toMatchObject({ code: 'VALUE_INVALID', path });
    expect(await g.db.apiKey.count({ where: { name: 'refused' } })).toBe(0);
  });

  test('of an app that there is not is refused', async () => {
    expect(await createApiKey(g.server, { kind: 'APP', name: 'a', app: randomUUID() })).toMatchObject({
      code: 'NOT_FOUND',
      path: ['app'],
    });
  });
});

describe('a rotated key', () => {
  test('works with its new secret at once, and no more with the one before', async () => {
    const { id, secret } = await makeKey();
    const fresh = await rotatedSecret(g.server, { apiKey: id });
    expect([await isInForce(fresh), await isInForce(secret)]).toEqual([true, false]);
  });

  test('works with both secrets during its grace, and with the new one after it', async () => {
    const { id, secret } = await makeKey();
    const fresh = await rotatedSecret(g.server, { apiKey: id, graceSeconds: 3_600 });
    expect([await isInForce(fresh), await isInForce(secret)]).toEqual([true, true]);
    await endGraceOf(secret);
    await until(async () => !(await isInForce(secret)));
    expect(await isInForce(fresh)).toBe(true);
  });

  test('ends the streams of the secret before when its grace is over, and no others', async () => {
    const { id, secret } = await makeKey();
    const fresh = await rotatedSecret(g.server, { apiKey: id, graceSeconds: 3_600 });
    const [before, after] = [await followAs(secret), await followAs(fresh)];
    await endGraceOf(secret);
    expect(await before.next()).toContain('UNAUTHENTICATED');
    await revokeApiKey(g.server, { apiKey: id });
    // Only this has ended it.
    expect(await after.next()).toContain('UNAUTHENTICATED');
  });

  test('leaves the streams of the secret before open during its grace', async () => {
    const { id, secret } = await makeKey();
    const stream = await followAs(secret);
    await rotateApiKey(g.server, { apiKey: id, graceSeconds: 3_600 });
    // Another stream has ended since: the gateway has heard of the rotation.
    const other = await makeKey();
    const ended = await followAs(other.secret);
    await revokeApiKey(g.server, { apiKey: other.id });
    await ended.next();
    await insertDeliveries(g.pool, { notificationId: await insertNotification(g.pool) });
    expect(await stream.next()).toContain('DeliveryEvent');
  });

  test('ends the streams of the secret before at once without a grace', async () => {
    const { id, secret } = await makeKey();
    const stream = await followAs(secret);
    await rotateApiKey(g.server, { apiKey: id });
    expect(await stream.next()).toContain('UNAUTHENTICATED');
  });

  test('twice within its grace stops the first secret at once', async () => {
    const { id, secret } = await makeKey();
    const second = await rotatedSecret(g.server, { apiKey: id, graceSeconds: 3_600 });
    const third = await rotatedSecret(g.server, { apiKey: id, graceSeconds: 3_600 });
    expect(await Promise.all([secret, second, third].map(isInForce))).toEqual([false, true, true]);
  });

  test('keeps its idempotency keys: what was written with the secret before is not written again', async () => {
    const { id, secret } = await makeKey('SERVER');
    const write = (client: Client) =>
      client.send(
        'mutation($key: String!) { createSegment(input: { name: "rotated", idempotencyKey: $key }) { __typename ... on CreateSegmentPayload { segment { id } } } }',
        { key: 'rotated' },
      );
    const first = await write(g.server.as(secret));
    const fresh = await rotatedSecret(g.server, { apiKey: id });
    expect((await write(g.server.as(fresh))).body).toEqual(first.body);
    expect(first.body).toMatchObject({ data: { createSegment: { __typename: 'CreateSegmentPayload' } } });
  });

  test('is rotated once by a repeat, which answers no secret', async () => {
    const { id } = await makeKey();
    const input = { apiKey: id, idempotencyKey: randomUUID() };
    const fresh = await rotatedSecret(g.server, input);
    expect(await rotateApiKey(g.server, input)).toMatchObject({ secret: null, apiKey: { id } });
    expect(await isInForce(fresh)).toBe(true);
  });

  test.each([-1, 604_801])('is refused a grace of %i seconds', async (graceSeconds) => {
    const { id, secret } = await makeKey();
    expect(await rotateApiKey(g.server, { apiKey: id, graceSeconds })).toMatchObject({
      code: 'VALUE_INVALID',
      path: ['graceSeconds'],
    });
    expect(await isInForce(secret)).toBe(true);
  });

  test('is not one that was revoked', async () => {
    const { id } = await makeKey();
    await revokeApiKey(g.server, { apiKey: id });
    expect(await rotateApiKey(g.server, { apiKey: id })).toMatchObject({ code: 'STATE_CONFLICT', path: ['apiKey'] });
  });
});

/** Lets the grace of a secret be over, as the clock would. */
const endGraceOf = (secret: string) =>
  g.db.apiKey.updateMany({
    where: { previousSecretHash: hashSecret(secret) },
    data: { previousExpiresAt: new Date(Date.now() - 1) },
  });

describe('a revoked key', () => {
  test('works no more, with none of its secrets, and its streams end', async () => {
    const { id, secret } = await makeKey();
    const fresh = await rotatedSecret(g.server, { apiKey: id, graceSeconds: 3_600 });
    const streams = [await followAs(secret), await followAs(fresh)];
    await revokeApiKey(g.server, { apiKey: id });
    for (const stream of streams) expect(await stream.next()).toContain('UNAUTHENTICATED');
    for (const ended of [secret, fresh]) await until(async () => !(await isInForce(ended)));
  });

  test('stays as it was when it is revoked again', async () => {
    const { id } = await makeKey();
    const first = await revokeApiKey(g.server, { apiKey: id });
    expect(first).toMatchObject({ apiKey: { revokedAt: expect.any(String) } });
    expect(await revokeApiKey(g.server, { apiKey: id })).toEqual(first);
  });

  test('is never the last server key, not even when the last two are revoked at once', async () => {
    const others = await g.db.apiKey.findMany({ where: { kind: 'SERVER', revokedAt: null } });
    const first = others.find(({ secretHash }) => Buffer.from(secretHash).equals(hashSecret(testKeys.serverKey)));
    const made = await makeKey('SERVER');
    await g.db.apiKey.updateMany({
      where: { id: { in: others.map(({ id }) => id).filter((id) => id !== first?.id) } },
      data: { revokedAt: new Date() },
    });
    // Both have been let in, and wait for each other's row, before either is done.
    const answers = await inTransaction(g.pool, async (transaction) => {
      await transaction.query(`select from api_keys where kind = 'SERVER' for update`);
      const asked = [first?.id ?? '', made.id].map((apiKey) => revokeApiKey(g.server, { apiKey }));
      await until(async () => (await g.pool.query(waiting)).rowCount === asked.length);
      return { asked };
    }).then(({ asked }) => Promise.all(asked));
    const left = await g.db.apiKey.findMany({ where: { kind: 'SERVER', revokedAt: null } });
    await g.db.apiKey.updateMany({ where: { id: first?.id ?? '' }, data: { revokedAt: null } });
    expect(left).toHaveLength(1);
    expect(answers.map((answer) => answer?.__typename).sort()).toEqual(['RevokeApiKeyPayload', 'StateConflictError']);
  });

  test.each([() => rotateApiKey, () => revokeApiKey])('that there is not is not found', async (verb) => {
    expect(await verb()(g.server, { apiKey: randomUUID() })).toMatchObject({ code: 'NOT_FOUND', path: ['apiKey'] });
  });
});

test('the list of keys tells what they are for, and nothing of their secrets', async () => {
  const { id, secret } = await makeKey('PARTNER');
  const fresh = await rotatedSecret(g.server, { apiKey: id, graceSeconds: 60 });
  const { body } = await g.server.send(
    '{ apiKeys(last: 1) { totalCount nodes { id kind name partner createdAt lastUsedAt previousExpiresAt revokedAt app { id } } } }',
  );
  expect(body.data).toEqual({
    apiKeys: {
      totalCount: await g.db.apiKey.count(),
      nodes: [
        {
          id,
          kind: 'PARTNER',
          name: 'a key',
          partner: 'acme',
          createdAt: expect.any(String),
          lastUsedAt: null,
          previousExpiresAt: expect.any(String),
          revokedAt: null,
          app: null,
        },
      ],
    },
  });
  const hashes = [secret, fresh].flatMap((text) => [text, ...encodingsOf(hashSecret(text))]);
  for (const text of hashes) expect(JSON.stringify(body)).not.toContain(text);
});

const encodingsOf = (hash: Uint8Array) =>
  (['hex', 'base64', 'base64url'] as const).map((name) => Buffer.from(hash).toString(name));
