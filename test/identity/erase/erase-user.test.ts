import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import { fcmAddress, newEmail, newPhone } from '../../support/addresses.ts';
import { useApp } from '../../support/app.ts';
import { dumpDatabase, eraseUser } from '../../support/erase-operations.ts';
import { insertNotification } from '../../support/log-events.ts';
import { makeInstallation, makeNotification, personalize, settledDeliveries } from '../../support/operations.ts';
import { findProfile, makeMerge, makePerson, mergeUsers, unmergeUsers } from '../../support/people.ts';
import { getRecipient, removeRecipient, updateRecipient } from '../../support/recipients.ts';
import { globalIdOf, localIdOf, makeSegment, toSend } from '../../support/send-operations.ts';
import { type Subscriber, subscribeByWebSocket } from '../../support/subscribers.ts';
import { until } from '../../support/until.ts';

const g = useApp({}, { sweepMs: 100 });

const open: Subscriber[] = [];
afterEach(() => {
  for (const subscriber of open.splice(0)) subscriber.close();
});

/** A person with a push address, who can be reached at each channel. */
async function makeReachable() {
  const [email, phone, address] = [newEmail(), newPhone(), fcmAddress()];
  const person = await makePerson(g, { emails: [email], phones: [phone] });
  await makeInstallation(g.app.as(person.token), { platform: 'ANDROID', address });
  return { ...person, email, phone, address };
}

/** Deliveries as a fan-out makes them, to all recipients of a user, that nobody sends for an hour. Answers the notification. */
async function makeQueued(userId: string, { isBroadcast = false } = {}): Promise<string> {
  const notificationId = await insertNotification(g.pool);
  await g.pool.query(
    `insert into deliveries (id, notification_id, target_key, channel, user_id, recipient_id, is_broadcast, status, next_attempt_at)
     select uuid_v7(), $1, id, channel, user_id, id, $3, 'QUEUED', now() + interval '1 hour'
     from recipients where user_id = $2 and (channel = 'PUSH' or not $3)`,
    [notificationId, localIdOf(userId), isBroadcast],
  );
  return notificationId;
}

async function statusesOf(notificationId: string): Promise<string[]> {
  const rows = await g.db.delivery.findMany({ where: { notificationId } });
  return rows.map(({ status, reason, attempts }) => `${status} ${reason} ${attempts}`);
}

describe('decision 10: erase', () => {
  test('leaves nothing that a person is called, written with or reached at, in any table', async () => {
    const person = await makeReachable();
    const merged = await makePerson(g, { emails: [newEmail()] });
    const marks = Array.from({ length: 7 }, (_, index) => `mark-${index}-${randomUUID()}`);
    const [firstName = '', lastName = '', region = '', tag = '', attribute = '', address = '', claim = ''] = marks;
    await personalize(g.server, {
      installation: person.installation.pushRegistrationId,
      userIdentity: { externalUserId: person.externalUserId },
      userAttributes: { firstName, lastName, region, tags: [tag] },
    });
    const userId = localIdOf(person.id);
    await g.db.user.update({ where: { id: userId }, data: { customAttributes: { word: attribute } } });
    await g.db.identifierClaim.create({ data: { kind: 'EXTERNAL_USER_ID', value: claim, userId } });
    const { id: recipient } = await getRecipient(g.server, { id: person.id, channel: 'EMAIL' });
    await updateRecipient(g.server, { recipient, isSubscribed: false, region: address });
    await makeSegment(g.server, [person.id]);
    // An address that came to the person from somebody else, by whose merge it went.
    const [stranger, former, passedOn] = [
      await makePerson(g),
      await makePerson(g, { emails: [newEmail()] }),
      newEmail(),
    ];
    await personalize(g.server, {
      installation: former.installation.pushRegistrationId,
      userIdentity: { externalUserId: former.externalUserId, emails: [passedOn] },
    });
    const passing = await makeMerge(g.server, { survivor: { id: stranger.id }, merged: { id: former.id } });
    const { rows } = await g.pool.query("select id from recipients where channel = 'EMAIL' and address = $1", [
      passedOn,
    ]);
    await removeRecipient(g.server, globalIdOf('EmailRecipient', rows[0].id));
    await personalize(g.server, {
      installation: person.installation.pushRegistrationId,
      userIdentity: { externalUserId: person.externalUserId, emails: [passedOn] },
    });
    // The undo tells that it has found it elsewhere.
    expect(await unmergeUsers(g.server, passing)).toMatchObject({ leftBehind: [{ name: passedOn }] });
    await mergeUsers(g.server, { survivor: { id: person.id }, merged: { id: merged.id }, allowAlias: true });
    const users = [
      { externalUserId: person.externalUserId },
      { email: person.email },
      { phone: person.phone },
      { id: person.id },
      { externalUserId: stranger.externalUserId },
    ];
    const notification = await makeNotification(g.server, toSend({ users }));
    await settledDeliveries(g.server, notification);

    const { externalUserId, email, phone, token } = { ...person, token: person.address.fcm.token.slice(0, 16) };
    const traces = [...marks, externalUserId, merged.externalUserId, email, phone, passedOn, token];
    const before = await dumpDatabase(g.pool);
    expect(traces.filter((trace) => !before.includes(trace))).toEqual([]);
    expect(await eraseUser(g.server, { email })).toEqual({ __typename: 'EraseUserPayload', erasedUser: person.id });
    const after = await dumpDatabase(g.pool);
    const found = traces.flatMap((trace) => after.split('\n').filter((line) => line.includes(trace)));
    expect(found).toEqual([]);
    // Who the others are called is not touched.
    expect(after).toContain(stranger.externalUserId);
    const { target } = await g.db.notification.findUniqueOrThrow({ where: { id: localIdOf(notification) } });
    const byId = { by: 'id', id: userId };
    expect(Object(target).users).toEqual([byId, byId, byId, byId, expect.objectContaining({ by: 'identifier' })]);
  });

  test('its ids name nobody any more, and those of who was merged into it neither; deliveries stay', async () => {
    const [person, merged] = [await makeReachable(), await makePerson(g)];
    await mergeUsers(g.server, { survivor: { id: person.id }, merged: { id: merged.id }, allowAlias: true });
    const record = await g.db.mergeRecord.findFirstOrThrow({ where: { mergedId: localIdOf(merged.id) } });
    const notification = await makeNotification(g.server, toSend({ users: [{ id: person.id }] }));
    const { deliveries, progress } = await settledDeliveries(g.server, notification);
    const recipients = deliveries.nodes.flatMap(({ recipient }) => recipient?.id ?? []);
    await eraseUser(g.server, { externalUserId: merged.externalUserId });
    const ids = [person.id, merged.id, person.installation.id, globalIdOf('MergeRecord', record.id), ...recipients];
    const { body } = await g.server.send('query($ids: [ID!]!) { nodes(ids: $ids) { id } }', { ids });
    expect(body.data).toEqual({ nodes: ids.map(() => null) });
    for (const { id, externalUserId } of [person, merged]) {
      expect(await findProfile(g.server, { id })).toBeNull();
      expect(await findProfile(g.server, { externalUserId })).toBeNull();
    }
    const left = await settledDeliveries(g.server, notification);
    expect(left.progress).toEqual(progress);
    expect(left.deliveries.nodes.map(({ user, recipient }) => [user, recipient])).toEqual(
      recipients.map(() => [null, null]),
    );
    const next = await settledDeliveries(
      g.server,
      await makeNotification(g.server, toSend({ users: [{ id: person.id }, { id: merged.id }] })),
    );
    expect(next.deliveries.nodes).toMatchObject([
      { status: 'DISCARDED', reason: 'UNKNOWN_USER', user: null },
      { status: 'DISCARDED', reason: 'UNKNOWN_USER', user: null },
    ]);
  });

  test('ends what is queued as ERASED, but not what goes to an installation that is somebody else’s by now', async () => {
    const [person, other] = [await makeReachable(), await makePerson(g)];
    const [queued, broadcast] = [await makeQueued(person.id), await makeQueued(person.id, { isBroadcast: true })];
    await personalize(g.server, {
      installation: person.installation.pushRegistrationId,
      userIdentity: { externalUserId: other.externalUserId },
      forceDepersonalize: true,
    });
    await eraseUser(g.server, { id: person.id });
    expect((await statusesOf(queued)).sort()).toEqual([
      'CANCELLED DEPERSONALIZED 0',
      ...Array(3).fill('CANCELLED ERASED 0'),
    ]);
    expect(await statusesOf(broadcast)).toEqual(['QUEUED null 0']);
    await eraseUser(g.server, { id: other.id });
    expect(await statusesOf(broadcast)).toEqual(['CANCELLED ERASED 0']);
  });

  test('what a worker has claimed, also one that died, is not sent and ends as ERASED', async () => {
    const person = await makeReachable();
    const queued = await makeQueued(person.id);
    await g.pool.query(
      `update deliveries set status = 'SENDING', claim_token = gen_random_uuid(), next_attempt_at = now(),
         claim_expires_at = now() + interval '1 hour' where notification_id = $1`,
      [queued],
    );
    await eraseUser(g.server, { id: person.id });
    const content = { title: null, body: 'Hello', subtitle: null, icon: null, image: null, url: null, data: null };
    await g.db.notification.update({ where: { id: queued }, data: { content, fanOutFinishedAt: new Date() } });
    await g.pool.query('update deliveries set claim_expires_at = now() where notification_id = $1', [queued]);
    const ended = await until(async () => {
      const statuses = await statusesOf(queued);
      return statuses.every((status) => status.startsWith('CANCELLED')) && statuses;
    });
    expect(ended).toEqual(Array(4).fill('CANCELLED ERASED 0'));
    expect(await g.db.outboxMessage.count({ where: { notificationId: queued } })).toBe(0);
  });

  test('ends the streams of its installations; who follows the user is told how its deliveries end', async () => {
    const person = await makeReachable();
    const query = `subscription ($user: UserRef) {
      deliveryEvents(user: $user) { ... on DeliveryEvent { status reason } ... on StreamPosition { state } }
    }`;
    const own = await subscribeByWebSocket(g.url, { query, secret: person.token });
    const variables = { user: { id: person.id } };
    const follower = await subscribeByWebSocket(g.url, { query, variables, secret: 'server-key-of-the-tests' });
    open.push(own, follower);
    for (const stream of open) expect((await stream.next())?.data).toEqual({ deliveryEvents: { state: 'LIVE' } });
    await makeQueued(person.id, { isBroadcast: true });
    for (const stream of open)
      expect((await stream.next())?.data).toMatchObject({ deliveryEvents: { status: 'QUEUED' } });
    await eraseUser(g.server, { id: person.id });
    expect((await follower.next())?.data).toEqual({ deliveryEvents: { status: 'CANCELLED', reason: 'ERASED' } });
    expect((await own.next())?.errors).toMatchObject([{ extensions: { code: 'UNAUTHENTICATED' } }]);
    expect((await g.app.as(person.token).send('{ viewer { kind } }')).body.errors).toMatchObject([
      { extensions: { code: 'UNAUTHENTICATED' } },
    ]);
  });

  test('an opt-out survives it, of an e-mail address, a phone and a push address, for whoever brings them back', async () => {
    const person = await makeReachable();
    for (const channel of ['EMAIL', 'SMS', 'PUSH'] as const) {
      const { id: recipient } = await getRecipient(g.server, { id: person.id, channel });
      await updateRecipient(g.server, { recipient, isSubscribed: false });
    }
    await eraseUser(g.server, { id: person.id });
    const { email, phone, address } = person;
    const again = await makePerson(g, { emails: [email], phones: [phone] });
    await makeInstallation(g.app.as(again.token), { platform: 'ANDROID', address });
    expect(again.id).not.toBe(person.id);
    for (const channel of ['EMAIL', 'SMS', 'PUSH'] as const) {
      expect(await getRecipient(g.server, { id: again.id, channel })).toMatchObject({ isSubscribed: false });
    }
    expect(await getRecipient(g.server, { id: again.id, channel: 'IN_APP' })).toMatchObject({ isSubscribed: true });
  });

  test('a repeat with the same key answers the same; without one there is nobody left to erase', async () => {
    const { id, externalUserId } = await makePerson(g);
    const first = await eraseUser(g.server, { externalUserId }, `erase ${id}`);
    expect(first).toEqual({ __typename: 'EraseUserPayload', erasedUser: id });
    expect(await eraseUser(g.server, { externalUserId }, `erase ${id}`)).toEqual(first);
    const refused = { __typename: 'NotFoundError', code: 'NOT_FOUND', path: ['user'] };
    expect(await eraseUser(g.server, { externalUserId })).toEqual(refused);
    expect(await eraseUser(g.server, { id })).toEqual(refused);
  });
});

test.each([
  ['SaveUser', 'user { id }', async (user: object) => ({ user, create: true })],
  ['AddRecipient', 'recipient { id }', async (user: object) => ({ user, create: true, email: newEmail() })],
  [
    'Personalize',
    'user { id }',
    async (userIdentity: object) => ({ userIdentity, installation: (await makeInstallation(g.app)).id }),
  ],
])('a repeat of a %s of which the person was erased since says so', async (name, payload, inputOf) => {
  const externalUserId = `person-${randomUUID()}`;
  const field = `${name.charAt(0).toLowerCase()}${name.slice(1)}`;
  const document = `mutation ($input: ${name}Input!) { ${field}(input: $input) { ... on ${name}Payload { ${payload} } } }`;
  const input = { ...(await inputOf({ externalUserId })), idempotencyKey: randomUUID() };
  expect((await g.server.send(document, { input })).body.errors).toBeUndefined();
  await eraseUser(g.server, { externalUserId });
  const { errors } = (await g.server.send(document, { input })).body;
  expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', reason: 'NOT_FOUND' } }]);
});

describe('at the same moment as an erase', () => {
  test('personalizations and merges end as if one came after the other', async () => {
    for (let round = 0; round < 4; round += 1) {
      const [person, other] = [await makeReachable(), await makePerson(g)];
      const { externalUserId, email } = person;
      const installations = await Promise.all(Array.from({ length: 4 }, () => makeInstallation(g.app)));
      const results = await Promise.all([
        eraseUser(g.server, { id: person.id }),
        mergeUsers(g.server, { survivor: { id: other.id }, merged: { id: person.id }, allowAlias: true }),
        ...installations.map(({ id }) =>
          personalize(g.server, { installation: id, userIdentity: { externalUserId, emails: [email] } }),
        ),
      ]);
      expect(results.slice(2).map((result) => result?.__typename)).not.toContain(undefined);
      expect(['EraseUserPayload', 'NotFoundError']).toContain(results[0]?.__typename);
      expect(['MergeUsersPayload', 'NotFoundError']).toContain(results[1]?.__typename);
      const { rows } = await g.pool.query(`
        select
          (select count(*)::int from recipients r join installations i on i.id = r.installation_id
            where r.user_id <> i.user_id) as strays,
          (select count(*)::int from identifiers n join recipients r on r.address = n.value
            where r.user_id <> n.user_id) as split,
          (select count(*)::int from users u where not exists (
            select from recipients r where r.user_id = u.id and r.channel = 'IN_APP')) as without_inbox,
          (select count(*)::int from users t join users s on s.id = t.merged_into_id
            where s.merged_into_id is not null) as chains`);
      expect(rows).toEqual([{ strays: 0, split: 0, without_inbox: 0, chains: 0 }]);
    }
  });

  test('a send ends, whatever it ends as, and nothing that was written out for it is left', async () => {
    for (let round = 0; round < 4; round += 1) {
      const { id, email, phone } = await makeReachable();
      const [notification] = await Promise.all([
        makeNotification(g.server, toSend({ users: [{ email }, { phone }] })),
        eraseUser(g.server, { id }),
      ]);
      const { progress } = await settledDeliveries(g.server, notification);
      expect(progress.total).toBe(progress.sent + progress.cancelled + progress.discarded);
      expect(await g.db.outboxMessage.count({ where: { notificationId: localIdOf(notification) } })).toBe(0);
    }
  });
});

test('an erase forgets what providers call the messages to the person (decision 10)', async () => {
  const person = await makeReachable();
  const notificationId = await makeQueued(person.id);
  await g.db.delivery.updateMany({ where: { notificationId }, data: { providerMessageId: 'SM-of-a-provider' } });
  await eraseUser(g.server, { id: person.id });
  expect(await g.db.delivery.count({ where: { notificationId, providerMessageId: { not: null } } })).toBe(0);
  expect(await statusesOf(notificationId)).toContain('CANCELLED ERASED 0');
});
