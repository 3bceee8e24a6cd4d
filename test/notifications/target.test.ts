import { randomBytes, randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { sql } from '../../src/storage/database.ts';
import type { SendNotificationInput } from '../generated/graphql.ts';
import { useGatewayAndWorker } from '../support/gateway-and-worker.ts';
import {
  makeInstallation,
  makeNotification,
  personalize,
  sendNotification,
  settledDeliveries,
} from '../support/operations.ts';
import { makeDynamicSegment, updateSegment } from '../support/segments/operations.ts';
import { localIdOf, makePerson, makeSegment, mergeUsers, toSend } from '../support/send-operations.ts';

const g = useGatewayAndWorker();

/** A person with a tag. */
async function makeTagged(tag: string) {
  const person = await makePerson(g.server);
  await setTags(person.id, [tag]);
  return person;
}

const setTags = (id: string, tags: string[]) =>
  g.pool.query(sql`update users set tags = ${tags}::text[] where id = ${localIdOf(id)}::uuid`);

type Target = SendNotificationInput['target'];
const push = (target: Target) => makeNotification(g.server, toSend(target, { channels: ['PUSH'] }));

/** Who got a delivery. */
async function reached(notification: string): Promise<string[]> {
  const { deliveries } = await settledDeliveries(g.server, notification);
  return deliveries.nodes.map(({ user }) => user?.id ?? '').sort();
}

const idsOf = (people: readonly { id: string }[]) => people.map(({ id }) => id).sort();

test('a target is everybody in its segments or under its filter, without who is in those that are left out', async () => {
  const [tag, other] = [randomUUID(), randomUUID()];
  const [filtered, both] = [await makeTagged(tag), await makeTagged(tag)];
  const [segmented, excluded, named] = [await makeTagged(other), await makeTagged(tag), await makeTagged(randomUUID())];
  const dynamic = await makeDynamicSegment(g.server, { tag: other });
  const hand = await makeSegment(g.server, [both.id, excluded.id]);
  const leftOut = await makeSegment(g.server, [excluded.id, named.id]);
  const target: Target = {
    users: [{ id: named.id }],
    segments: [dynamic, hand],
    filter: { tag },
    excludeSegments: [leftOut],
  };
  const notification = await push(target);
  await g.startWorker();
  expect(await reached(notification)).toEqual(idsOf([filtered, both, segmented]));
  const { body } = await g.server.send(
    'query($id: ID!) { notification(id: $id) { target { filter segments { id } excludeSegments { id } } } }',
    { id: notification },
  );
  expect(body.data).toEqual({
    notification: {
      target: { filter: { tag }, segments: [{ id: dynamic }, { id: hand }], excludeSegments: [{ id: leftOut }] },
    },
  });
});

test('who a filter is about, and what a segment asks for, is decided at the fan-out (M6)', async () => {
  const [tag, later] = [randomUUID(), randomUUID()];
  const [stays, leaves, comes] = [await makeTagged(tag), await makeTagged(tag), await makeTagged(later)];
  const segment = await makeDynamicSegment(g.server, { tag });
  const [byFilter, bySegment] = [await push({ filter: { tag } }), await push({ segments: [segment] })];
  await setTags(leaves.id, []);
  await updateSegment(g.server, { segment, filter: { tag: later } });
  await g.startWorker();
  expect(await reached(byFilter)).toEqual([stays.id]);
  expect(await reached(bySegment)).toEqual([comes.id]);
});

test('a filter of several pages is reached as a whole, each user once', async () => {
  const tag = randomUUID();
  await g.pool.query(sql`
    insert into users (id, tags) select uuid_v7(), ${[tag]}::text[] from generate_series(1, 1201)`);
  // None of them has a phone, so nothing is sent, and each is told of.
  const notification = await makeNotification(g.server, toSend({ filter: { tag } }, { channels: ['SMS'] }));
  await g.startWorker({}, { usersPerPage: 500 });
  const { progress, deliveries } = await settledDeliveries(g.server, notification);
  expect(progress).toMatchObject({ total: 1_201, discarded: 1_201 });
  expect(new Set(deliveries.nodes.map(({ user }) => user?.id)).size).toBe(deliveries.nodes.length);
});

test('who comes under a filter by a merge, behind the walk, is reached', async () => {
  const [tag, email] = [randomUUID(), `${randomUUID()}@example.com`];
  const survivor = await makePerson(g.server, { emails: [email] });
  const merged = await makePerson(g.server);
  await setTags(merged.id, [tag]);
  const notification = await makeNotification(g.server, toSend({ filter: { tag } }, { channels: ['EMAIL'] }));
  const cursor = JSON.stringify({ phase: 'segments', after: localIdOf(survivor.id) });
  await g.pool.query(
    sql`update notifications set fan_out_cursor = ${cursor}::jsonb where id = ${localIdOf(notification)}::uuid`,
  );
  await mergeUsers(g.server, { survivor: survivor.id, merged: merged.id });
  await g.startWorker();
  expect(await reached(notification)).toEqual([survivor.id]);
});

/** A person with an Android and an iOS installation, both of which can be pushed to. */
async function makeTwoDevices(tag: string) {
  const person = await makePerson(g.server);
  const ios = await makeInstallation(g.server, {
    platform: 'IOS',
    address: { apns: { token: randomBytes(32).toString('hex') } },
  });
  await personalize(g.server, {
    installation: ios.pushRegistrationId,
    userIdentity: { externalUserId: person.externalUserId },
  });
  await setTags(person.id, [tag]);
  return { ...person, ios: ios.id, android: person.installation.id };
}

/** Which installations got a push. */
async function pushedTo(target: Target): Promise<string[]> {
  const notification = await push(target);
  await g.startWorker();
  await settledDeliveries(g.server, notification);
  const { rows } = await g.pool.query<{ id: string }>(sql`
    select encode(convert_to('Installation:' || r.installation_id, 'UTF8'), 'base64') as id
    from deliveries d join recipients r on r.id = d.recipient_id
    where d.notification_id = ${localIdOf(notification)}::uuid`);
  return rows.map(({ id }) => id.replaceAll('\n', '')).sort();
}

test('a push goes only to the installations that fit the `installation` of a filter', async () => {
  const tag = randomUUID();
  const { ios, android } = await makeTwoDevices(tag);
  const onIos = { installation: { platform: ['IOS' as const] } };
  const onAndroid = { installation: { platform: ['ANDROID' as const] } };
  expect(await pushedTo({ filter: { all: [{ tag }, onIos] } })).toEqual([ios]);
  const segment = await makeDynamicSegment(g.server, { all: [{ tag }, onAndroid] });
  expect(await pushedTo({ segments: [segment] })).toEqual([android]);
  const all = [ios, android].sort();
  expect(await pushedTo({ filter: { all: [{ tag }, onIos, onAndroid] } })).toEqual(all);
  expect(await pushedTo({ filter: { any: [{ tag }, onIos] } })).toContain(android);
  expect(await pushedTo({ filter: { all: [{ tag }, { not: { installation: { isPrimary: true } } }] } })).toEqual(all);
});

test.each<[string, Target, string, string[]]>([
  ['nobody', {}, 'TARGET_EMPTY', ['target']],
  ['people left out only', { excludeSegments: [] }, 'TARGET_EMPTY', ['target']],
  ['an empty filter (N7)', { filter: { all: [] } }, 'VALUE_INVALID', ['target', 'filter', 'all']],
  [
    'an undefined attribute',
    { filter: { attribute: { name: 'none', eq: 1 } } },
    'ATTRIBUTE_INVALID',
    ['target', 'filter', 'attribute', 'name'],
  ],
  [
    'an unknown segment',
    { filter: { not: { inSegment: randomUUID() } } },
    'NOT_FOUND',
    ['target', 'filter', 'not', 'inSegment'],
  ],
  [
    'an unknown one left out',
    { users: [{ id: randomUUID() }], excludeSegments: [randomUUID()] },
    'NOT_FOUND',
    ['target', 'excludeSegments', '0'],
  ],
])('a target is refused that is %s', async (_, target, code, path) => {
  expect(await sendNotification(g.server, toSend(target))).toMatchObject({ code, path });
});
