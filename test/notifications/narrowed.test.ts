import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { sql } from '../../src/storage/database.ts';
import type { SendNotificationInput } from '../generated/graphql.ts';
import { fcmAddress, newEmail } from '../support/addresses.ts';
import { useGatewayAndWorker } from '../support/gateway-and-worker.ts';
import { makeApp } from '../support/make-app.ts';
import {
  makeInstallation,
  makeNotification,
  personalize,
  sendNotification,
  settledDeliveries,
} from '../support/operations.ts';
import { localIdOf, makePerson, makeSegment, mergeUsers, toSend } from '../support/send-operations.ts';

const g = useGatewayAndWorker();

type Target = SendNotificationInput['target'];

/** What becomes of a notification: `[user, channel, status, reason]`. */
async function endsOf(target: Target, rest: Partial<SendNotificationInput> = {}) {
  const notification = await makeNotification(g.server, toSend(target, { channels: ['PUSH'], ...rest }));
  await g.startWorker();
  const { deliveries } = await settledDeliveries(g.server, notification);
  return deliveries.nodes.map(({ user, channel, status, reason }) => [user?.id, channel, status, reason]);
}

/** A further installation of a person, seen at a moment. */
async function addInstallation(
  { externalUserId }: { externalUserId?: string | null },
  { seen, app = g.app }: { seen: string; app?: typeof g.app },
) {
  const installation = await makeInstallation(app, { platform: 'ANDROID', address: fcmAddress() });
  await personalize(g.server, {
    installation: installation.pushRegistrationId,
    userIdentity: { externalUserId: externalUserId ?? '' },
  });
  await setSeen(installation.pushRegistrationId, seen);
  return installation;
}

const setSeen = (installation: string, at: string) =>
  g.pool.query(sql`update installations set last_seen_at = ${at}::timestamptz where id = ${installation}::uuid`);

const setSubscribed = (installation: string, at: string) =>
  g.pool.query(sql`update installations set subscribed_at = ${at}::timestamptz where id = ${installation}::uuid`);

async function pushedTo(notification: string): Promise<string[]> {
  await g.startWorker();
  await settledDeliveries(g.server, notification);
  const { rows } = await g.pool.query<{ id: string }>(sql`
    select r.installation_id as id from deliveries d join recipients r on r.id = d.recipient_id
    where d.notification_id = ${localIdOf(notification)}::uuid and d.status = 'SENT'`);
  return rows.map(({ id }) => id);
}

test('only what was subscribed in the time gets it, from its begin to before its end (rule M6)', async () => {
  const people = await Promise.all(Array.from({ length: 4 }, () => makePerson(g.server)));
  const [before, atBegin, within, atEnd] = people;
  const days = ['2026-01-31T23:59:59.999Z', '2026-02-01T00:00:00Z', '2026-02-10T00:00:00Z', '2026-03-01T00:00:00Z'];
  for (const [index, { installation }] of people.entries())
    await setSubscribed(installation.pushRegistrationId, days[index] ?? '');
  const time = { subscribedFrom: '2026-02-01T00:00:00Z', subscribedTo: '2026-03-01T00:00:00Z' };
  const segments = [
    await makeSegment(
      g.server,
      people.map(({ id }) => id),
    ),
  ];
  const ends = await endsOf({ segments }, time);
  expect(ends.map(([user]) => user).sort()).toEqual([atBegin?.id, within?.id].sort());
  // Who is named is told of, too.
  const named = await endsOf({ users: [{ id: before?.id ?? '' }, { id: atEnd?.id ?? '' }] }, time);
  expect(named.sort()).toEqual([before?.id, atEnd?.id].sort().map((user) => [user, 'PUSH', 'DISCARDED', 'NO_ADDRESS']));
});

test('an e-mail address has subscribed when it was added (rule M6)', async () => {
  const [old, fresh] = [
    await makePerson(g.server, { emails: [newEmail()] }),
    await makePerson(g.server, { emails: [newEmail()] }),
  ];
  await g.pool.query(sql`
    update recipients set created_at = '2025-01-01' where user_id = ${localIdOf(old.id)}::uuid`);
  const segments = [await makeSegment(g.server, [old.id, fresh.id])];
  const ends = await endsOf({ segments }, { channels: ['EMAIL'], subscribedFrom: '2026-01-01T00:00:00Z' });
  expect(ends).toEqual([[fresh.id, 'EMAIL', 'SENT', null]]);
});

test('a push goes only to installations of the apps that are named', async () => {
  const app = await makeApp(g);
  const client = g.app.as(app.secret);
  const [both, first] = [await makePerson(g.server), await makePerson(g.server)];
  const { externalUserId } = both;
  const theirs = await addInstallation({ externalUserId }, { seen: '2026-01-01', app: client });
  const segments = [await makeSegment(g.server, [both.id, first.id])];
  const notification = await makeNotification(g.server, toSend({ segments }, { channels: ['PUSH'], apps: [app.id] }));
  expect(await pushedTo(notification)).toEqual([theirs.pushRegistrationId]);
  expect((await settledDeliveries(g.server, notification)).progress.total).toBe(1);
});

test('one per user is the installation that was seen last of those that can be reached (rule M7)', async () => {
  const person = await makePerson(g.server, { emails: [newEmail()] });
  await setSeen(person.installation.pushRegistrationId, '2026-01-01');
  const last = await addInstallation(person, { seen: '2026-03-01' });
  const unreachable = await addInstallation(person, { seen: '2026-04-01' });
  await g.pool.query(sql`
    update installations set push_status = 'BLOCKED' where id = ${unreachable.pushRegistrationId}::uuid`);
  const notification = await makeNotification(
    g.server,
    toSend({ users: [{ id: person.id }] }, { channels: ['PUSH', 'EMAIL'], onePerUser: true }),
  );
  await g.startWorker();
  const { deliveries } = await settledDeliveries(g.server, notification);
  expect(deliveries.nodes.map(({ channel, status }) => `${channel} ${status}`).sort()).toEqual([
    'EMAIL SENT',
    'PUSH SENT',
  ]);
  expect(await pushedTo(notification)).toContain(last.pushRegistrationId);
});

test('one per user is one, also when the installation is named itself, and after a merge between two pages (rule M7)', async () => {
  const survivor = await makePerson(g.server);
  const merged = await makePerson(g.server);
  await setSeen(merged.installation.pushRegistrationId, '2030-01-01');
  const segment = await makeSegment(g.server, [survivor.id, merged.id]);
  const target = { segments: [segment], installations: [survivor.installation.pushRegistrationId] };
  const notification = await makeNotification(g.server, toSend(target, { channels: ['PUSH'], onePerUser: true }));
  await mergeUsers(g.server, { survivor: survivor.id, merged: merged.id });
  expect(await pushedTo(notification)).toEqual([survivor.installation.pushRegistrationId]);
});

test('one address in two segments, under a filter, and named, gets it once', async () => {
  const person = await makePerson(g.server, { emails: [newEmail()] });
  const tag = randomUUID();
  await g.pool.query(sql`update users set tags = ${[tag]}::text[] where id = ${localIdOf(person.id)}::uuid`);
  const segments = [await makeSegment(g.server, [person.id]), await makeSegment(g.server, [person.id])];
  const users = [{ id: person.id }, { externalUserId: person.externalUserId ?? '' }];
  const installations = [person.installation.pushRegistrationId, person.installation.id];
  const ends = await endsOf({ segments, users, installations, filter: { tag } }, { channels: ['PUSH', 'EMAIL'] });
  expect(ends.map(([, channel, status]) => `${channel} ${status}`).sort()).toEqual(['EMAIL SENT', 'PUSH SENT']);
});

test('a limit holds after targeting and excludes, across pages: the named first, then the oldest profiles', async () => {
  const tag = randomUUID();
  await g.pool.query(sql`
    insert into users (id, tags) select uuid_v7(), ${[tag]}::text[] from generate_series(1, 1300)`);
  const { rows } = await g.pool.query<{ id: string }>(sql`
    select id from users where tags @> ${[tag]}::text[] order by id`);
  const ids = rows.map(({ id }) => id);
  const [excluded, named] = [ids.slice(0, 10), ids.slice(1_290)];
  const segment = await makeSegment(g.server, excluded);
  const target = { filter: { tag }, users: named.map((id) => ({ id })), excludeSegments: [segment], limit: 1_100 };
  const notification = await makeNotification(g.server, toSend(target, { channels: ['SMS'] }));
  await g.startWorker({}, { usersPerPage: 500 });
  await settledDeliveries(g.server, notification);
  const made = await g.db.delivery.findMany({
    where: { notificationId: localIdOf(notification) },
    select: { userId: true },
  });
  expect(made.map(({ userId }) => userId).sort()).toEqual([...ids.slice(10, 1_100), ...named].sort());
});

test('a limit counts users and installations that are named', async () => {
  const people = [await makePerson(g.server), await makePerson(g.server), await makePerson(g.server)];
  const installations = people.slice(1).map(({ installation }) => installation.pushRegistrationId);
  const ends = await endsOf({ users: [{ id: people[0]?.id ?? '' }], installations, limit: 2 });
  expect(ends.map(([user]) => user).sort()).toEqual(
    people
      .slice(0, 2)
      .map(({ id }) => id)
      .sort(),
  );
});

test.each([
  ['a limit of nobody', { target: { users: [{ id: randomUUID() }], limit: 0 } }, 'VALUE_INVALID', ['target', 'limit']],
  [
    'everyone and somebody',
    { target: { users: [{ id: randomUUID() }], everyone: true } },
    'VALUE_INVALID',
    ['target', 'everyone'],
  ],
  ['not everyone, and nobody else', { target: { everyone: false } }, 'TARGET_EMPTY', ['target']],
  ['a limit and nobody', { target: { limit: 1 } }, 'TARGET_EMPTY', ['target']],
  ['no apps', { target: { everyone: true }, apps: [] }, 'VALUE_INVALID', ['apps']],
  ['an app that does not exist', { target: { everyone: true }, apps: [randomUUID()] }, 'NOT_FOUND', ['apps', '0']],
  ['what is no app', { target: { everyone: true }, apps: ['x'] }, 'NOT_FOUND', ['apps', '0']],
  [
    'a time that ends before it begins',
    { target: { everyone: true }, subscribedFrom: '2026-02-01T00:00:00Z', subscribedTo: '2026-01-01T00:00:00Z' },
    'VALUE_INVALID',
    ['subscribedTo'],
  ],
] as const)('%s is refused', async (_, { target, ...rest }, code, path) => {
  const input = toSend(target as Target, rest as Partial<SendNotificationInput>);
  expect(await sendNotification(g.server, input)).toMatchObject({ code, path });
});
