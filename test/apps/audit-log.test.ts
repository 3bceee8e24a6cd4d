import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { newId } from '../../src/ids.ts';
import { createAuditTrail } from '../../src/storage/audit.ts';
import { newEmail } from '../support/addresses.ts';
import { useApp } from '../support/app.ts';
import type { Client } from '../support/client.ts';
import { makeApiKey } from '../support/keys.ts';
import { createTestLog } from '../support/log-events.ts';
import { makeInstallation, personalize } from '../support/operations.ts';
import { makePerson } from '../support/people.ts';
import { localIdOf } from '../support/send-operations.ts';
import { until } from '../support/until.ts';

const g = useApp({ role: 'gateway' });

const document = `query($apiKey: ID!) {
  auditLog(apiKey: $apiKey, first: 100) { totalCount nodes { at action subject apiKey { id } } }
}`;

/** What was done with a key, as the audit log tells it. */
async function auditOf(apiKey: string): Promise<unknown[]> {
  const { body } = await g.server.send(document, { apiKey });
  if (body.errors) throw new Error(`The operation failed: ${JSON.stringify(body.errors)}`);
  return Object(body.data).auditLog.nodes;
}

/** A back end with a key of its own, so that only what it does is in the log of that key. */
async function makeBackEnd(): Promise<{ id: string; client: Client }> {
  const { id, secret } = await makeApiKey(g.server, { kind: 'SERVER', name: 'a back end' });
  return { id, client: g.server.as(secret) };
}

describe('a mutation with a server key', () => {
  test('leaves exactly one entry, with its name and ids only', async () => {
    const { id, client } = await makeBackEnd();
    const [email, installation] = [newEmail(), await makeInstallation(g.app)];
    const made = await personalize(client, {
      installation: installation.id,
      userIdentity: { externalUserId: 'Ann of the audit', emails: [email] },
      userAttributes: { firstName: 'Ann-Audit' },
    });
    const user = made?.__typename === 'PersonalizePayload' ? localIdOf(made.user?.id ?? '') : '';
    const entries = await auditOf(id);
    expect(entries).toEqual([
      {
        at: expect.any(String),
        action: 'personalize',
        apiKey: { id },
        subject: expect.objectContaining({ userId: user, installationId: installation.pushRegistrationId }),
      },
    ]);
    const kept = JSON.stringify(await g.db.auditEntry.findMany());
    for (const text of [email, 'Ann of the audit', 'Ann-Audit', installation.token]) expect(kept).not.toContain(text);
  });

  test('leaves none when it is refused', async () => {
    const { id, client } = await makeBackEnd();
    expect(
      await personalize(client, { installation: randomUUID(), userIdentity: { externalUserId: 'a' } }),
    ).toMatchObject({
      code: 'NO_REGISTRATION',
    });
    expect(await auditOf(id)).toEqual([]);
  });

  test('leaves none when it is repeated', async () => {
    const { id, client } = await makeBackEnd();
    const write = () =>
      client.send(
        'mutation($key: String!) { createSegment(input: { name: $key, idempotencyKey: $key }) { __typename } }',
        {
          key: id,
        },
      );
    for (const _ of Array(3)) await write();
    expect(await auditOf(id)).toMatchObject([{ action: 'createSegment' }]);
  });
});

test('what an installation does is not in the log', async () => {
  const { token } = await makePerson(g);
  const before = await g.db.auditEntry.count();
  const { body } = await g.server.as(token).send('mutation { depersonalize(input: {}) { __typename } }');
  expect(body).toEqual({ data: { depersonalize: { __typename: 'DepersonalizePayload' } } });
  expect(await g.db.auditEntry.count()).toBe(before);
});

test.each([
  `update audit_entries set action = 'nothing'`,
  'delete from audit_entries',
  'delete from audit_entries where false',
  'truncate audit_entries',
])('the database refuses to change it: %s', async (statement) => {
  await makeBackEnd();
  await expect(g.pool.query(statement)).rejects.toThrow('The audit log is only added to.');
});

test('all of it is listed for server keys, oldest first', async () => {
  const { body } = await g.server.send('{ auditLog(last: 1) { totalCount nodes { action } } }');
  await makeBackEnd();
  const later = await g.server.send('{ auditLog(last: 1) { totalCount nodes { action } } }');
  expect(later.body).toMatchObject({
    data: { auditLog: { totalCount: Object(body.data).auditLog.totalCount + 1, nodes: [{ action: 'createApiKey' }] } },
  });
});

describe('a trail', () => {
  const record = (apiKeyId: string, action = 'Overview') => ({ apiKeyId, action, subject: null });
  const actionsOf = async (apiKeyId: string) =>
    (await g.db.auditEntry.findMany({ where: { apiKeyId }, orderBy: { id: 'asc' } })).map(({ action }) => action);

  test('is written soon, without anybody waiting', async () => {
    const apiKeyId = newId();
    const trail = createAuditTrail({ db: g.db, log: createTestLog().log }, { everyMs: 20 });
    trail.append(record(apiKeyId));
    await until(async () => (await actionsOf(apiKeyId)).length === 1);
    await trail.close();
  });

  test('of more than a batch is written whole, what is left by the close', async () => {
    const apiKeyId = newId();
    const trail = createAuditTrail({ db: g.db, log: createTestLog().log }, { everyMs: 60_000 });
    for (let index = 0; index < 1_234; index += 1) trail.append(record(apiKeyId, String(index)));
    await until(async () => (await actionsOf(apiKeyId)).length >= 1_000);
    await trail.close();
    expect(new Set(await actionsOf(apiKeyId)).size).toBe(1_234);
  });

  test('that could not be written is written later, each entry once', async () => {
    const apiKeyId = newId();
    const { log, sentences } = createTestLog();
    const trail = createAuditTrail({ db: g.db, log }, { everyMs: 20 });
    await g.pool.query('alter table audit_entries rename to hidden');
    for (const action of ['a', 'b']) trail.append(record(apiKeyId, action));
    await until(async () => sentences.includes('The audit log could not be written.'));
    await g.pool.query('alter table hidden rename to audit_entries');
    await until(async () => (await actionsOf(apiKeyId)).length === 2);
    await trail.close();
    expect((await actionsOf(apiKeyId)).sort()).toEqual(['a', 'b']);
  });

  test('keeps no more than ten thousand entries while the database is away, and says how many were lost', async () => {
    const apiKeyId = newId();
    const { log, sentences } = createTestLog();
    const trail = createAuditTrail({ db: g.db, log }, { everyMs: 20 });
    await g.pool.query('alter table audit_entries rename to hidden');
    for (let index = 0; index < 10_005; index += 1) trail.append(record(apiKeyId));
    await until(async () => sentences.includes('The audit log could not be written.'));
    await g.pool.query('alter table hidden rename to audit_entries');
    await until(async () => sentences.includes('Entries of the audit log were lost.'));
    await trail.close();
    expect(await actionsOf(apiKeyId)).toHaveLength(10_000);
  });
});
