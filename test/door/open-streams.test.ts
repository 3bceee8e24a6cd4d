import { randomBytes, randomUUID } from 'node:crypto';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { hashSecret } from '../../src/apps/api-key.ts';
import { newId } from '../../src/ids.ts';
import { sql } from '../../src/storage/database.ts';
import { newEmail, newPhone } from '../support/addresses.ts';
import { testKeys } from '../support/app.ts';
import { useGateways } from '../support/gateways.ts';
import { deleteInstallation, logOut } from '../support/installation-operations.ts';
import { insertDeliveries, insertNotification } from '../support/log-events.ts';
import { depersonalize, makeInstallation, makeUser, personalize } from '../support/operations.ts';
import { makeMerge, makePerson, mergeUsers, unmergeUsers } from '../support/people.ts';
import { localIdOf } from '../support/send-operations.ts';
import { type Subscriber, type Subscription, subscribeBySse, subscribeByWebSocket } from '../support/subscribers.ts';

const g = useGateways();

let open: Subscriber[] = [];
afterEach(() => {
  for (const subscriber of open) subscriber.close();
  open = [];
});

const deliveryEvents = `
  subscription ($user: UserRef, $notification: ID, $after: String) {
    deliveryEvents(user: $user, notification: $notification, after: $after) {
      ... on DeliveryEvent { status delivery { id } }
      ... on StreamPosition { state }
    }
  }`;

const transports = { WebSocket: subscribeByWebSocket, SSE: subscribeBySse };

/** A subscription by each transport at each gateway. */
async function subscribeEverywhere(subscription: Subscription): Promise<Subscriber[]> {
  const subscribe = Object.values(transports).flatMap((transport) => g.urls.map((url) => transport(url, subscription)));
  const subscribers = await Promise.all(subscribe);
  open.push(...subscribers);
  return subscribers;
}

/** The next answer in short: the state, the event's delivery, the totals, the errors' codes, or `complete`. */
async function nextOf(subscriber: Subscriber): Promise<unknown> {
  const answer = await subscriber.next();
  if (!answer) return 'complete';
  if (answer.errors) return answer.errors.map(({ extensions }) => extensions.code).join();
  const { deliveryEvents: item, notificationProgress: progress } = Object(answer.data);
  return progress?.total ?? item.state ?? `${item.status} ${localIdOf(item.delivery.id)}`;
}

const nextOfAll = (subscribers: readonly Subscriber[]) => Promise.all(subscribers.map(nextOf));
const ofAll = <Value>(value: Value): Value[] => [value, value, value, value];

/** Follows deliveries at each gateway and by each transport, from now on. */
async function follow(secret: string, variables: Record<string, unknown> = {}): Promise<Subscriber[]> {
  const subscribers = await subscribeEverywhere({ query: deliveryEvents, variables, secret });
  expect(await nextOfAll(subscribers)).toEqual(ofAll('after' in variables ? 'RECOVERED' : 'LIVE'));
  return subscribers;
}

/** An event of a user, by its global id. Nobody is woken. */
async function happens(user: string, notificationId?: string): Promise<string> {
  const ids = { userId: localIdOf(user), notificationId: notificationId ?? (await insertNotification(g.pool)) };
  const [deliveryId] = await insertDeliveries(g.pool, ids);
  return `QUEUED ${deliveryId}`;
}

const globalId = (type: string, id: string) => Buffer.from(`${type}:${id}`).toString('base64');

describe('an installation', () => {
  const addresses = { emails: [newEmail()], phones: [newPhone()] };
  let ann: Awaited<ReturnType<typeof makePerson>>;
  let bob: Awaited<ReturnType<typeof makePerson>>;
  const bobs = { emails: [newEmail()], phones: [newPhone()] };
  beforeAll(async () => {
    ann = await makePerson(g, addresses);
    bob = await makePerson(g, bobs);
  });

  test('is told what happens to its own user, however it names that one, and nothing of others', async () => {
    const names = [
      {},
      { user: { id: ann.id } },
      { user: { externalUserId: ann.externalUserId } },
      { user: { email: addresses.emails[0] } },
      { user: { phone: addresses.phones[0] } },
      { user: { pushRegistrationId: ann.installation.pushRegistrationId } },
    ];
    const streams = await Promise.all(names.map((variables) => follow(ann.token, variables)));
    await happens(bob.id);
    const event = await happens(ann.id);
    expect(await Promise.all(streams.map(nextOfAll))).toEqual(names.map(() => ofAll(event)));
  });

  test.each([
    ['id', () => bob.id, () => globalId('User', randomUUID())],
    ['externalUserId', () => bob.externalUserId, randomUUID],
    ['email', () => bobs.emails[0], newEmail],
    ['phone', () => bobs.phones[0], newPhone],
    ['pushRegistrationId', () => bob.installation.pushRegistrationId, randomUUID],
  ])('cannot tell another user’s %s from one that is nobody’s', async (kind, others, missing) => {
    const answersTo = async (name: unknown) => {
      const variables = { user: { [kind]: name } };
      const streams = await subscribeEverywhere({ query: deliveryEvents, variables, secret: ann.token });
      return Promise.all(streams.map(async (stream) => [await stream.next(), await stream.next()]));
    };
    const answers = await answersTo(others());
    expect(answers).toEqual(
      ofAll([
        expect.objectContaining({ errors: [expect.objectContaining({ message: 'There is no such user.' })] }),
        null,
      ]),
    );
    expect(await answersTo(missing())).toEqual(answers);
  });

  test('cannot tell a notification of others from one that does not exist', async () => {
    const notificationId = await insertNotification(g.pool);
    await happens(bob.id, notificationId);
    for (const id of [notificationId, randomUUID()]) {
      // It would have had the event before this.
      await follow(ann.token, { notification: globalId('Notification', id), after: '' });
    }
  });

  test('is told of a notification only what happens to its own user', async () => {
    const notificationId = await insertNotification(g.pool);
    const streams = await follow(ann.token, { notification: globalId('Notification', notificationId) });
    await happens(bob.id, notificationId);
    const event = await happens(ann.id, notificationId);
    expect(await nextOfAll(streams)).toEqual(ofAll(event));
  });

  test('follows no totals, and nothing at all with a token that has expired; an app key and nobody follow nothing', async () => {
    const expired = await makeInstallation(g.app);
    await expireToken(expired.token, '-1 second');
    const progress = 'subscription ($id: ID!) { notificationProgress(notification: $id) { total } }';
    const variables = { id: globalId('Notification', await insertNotification(g.pool)) };
    const refusals: [Subscription, string][] = [
      [{ query: progress, variables, secret: ann.token }, 'FORBIDDEN'],
      [{ query: deliveryEvents, secret: expired.token }, 'UNAUTHENTICATED'],
      [{ query: deliveryEvents, secret: testKeys.appKey }, 'FORBIDDEN'],
      [{ query: deliveryEvents, secret: null }, 'UNAUTHENTICATED'],
    ];
    for (const [subscription, code] of refusals) {
      expect(await nextOfAll(await subscribeEverywhere(subscription))).toEqual(ofAll(code));
    }
  });
});

async function expireToken(token: string, inWhat: string): Promise<void> {
  await g.pool.query(sql`
    update installation_tokens set expires_at = now() + ${inWhat}::interval where secret_hash = ${hashSecret(token)}`);
}

describe('on every gateway, though one does the write and Redis is not there, an installation’s streams', () => {
  type Person = Awaited<ReturnType<typeof makePerson>>;

  const giveTo = ({ installation }: Person, externalUserId: string) =>
    personalize(g.server, {
      installation: installation.pushRegistrationId,
      userIdentity: { externalUserId },
      forceDepersonalize: true,
    });

  test.each([
    ['it logs out', ({ token }: Person) => depersonalize(g.app.as(token))],
    ['a back end logs it out', ({ installation }: Person) => depersonalize(g.server, installation.pushRegistrationId)],
    [
      'another installation of the person logs it out (U10)',
      async ({ installation, externalUserId }: Person) => {
        const other = await makeInstallation(g.app);
        await makeUser(g.server, { installation: other.id, userIdentity: { externalUserId } });
        return logOut(g.app.as(other.token), installation.id);
      },
    ],
    ['it is given to a person who is new', (person: Person) => giveTo(person, randomUUID())],
    [
      'it is given to another person who is known',
      async (person: Person) => giveTo(person, (await makePerson(g)).externalUserId),
    ],
  ])('end with FORBIDDEN, and tell nothing of the person from after that, when %s', async (_, leave) => {
    const person = await makePerson(g);
    const streams = [...(await follow(person.token)), ...(await follow(person.token, { user: { id: person.id } }))];
    const dashboards = await follow(testKeys.serverKey, { user: { id: person.id } });
    expect(await leave(person)).toMatchObject({ __typename: expect.stringMatching(/Payload$/) });
    const event = await happens(person.id);
    // The gateways have read it.
    expect(await nextOfAll(dashboards)).toEqual(ofAll(event));
    expect(await nextOfAll(streams)).toEqual([...ofAll('FORBIDDEN'), ...ofAll('FORBIDDEN')]);
    expect(await nextOfAll(streams)).toEqual([...ofAll('complete'), ...ofAll('complete')]);
  });

  test.each(
    Object.entries(transports),
  )('over %s, end in the middle of what the subscriber has not taken yet', async (_, subscribe) => {
    const person = await makePerson(g);
    const [userId, notificationId] = [localIdOf(person.id), await insertNotification(g.pool)];
    const count = 1_000;
    await insertDeliveries(g.pool, { notificationId, userId, count });
    // 20 kB each: together more than the buffers of a connection hold.
    const fields = Array.from({ length: 20 }, (_, index) => `${'a'.repeat(1_000)}${index}: status`);
    const query = `subscription { deliveryEvents(after: "") { ... on DeliveryEvent { ${fields.join(' ')} } } }`;
    const [, url] = g.urls;
    const subscriber = await subscribe(url, { query, secret: person.token });
    open.push(subscriber);
    await subscriber.next();
    subscriber.hold();
    const witnesses = await follow(person.token);
    await depersonalize(g.app.as(person.token));
    expect(await nextOfAll(witnesses)).toEqual(ofAll('FORBIDDEN'));

    const rest = [];
    for (let answer = await subscriber.next(); answer; answer = await subscriber.next()) rest.push(answer);
    expect(rest.length).toBeLessThan(count);
    expect(rest.at(-1)).toMatchObject({ errors: [{ extensions: { code: 'FORBIDDEN' } }] });
  });

  test('end with UNAUTHENTICATED when it is deleted', async () => {
    const { token } = await makePerson(g);
    const streams = await follow(token);
    await deleteInstallation(g.app.as(token));
    expect(await nextOfAll(streams)).toEqual(ofAll('UNAUTHENTICATED'));
    expect(await nextOfAll(streams)).toEqual(ofAll('complete'));
  });

  test('end with UNAUTHENTICATED when their token expires', async () => {
    const { token } = await makePerson(g);
    await expireToken(token, '3 seconds');
    const streams = await follow(token);
    expect(await nextOfAll(streams)).toEqual(ofAll('UNAUTHENTICATED'));
    expect(await nextOfAll(streams)).toEqual(ofAll('complete'));
  });

  test('go on with the person when its lead turns out to be one who is known, and nobody is asked anew', async () => {
    const known = await makePerson(g);
    const installation = await makeInstallation(g.app);
    const streams = await follow(installation.token);
    const changes = await g.db.accessChange.count();
    const user = await makeUser(g.server, {
      installation: installation.pushRegistrationId,
      userIdentity: { externalUserId: known.externalUserId },
    });
    const event = await happens(user.id);
    expect(user.id).toBe(known.id);
    expect(await nextOfAll(streams)).toEqual(ofAll(event));
    expect(await g.db.accessChange.count()).toBe(changes);
  });

  test('and those of a server key follow a merged person to the survivor, and nobody is asked anew', async () => {
    const [survivor, merged] = [await makePerson(g), await makePerson(g)];
    const streams = [
      ...(await follow(merged.token)),
      ...(await follow(testKeys.serverKey, { user: { id: merged.id } })),
    ];
    const changes = await g.db.accessChange.count();
    await mergeUsers(g.server, { survivor: { id: survivor.id }, merged: { id: merged.id }, allowAlias: true });
    const event = await happens(survivor.id);
    expect(await nextOfAll(streams)).toEqual([...ofAll(event), ...ofAll(event)]);
    expect(await g.db.accessChange.count()).toBe(changes);
  });

  test('of an installation that goes back with an undone merge end with the survivor’s, and go on with its own', async () => {
    const [survivor, merged] = [await makePerson(g), await makePerson(g)];
    const own = await follow(merged.token);
    const record = await makeMerge(g.server, { survivor: { id: survivor.id }, merged: { id: merged.id } });
    const ofSurvivor = await follow(merged.token);
    await unmergeUsers(g.server, record);
    expect(await nextOfAll(ofSurvivor)).toEqual(ofAll('FORBIDDEN'));
    await happens(survivor.id);
    const event = await happens(merged.id);
    expect(await nextOfAll(own)).toEqual(ofAll(event));
  });
});

/** A server key that is nobody else's. */
async function makeKey() {
  const [id, secret] = [newId(), randomBytes(20).toString('hex')];
  await g.pool.query(sql`
    insert into api_keys (id, kind, name, secret_hash) values (${id}::uuid, 'SERVER', 'test', ${hashSecret(secret)})`);
  return { id, secret };
}

test.each([
  ['revoked', (id: string) => sql`update api_keys set revoked_at = now() where id = ${id}::uuid`],
  ['deleted', (id: string) => sql`delete from api_keys where id = ${id}::uuid`],
])('all streams of a key that is %s end with UNAUTHENTICATED on every gateway; those of another key, which share their frames, go on', async (_, end) => {
  const [ended, kept] = [await makeKey(), await makeKey()];
  const notificationId = await insertNotification(g.pool);
  const { id: user } = await makePerson(g);
  const notification = globalId('Notification', notificationId);
  const followTotals = async (secret: string) => {
    const query = 'subscription ($id: ID!) { notificationProgress(notification: $id) { total } }';
    const streams = await subscribeEverywhere({ query, variables: { id: notification }, secret });
    return { streams, first: await nextOfAll(streams) };
  };
  const [events, others] = [await follow(ended.secret, { notification }), await follow(kept.secret, { notification })];
  const [totals, otherTotals] = [await followTotals(ended.secret), await followTotals(kept.secret)];
  const before = await happens(user, notificationId);
  expect(await nextOfAll([...events, ...others])).toEqual([...ofAll(before), ...ofAll(before)]);
  expect([...totals.first, ...otherTotals.first]).toEqual([...ofAll(0), ...ofAll(0)]);
  expect(await nextOfAll([...totals.streams, ...otherTotals.streams])).toEqual([...ofAll(1), ...ofAll(1)]);

  await g.pool.query(end(ended.id));
  const after = await happens(user, notificationId);
  expect(await nextOfAll(others)).toEqual(ofAll(after));
  expect(await nextOfAll(otherTotals.streams)).toEqual(ofAll(2));
  expect(await nextOfAll(events)).toEqual(ofAll('UNAUTHENTICATED'));
  expect(await nextOfAll(events)).toEqual(ofAll('complete'));
  for (const stream of totals.streams) {
    // Totals that were read before the key's end was heard of may come first.
    const answers = [await nextOf(stream), await nextOf(stream)].filter((answer) => answer !== 2);
    expect(answers[0]).toBe('UNAUTHENTICATED');
  }
});
