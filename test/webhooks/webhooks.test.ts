import { afterEach, describe, expect, test } from 'vitest';
import { sql } from '../../src/storage/database.ts';
import { graphql } from '../generated/gql.ts';
import { newEmail } from '../support/addresses.ts';
import { useApp } from '../support/app.ts';
import { type FakeWebhook, startFakeWebhook, verifyWebhook } from '../support/fakes/fake-webhook.ts';
import { insertDeliveries, insertNotification } from '../support/log-events.ts';
import { makeNotification, settledDeliveries } from '../support/operations.ts';
import { localIdOf, makePerson, reportDelivery, toSend } from '../support/send-operations.ts';
import { until } from '../support/until.ts';
import { createWebhook, deleteWebhook, findWebhook, makeWebhook, resumeWebhook } from '../support/webhooks.ts';

const g = useApp();

const opened: FakeWebhook[] = [];
const webhooks: string[] = [];
afterEach(async () => {
  for (const webhook of webhooks.splice(0)) await deleteWebhook(g.server, webhook);
  for (const receiver of opened.splice(0)) await receiver.close();
});

async function startReceiver() {
  const receiver = await startFakeWebhook();
  opened.push(receiver);
  return receiver;
}

async function makeTold(receiver: FakeWebhook, rest: Partial<Parameters<typeof makeWebhook>[1]> = {}) {
  const webhook = await makeWebhook(g.server, { url: receiver.url, events: ['SENT', 'DELIVERED', 'BOUNCED'], ...rest });
  webhooks.push(webhook.id);
  return webhook;
}

/** Sends an e-mail to somebody new, and answers the database's id of its delivery. */
async function send(email = newEmail()) {
  const person = await makePerson(g.server, { emails: [email] });
  const notification = await makeNotification(
    g.server,
    toSend({ users: [{ id: person.id }] }, { channels: ['EMAIL'] }),
  );
  const [delivery] = (await settledDeliveries(g.server, notification)).deliveries.nodes;
  if (!delivery) throw new Error('There is no delivery.');
  return {
    id: localIdOf(delivery.id),
    delivery: delivery.id,
    notification: localIdOf(notification),
    userId: localIdOf(person.id),
  };
}

/** As if the time that a webhook waits were over. */
const hurry = () => g.pool.query(sql`update webhooks set next_attempt_at = now() where disabled_at is null`);

describe('a webhook', () => {
  test('is told of what happens from then on, in order, signed as Standard Webhooks has it', async () => {
    const receiver = await startReceiver();
    await send();
    const { secret, ...webhook } = await makeTold(receiver);
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(webhook).toMatchObject({
      url: receiver.url,
      events: ['SENT', 'DELIVERED', 'BOUNCED'],
      state: 'ACTIVE',
      app: null,
    });
    const sent = await send(newEmail().replace('@', '+bounced@'));
    await until(async () => receiver.events().length === 2);
    const about = { deliveryId: sent.id, notificationId: sent.notification, userId: sent.userId };
    expect(receiver.events()).toMatchObject([
      { ...about, status: 'SENT', reason: null },
      { ...about, status: 'BOUNCED', reason: 'HARD_BOUNCE' },
    ]);
    for (const attempt of receiver.attempts) {
      verifyWebhook(secret, attempt);
      expect(attempt.headers['content-type']).toBe('application/json');
    }
  });

  test('is told ids and no address, and only the events that it wants', async () => {
    const receiver = await startReceiver();
    await makeTold(receiver, { events: ['OPENED'] });
    const email = newEmail();
    const sent = await send(email);
    await reportDelivery(g.server, { delivery: sent.delivery, status: 'OPENED' });
    const [attempt] = await receiver.received(1);
    expect(attempt?.message.data.events).toMatchObject([{ deliveryId: sent.id, status: 'OPENED' }]);
    expect(attempt?.body).not.toContain(email);
  });

  test('of an app is told of its installations only', async () => {
    const [receiver, ofAnother] = [await startReceiver(), await startReceiver()];
    const { id: app } = await g.db.app.findFirstOrThrow();
    const { id: another } = await g.db.app.create({ data: { id: crypto.randomUUID(), name: crypto.randomUUID() } });
    await makeTold(receiver, { app });
    await makeTold(ofAnother, { app: another });
    await send();
    const person = await makePerson(g.server);
    const notification = await makeNotification(
      g.server,
      toSend({ users: [{ id: person.id }] }, { channels: ['PUSH'] }),
    );
    await settledDeliveries(g.server, notification);
    await receiver.received(1);
    expect(receiver.events()).toMatchObject([{ notificationId: localIdOf(notification), status: 'SENT' }]);
    expect(ofAnother.attempts).toEqual([]);
  });

  test('that fails is told again, the same under the same id with a new signature, and then what came meanwhile', async () => {
    const receiver = await startReceiver();
    receiver.answer(503);
    const { id, secret } = await makeTold(receiver);
    const first = await send();
    await receiver.received(1);
    await until(async () => (await findWebhook(g.server, id))?.state === 'FAILING');
    expect(await findWebhook(g.server, id)).toMatchObject({
      lastFailure: '503',
      failingSince: expect.any(String),
      nextAttemptAt: expect.any(String),
    });
    const second = await send();
    receiver.answer(204);
    await hurry();
    await until(async () => receiver.events().length === 2);
    expect(receiver.events().map(({ deliveryId }) => deliveryId)).toEqual([first.id, second.id]);
    const [failed, repeated] = receiver.attempts;
    expect(repeated?.id).toBe(failed?.id);
    expect(repeated?.body).toBe(failed?.body);
    for (const attempt of receiver.attempts) verifyWebhook(secret, attempt);
    await until(async () => (await findWebhook(g.server, id))?.state === 'ACTIVE');
    expect(await findWebhook(g.server, id)).toMatchObject({
      lastFailure: null,
      failingSince: null,
      nextAttemptAt: null,
    });
  });

  test('that has failed for a day is disabled, visibly, and goes on where it stopped when it is resumed', async () => {
    const receiver = await startReceiver();
    receiver.answer(500);
    const { id } = await makeTold(receiver);
    const sent = await send();
    await receiver.received(1);
    await until(async () => (await findWebhook(g.server, id))?.state === 'FAILING');
    await g.pool.query(sql`update webhooks set failing_since = now() - interval '25 hours'`);
    await hurry();
    await until(async () => (await findWebhook(g.server, id))?.state === 'DISABLED');
    expect(await findWebhook(g.server, id)).toMatchObject({ disabledAt: expect.any(String), nextAttemptAt: null });
    const later = await send();
    receiver.answer(204);
    expect(await resumeWebhook(g.server, id)).toMatchObject({ webhook: { state: 'ACTIVE' } });
    await until(async () => receiver.events().length === 2);
    expect(receiver.events().map(({ deliveryId }) => deliveryId)).toEqual([sent.id, later.id]);
  });

  test('that answers 410 is disabled at once', async () => {
    const receiver = await startReceiver();
    receiver.answer(410);
    const { id } = await makeTold(receiver);
    await send();
    await until(async () => (await findWebhook(g.server, id))?.state === 'DISABLED');
    expect(await findWebhook(g.server, id)).toMatchObject({ lastFailure: '410' });
  });

  test('is not followed elsewhere: a redirect is a failure', async () => {
    const [receiver, elsewhere] = [await startReceiver(), await startReceiver()];
    receiver.answer(302, { location: elsewhere.url });
    const { id } = await makeTold(receiver);
    await send();
    await until(async () => (await findWebhook(g.server, id))?.state === 'FAILING');
    expect(await findWebhook(g.server, id)).toMatchObject({ lastFailure: '302' });
    expect(elsewhere.attempts).toEqual([]);
  });

  test('that hangs holds up no other', async () => {
    const [hanging, receiver] = [await startReceiver(), await startReceiver()];
    hanging.answer(null);
    for (let count = 0; count < 5; count += 1) await makeTold(hanging);
    await makeTold(receiver);
    const first = await send();
    await hanging.received(5);
    const second = await send();
    await until(async () => receiver.events().length === 2);
    expect(receiver.events().map(({ deliveryId }) => deliveryId)).toEqual([first.id, second.id]);
  });

  test('is told that events are missing, where the log is another since', async () => {
    const receiver = await startReceiver();
    await makeTold(receiver);
    await g.pool.query(sql`update webhooks set cursor_epoch = gen_random_uuid()`);
    await send();
    await until(async () => receiver.events().length > 0);
    expect(receiver.attempts[0]?.message.data.gap).toBe(true);
    await send();
    await until(async () => receiver.attempts.at(-1)?.message.data.gap === false);
  });

  test('is told of many events in messages of a hundred, each once', async () => {
    const receiver = await startReceiver();
    await makeTold(receiver, { events: ['SENT'] });
    const notificationId = await insertNotification(g.pool);
    await insertDeliveries(g.pool, { notificationId, count: 230, status: 'SENT' });
    await until(async () => receiver.events().length >= 230);
    const ids = receiver.events().map(({ deliveryId }) => deliveryId);
    expect(new Set(ids).size).toBe(230);
    expect(ids.length).toBe(230);
    expect(Math.max(...receiver.attempts.map(({ message }) => message.data.events.length))).toBeLessThanOrEqual(100);
    expect(new Set(receiver.attempts.map(({ id }) => id)).size).toBe(receiver.attempts.length);
  });

  test('that is deleted is told nothing more', async () => {
    const [receiver, witness] = [await startReceiver(), await startReceiver()];
    const { id } = await makeTold(receiver);
    await makeTold(witness);
    expect(await deleteWebhook(g.server, id)).toMatchObject({ deletedWebhookId: id });
    webhooks.splice(webhooks.indexOf(id), 1);
    await send();
    await witness.received(1);
    expect(receiver.attempts).toEqual([]);
    const missing = { code: 'NOT_FOUND', path: ['webhook'] };
    expect(await deleteWebhook(g.server, id)).toMatchObject(missing);
    expect(await resumeWebhook(g.server, id)).toMatchObject(missing);
  });
});

describe('a secret', () => {
  test('is encrypted at rest (rule M9), and shown once: a repeat answers the webhook without it', async () => {
    const receiver = await startReceiver();
    const input = { url: receiver.url, events: ['SENT' as const], idempotencyKey: crypto.randomUUID() };
    const made = await makeWebhook(g.server, input);
    webhooks.push(made.id);
    expect(await createWebhook(g.server, input)).toMatchObject({ webhook: { id: made.id }, secret: null });
    const { secretCipher } = await g.db.webhook.findUniqueOrThrow({ where: { id: localIdOf(made.id) } });
    expect(Buffer.from(secretCipher).toString('latin1')).not.toContain(made.secret);
    const kept = await g.db.idempotencyKey.findFirst({ where: { mutation: 'createWebhook' } });
    expect(JSON.stringify(kept)).not.toContain(made.secret);
  });
});

const Node = graphql(`query WebhookNode($id: ID!) { node(id: $id) { __typename ... on Webhook { url } } }`);

test('a webhook is found by its global id', async () => {
  const receiver = await startReceiver();
  const { id } = await makeTold(receiver);
  expect((await g.server.run(Node, { id })).node).toEqual({ __typename: 'Webhook', url: receiver.url });
});

describe('what is refused', () => {
  test.each([
    [{ url: 'ftp://a.example' }, 'url'],
    [{ url: 'no address' }, 'url'],
    [{ url: 'https://user:password@a.example' }, 'url'],
    [{ url: `https://a.example/${'a'.repeat(2_048)}` }, 'url'],
    [{ events: [] }, 'events'],
    [{ events: ['SENDING' as const] }, 'events'],
  ])('%j', async (wrong, field) => {
    expect(await createWebhook(g.server, { url: 'https://a.example', events: ['SENT'], ...wrong })).toMatchObject({
      code: 'VALUE_INVALID',
      path: [field],
    });
  });

  test('an app that is not there', async () => {
    const input = { url: 'https://a.example', events: ['SENT' as const], app: crypto.randomUUID() };
    expect(await createWebhook(g.server, input)).toMatchObject({ code: 'NOT_FOUND', path: ['app'] });
  });

  test('more than a hundred', async () => {
    await g.pool.query(sql`
      insert into webhooks (id, url, secret_cipher, events, cursor_epoch, cursor_position, cursor_tag, disabled_at)
      select gen_random_uuid(), 'https://a.example/', '', '{SENT}', gen_random_uuid(), 0, 0, now() from generate_series(1, 100)`);
    expect(await createWebhook(g.server, { url: 'https://a.example', events: ['SENT'] })).toMatchObject({
      code: 'LIMIT_EXCEEDED',
    });
    await g.pool.query(sql`delete from webhooks`);
  });
});
