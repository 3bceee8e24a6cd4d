import { expect, test } from 'vitest';
import { beginSends } from '../../src/deliveries/begin-sends.ts';
import { claimDue, releaseClaim, renewClaim, takeBackExpiredClaims } from '../../src/deliveries/claim.ts';
import { recordEnds, type SendEnd } from '../../src/deliveries/record-ends.ts';
import { newId } from '../../src/ids.ts';
import { sql } from '../../src/storage/database.ts';
import { useDatabase } from '../support/database.ts';
import { insertNotification } from '../support/log-events.ts';

const database = useDatabase();

/** Queued e-mails of a new notification. */
async function makeQueued(count: number): Promise<string> {
  const notificationId = await insertNotification(database.pool);
  await database.pool.query(sql`
    with people as (insert into users (id) select uuid_v7() from generate_series(1, ${count}) returning id),
    addressed as (
      insert into recipients (id, channel, user_id, address)
      select uuid_v7(), 'EMAIL', id, id || '@example.com' from people
      returning id, user_id
    )
    insert into deliveries (id, notification_id, target_key, channel, user_id, recipient_id, status)
    select uuid_v7(), ${notificationId}::uuid, id, 'EMAIL', user_id, id, 'QUEUED' from addressed`);
  return notificationId;
}

const claim = (notificationId: string, limit: number, leaseSeconds = 60) =>
  claimDue(database.db, { notificationId, token: newId(), limit, leaseSeconds, pausedChannels: [] });

const listDeliveries = (notificationId: string) =>
  database.db.delivery.findMany({ where: { notificationId }, orderBy: { id: 'asc' } });

async function accept(token: string, deliveryIds: string[]): Promise<number> {
  const due = await beginSends(database.db, { token, deliveryIds, leaseSeconds: 60 });
  const ends = due.map(
    (delivery): SendEnd => ({
      delivery,
      sent: { kind: 'accepted', providerCode: null },
      outcome: { deliveryId: delivery.id, status: 'SENT', reason: null, providerCode: null },
    }),
  );
  await recordEnds(database.db, token, ends);
  return due.length;
}

test('claims at once never hold the same delivery, and together hold all that is due', async () => {
  const notificationId = await makeQueued(100);
  const claims = await Promise.all(Array.from({ length: 10 }, () => claim(notificationId, 30)));
  const held = claims.flatMap(({ deliveryIds }) => deliveryIds);
  while (held.length < 100) held.push(...(await claim(notificationId, 30)).deliveryIds);
  expect(new Set(held).size).toBe(100);
  expect(held).toHaveLength(100);
});

test('what is not due yet, and what goes by a paused channel, is not claimed', async () => {
  const notificationId = await makeQueued(2);
  const [first] = await listDeliveries(notificationId);
  await database.db.delivery.update({
    where: { id: first?.id ?? '' },
    data: { nextAttemptAt: new Date(Date.now() + 60_000) },
  });
  const request = { notificationId, token: newId(), limit: 10, leaseSeconds: 60 };
  expect((await claimDue(database.db, { ...request, pausedChannels: ['EMAIL'] })).deliveryIds).toEqual([]);
  expect((await claimDue(database.db, { ...request, pausedChannels: ['SMS'] })).deliveryIds).toHaveLength(1);
});

test('of a channel no more than its limit is claimed, the first of them, and it is told that more are due', async () => {
  const notificationId = await makeQueued(10);
  const [first, ...others] = await listDeliveries(notificationId);
  await database.pool.query(sql`
    update deliveries set channel = 'SMS' where notification_id = ${notificationId}::uuid and id <> ${first?.id ?? ''}::uuid`);
  const request = { notificationId, limit: 10, leaseSeconds: 60, pausedChannels: [] };
  const channelLimits = new Map([['SMS', 4] as const]);
  const claimNext = () => claimDue(database.db, { ...request, token: newId(), channelLimits });
  const ids = [first, ...others].map((delivery) => delivery?.id ?? '');
  expect(await claimNext()).toMatchObject({ deliveryIds: ids.slice(0, 5), rest: 'LIMITED' });
  expect(await claimNext()).toMatchObject({ deliveryIds: ids.slice(5, 9), rest: 'LIMITED' });
  expect(await claimNext()).toMatchObject({ deliveryIds: ids.slice(9), rest: 'NONE' });
});

test('who has lost a claim begins no send and writes no outcome', async () => {
  const notificationId = await makeQueued(3);
  const lost = await claim(notificationId, 10, -1);
  const due = await beginSends(database.db, { ...lost, leaseSeconds: -1 });
  await takeBackExpiredClaims(database.db, { all: false });
  const held = await claim(notificationId, 10);
  expect(held.deliveryIds).toEqual(lost.deliveryIds);
  expect(await accept(lost.token, lost.deliveryIds)).toBe(0);
  await recordEnds(
    database.db,
    lost.token,
    due.map((delivery) => ({
      delivery,
      sent: { kind: 'accepted', providerCode: null, receipt: 'DELIVERED' },
      outcome: { deliveryId: delivery.id, status: 'SENT', reason: null, providerCode: null },
    })),
  );
  await releaseClaim(database.db, lost.token, lost.deliveryIds);
  await renewClaim(database.db, lost, 3_600);
  for (const delivery of await listDeliveries(notificationId)) {
    expect(delivery).toMatchObject({ status: 'SENDING', claimToken: held.token, attempts: 1 });
    expect(delivery.claimExpiresAt?.getTime()).toBeLessThan(Date.now() + 600_000);
  }
  expect(await accept(held.token, held.deliveryIds)).toBe(3);
  for (const delivery of await listDeliveries(notificationId))
    expect(delivery).toMatchObject({ status: 'SENT', attempts: 2 });
});

test('what was claimed in time but is begun too late is refused, and costs no attempt', async () => {
  const notificationId = await makeQueued(1);
  const { token, deliveryIds } = await claim(notificationId, 10);
  await database.pool.query(sql`update notifications set expires_at = now() where id = ${notificationId}::uuid`);
  const due = await beginSends(database.db, { token, deliveryIds, leaseSeconds: 60 });
  expect(due).toMatchObject([{ refusal: 'TTL_PASSED', attempts: 0 }]);
});

test('a claim that is renewed is not taken back, one that is not is', async () => {
  const [renewed, forgotten] = [await makeQueued(2), await makeQueued(2)];
  const held = await claim(renewed, 10, -1);
  await claim(forgotten, 10, -1);
  await renewClaim(database.db, held, 60);
  await takeBackExpiredClaims(database.db, { all: false });
  expect((await listDeliveries(renewed)).map(({ status }) => status)).toEqual(['SENDING', 'SENDING']);
  expect((await listDeliveries(forgotten)).map(({ status }) => status)).toEqual(['QUEUED', 'QUEUED']);
});

test('what was claimed but not begun costs no attempt when it is given back or taken back', async () => {
  const notificationId = await makeQueued(2);
  const held = await claim(notificationId, 10);
  await releaseClaim(database.db, held.token, held.deliveryIds);
  await claim(notificationId, 10);
  await takeBackExpiredClaims(database.db, { all: true });
  expect((await listDeliveries(notificationId)).map(({ status, attempts }) => [status, attempts])).toEqual([
    ['QUEUED', 0],
    ['QUEUED', 0],
  ]);
});

test('renewing, sending and taking back at once never deadlock', async () => {
  const notificationId = await makeQueued(200);
  const held = await claim(notificationId, 200);
  const backwards = { ...held, deliveryIds: held.deliveryIds.toReversed() };
  await Promise.all([
    ...Array.from({ length: 20 }, () => renewClaim(database.db, backwards, 60)),
    ...Array.from({ length: 20 }, () => takeBackExpiredClaims(database.db, { all: false })),
    accept(held.token, held.deliveryIds),
  ]);
  expect(new Set((await listDeliveries(notificationId)).map(({ status }) => status))).toEqual(new Set(['SENT']));
});
