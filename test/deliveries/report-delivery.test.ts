import { describe, expect, test } from 'vitest';
import { createReceiptToken } from '../../src/deliveries/receipt-token.ts';
import { createCipher } from '../../src/storage/cipher.ts';
import { sql } from '../../src/storage/database.ts';
import { fcmAddress } from '../support/addresses.ts';
import { useApp } from '../support/app.ts';
import type { Client } from '../support/client.ts';
import {
  depersonalize,
  makeInstallation,
  makeNotification,
  makeUser,
  settledDeliveries,
} from '../support/operations.ts';
import { localIdOf, makePerson, reportDelivery, toSend } from '../support/send-operations.ts';

const dataEncryptionKey = Buffer.alloc(32, 7);
const g = useApp({ dataEncryptionKey });

/** A push that was sent, its receipt token, and the installation's own client. */
async function makeSentPush() {
  const user = await makePerson(g.server);
  const target = { installations: [user.installation.pushRegistrationId] };
  const notification = await makeNotification(g.server, toSend(target));
  const [delivery] = (await settledDeliveries(g.server, notification)).deliveries.nodes;
  if (delivery?.status !== 'SENT') throw new Error('The push was not sent.');
  return {
    notification,
    delivery: delivery.id,
    receiptToken: createReceiptToken(createCipher(dataEncryptionKey), localIdOf(delivery.id)),
    receiver: g.app.as(user.installation.token),
    installation: user.installation,
  };
}

async function storyOf(client: Client, ...input: Parameters<typeof reportDelivery>[1][]) {
  let last: Awaited<ReturnType<typeof reportDelivery>> | null = null;
  for (const report of input) last = await reportDelivery(client, report);
  if (last?.__typename !== 'ReportDeliveryPayload') throw new Error(`Refused: ${JSON.stringify(last)}`);
  return { ...last.delivery, story: last.delivery.events.map(({ status }) => status) };
}

const refused = { __typename: 'NotFoundError', code: 'NOT_FOUND', path: ['delivery'] };

describe('a receipt is taken', () => {
  test('from the installation that the push was for', async () => {
    const { delivery, receiver } = await makeSentPush();
    expect(await storyOf(receiver, { delivery, status: 'DELIVERED' })).toMatchObject({
      status: 'DELIVERED',
      story: ['QUEUED', 'SENT', 'DELIVERED'],
    });
  });

  test('from a server key', async () => {
    const { delivery } = await makeSentPush();
    expect(await storyOf(g.server, { delivery, status: 'OPENED' })).toMatchObject({
      story: ['QUEUED', 'SENT', 'OPENED'],
    });
  });

  test('from whoever has the receipt token: nobody, an app key, another installation', async () => {
    const other = g.app.as((await makeInstallation(g.app)).token);
    for (const client of [g.nobody, g.app, other]) {
      const { delivery, receiptToken } = await makeSentPush();
      expect(await storyOf(client, { delivery, status: 'CLICKED', receiptToken })).toMatchObject({ status: 'CLICKED' });
    }
  });

  test('under the id that travels inside the push', async () => {
    const { delivery, receiptToken } = await makeSentPush();
    const told = { delivery: localIdOf(delivery), status: 'DELIVERED' as const, receiptToken };
    expect(await storyOf(g.nobody, told)).toMatchObject({ id: delivery, status: 'DELIVERED' });
  });

  test('from the installation also when its person has left it since', async () => {
    const { delivery, receiver, installation } = await makeSentPush();
    await depersonalize(g.server, installation.pushRegistrationId);
    const report = await reportDelivery(receiver, { delivery, status: 'DELIVERED' });
    expect(report?.__typename).toBe('ReportDeliveryPayload');
  });
});

describe('a delivery does not exist', () => {
  test('for nobody, an app key, and another installation', async () => {
    const { delivery } = await makeSentPush();
    const other = g.app.as((await makeInstallation(g.app)).token);
    for (const client of [g.nobody, g.app, other]) {
      expect(await reportDelivery(client, { delivery, status: 'DELIVERED' })).toEqual(refused);
    }
  });

  test("for another installation of the same person: it was not that one's", async () => {
    const { delivery, installation } = await makeSentPush();
    const owner = await g.db.installation.findUniqueOrThrow({ where: { id: installation.pushRegistrationId } });
    const { value } = await g.db.identifier.findFirstOrThrow({ where: { userId: owner.userId } });
    const sibling = await makeInstallation(g.server, { platform: 'ANDROID', address: fcmAddress() });
    await makeUser(g.server, { installation: sibling.pushRegistrationId, userIdentity: { externalUserId: value } });
    expect(await reportDelivery(g.app.as(sibling.token), { delivery, status: 'DELIVERED' })).toEqual(refused);
  });

  test('for a server key, when there is none', async () => {
    expect(await reportDelivery(g.server, { delivery: crypto.randomUUID(), status: 'DELIVERED' })).toEqual(refused);
  });
});

test.each([
  '',
  'x',
  'A'.repeat(43),
  'A'.repeat(100_000),
])('a wrong receipt token is refused, whoever brings it (%#)', async (receiptToken) => {
  const { delivery, receiver } = await makeSentPush();
  for (const client of [g.nobody, g.server, receiver]) {
    const report = await reportDelivery(client, { delivery, status: 'DELIVERED', receiptToken });
    expect(report).toMatchObject({ code: 'TOKEN_INVALID', path: ['receiptToken'] });
  }
});

test('the receipt token of another delivery is refused', async () => {
  const [{ delivery }, { receiptToken }] = [await makeSentPush(), await makeSentPush()];
  expect(await reportDelivery(g.nobody, { delivery, status: 'DELIVERED', receiptToken })).toMatchObject({
    code: 'TOKEN_INVALID',
  });
});

describe('what is told', () => {
  test('again or late changes nothing', async () => {
    const { delivery, receiver, notification } = await makeSentPush();
    const statuses = ['OPENED', 'DELIVERED', 'OPENED', 'CLICKED', 'CLICKED', 'DELIVERED', 'OPENED'] as const;
    const { story, status } = await storyOf(receiver, ...statuses.map((told) => ({ delivery, status: told })));
    expect({ story, status }).toEqual({ story: ['QUEUED', 'SENT', 'OPENED', 'CLICKED'], status: 'CLICKED' });
    const { progress } = await settledDeliveries(g.server, notification);
    expect(progress).toMatchObject({
      total: 1,
      clicked: 1,
      opened: 0,
      reached: { sent: 1, delivered: 1, opened: 1, clicked: 1 },
    });
  });

  test('by ten at once is told once', async () => {
    const { delivery, receiver } = await makeSentPush();
    await Promise.all(Array.from({ length: 10 }, () => reportDelivery(receiver, { delivery, status: 'OPENED' })));
    expect((await storyOf(receiver, { delivery, status: 'OPENED' })).story).toEqual(['QUEUED', 'SENT', 'OPENED']);
  });

  test('as DISMISSED is an event, once, and no status', async () => {
    const { delivery, receiver } = await makeSentPush();
    const told = { delivery, status: 'DISMISSED' as const };
    const { story, status } = await storyOf(receiver, told, told);
    expect({ story, status }).toEqual({ story: ['QUEUED', 'SENT', 'DISMISSED'], status: 'SENT' });
  });

  test('with the same idempotency key is taken once, and with another body refused', async () => {
    const { delivery, receiver } = await makeSentPush();
    const told = { delivery, status: 'DELIVERED' as const, idempotencyKey: 'key' };
    expect((await storyOf(receiver, told, told)).story).toEqual(['QUEUED', 'SENT', 'DELIVERED']);
    expect(await reportDelivery(receiver, { ...told, status: 'OPENED' })).toMatchObject({
      code: 'IDEMPOTENCY_KEY_REUSED',
    });
  });

  test('of a delivery that has ended otherwise changes nothing', async () => {
    const { delivery, receiver } = await makeSentPush();
    await g.pool.query(sql`update deliveries set status = 'BOUNCED' where id = ${localIdOf(delivery)}::uuid`);
    expect((await storyOf(receiver, { delivery, status: 'CLICKED' })).status).toBe('BOUNCED');
  });

  test("before the worker's own record gives SENT first, and the worker changes nothing then", async () => {
    const { delivery, receiver } = await makeSentPush();
    await g.pool.query(sql`
      update deliveries set status = 'SENDING', claim_token = gen_random_uuid(), claim_expires_at = now() + interval '1 hour'
      where id = ${localIdOf(delivery)}::uuid`);
    const { story, status } = await storyOf(receiver, { delivery, status: 'DELIVERED' });
    expect({ story: story.slice(-2), status }).toEqual({ story: ['SENT', 'DELIVERED'], status: 'DELIVERED' });
    expect(await g.db.delivery.findUnique({ where: { id: localIdOf(delivery) } })).toMatchObject({ claimToken: null });
  });
});

describe('the time of a receipt', () => {
  test('is what the receiver says, between the making of the delivery and now', async () => {
    const { delivery, receiver } = await makeSentPush();
    const { createdAt } = await g.db.delivery.findUniqueOrThrow({ where: { id: localIdOf(delivery) } });
    const lateAt = new Date(Date.now() + 86_400_000);
    const early = await storyOf(receiver, { delivery, status: 'DELIVERED', at: '2001-01-01T00:00:00Z' });
    expect(new Date(early.updatedAt)).toEqual(createdAt);
    const late = await storyOf(receiver, { delivery, status: 'OPENED', at: lateAt.toISOString() });
    expect(new Date(late.updatedAt).getTime()).toBeLessThan(lateAt.getTime() - 3_600_000);
    await g.pool.query(
      sql`update deliveries set created_at = now() - interval '1 hour' where id = ${localIdOf(delivery)}::uuid`,
    );
    const halfAnHourAgo = new Date(Date.now() - 1_800_000);
    const between = await storyOf(receiver, { delivery, status: 'CLICKED', at: halfAnHourAgo.toISOString() });
    expect(new Date(between.updatedAt)).toEqual(halfAnHourAgo);
    expect(between.events.at(-1)).toMatchObject({ status: 'CLICKED', at: between.updatedAt });
  });
});

test('who repeats the idempotency key of somebody with a token, without one, is told nothing', async () => {
  const { delivery, receiptToken } = await makeSentPush();
  const report = { delivery, status: 'DELIVERED', idempotencyKey: 'first' } as const;
  expect(await reportDelivery(g.nobody, { ...report, receiptToken })).toMatchObject({
    __typename: 'ReportDeliveryPayload',
  });
  expect(await reportDelivery(g.nobody, report)).toEqual(refused);
});
