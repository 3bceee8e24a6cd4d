import { beforeAll, expect, test } from 'vitest';
import { testKeys } from '../support/app.ts';
import { deliverToAll, listTagged, makeCrowd, type Person, pourOverAll, type TaggedEvent } from '../support/crowd.ts';
import { useDoor } from '../support/door.ts';
import { insertNotification } from '../support/log-events.ts';
import { depersonalize, personalize } from '../support/operations.ts';
import { mergeUsers } from '../support/people.ts';
import { createRandom } from '../support/random.ts';
import { itemOf, parseFrame, type RawSocket, useRawSockets } from '../support/raw-sockets.ts';
import { globalIdOf } from '../support/send-operations.ts';
import { until } from '../support/until.ts';

const door = useDoor({ pollMs: 50 });
const connect = useRawSockets(door);

const query = `
  subscription ($notification: ID, $user: UserRef) {
    deliveryEvents(notification: $notification, user: $user) {
      ... on DeliveryEvent { cursor status delivery { id } }
      ... on StreamPosition { cursor state }
    }
  }`;

let crowd: Person[] = [];
const notificationIds: string[] = [];
beforeAll(async () => {
  crowd = await makeCrowd(door, 100);
  for (let count = 0; count < 5; count += 1) notificationIds.push(await insertNotification(door.pool));
});

const userIds = () => crowd.map(({ userId }) => userId);

/** A socket, and of which events it may be told. */
interface Subscriber {
  socket: RawSocket;
  isMeant(event: TaggedEvent): boolean;
}

/** One socket for each person, with the installation's token, and some with the server key, on single users and notifications. */
async function subscribeAll(): Promise<{ own: Map<Person, Subscriber>; servers: Subscriber[] }> {
  const open = async (secret: string, variables: object, isMeant: Subscriber['isMeant']) => {
    const socket = await connect(secret);
    socket.send({ id: 'a', type: 'subscribe', payload: { query, variables } });
    await until(async () => socket.frames.length > 0);
    expect(itemOf(socket.frames[0] ?? '')).toMatchObject({ state: 'LIVE' });
    return { socket, isMeant };
  };
  const own = await Promise.all(
    crowd.map(
      async (person) => [person, await open(person.token, {}, ({ userId }) => userId === person.userId)] as const,
    ),
  );
  const servers = await Promise.all([
    ...notificationIds.map((id) =>
      open(
        testKeys.serverKey,
        { notification: globalIdOf('Notification', id) },
        ({ notificationId }) => notificationId === id,
      ),
    ),
    ...crowd
      .slice(0, 10)
      .map(({ id, userId }) => open(testKeys.serverKey, { user: { id } }, (event) => event.userId === userId)),
  ]);
  return { own: new Map(own), servers };
}

const toLine = ({ delivery, status }: TaggedEvent) => `${delivery} ${status}`;

/** What a socket was told, as `toLine` writes it. */
function linesOf({ frames }: RawSocket): string[] {
  return frames.flatMap((frame) => {
    const { delivery, status } = itemOf(frame) ?? {};
    return delivery ? [`${Object(delivery).id} ${status}`] : [];
  });
}

/** Deliveries named anywhere in what a socket was sent, and whatever looks like a local id. */
function namesIn({ frames }: RawSocket): Set<string> {
  const text = frames.join('\n');
  return new Set(text.match(/RGVsaXZlcnk6[\w+/]+=*|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}/gi));
}

/** Waits until a socket was told the last of these events, and expects nothing but these, in order. */
async function expectExactly({ socket }: Subscriber, events: readonly TaggedEvent[]) {
  await until(async () => socket.frames.length > events.length);
  expect(linesOf(socket)).toEqual(events.map(toLine));
  expect(namesIn(socket)).toEqual(new Set(events.map(({ delivery }) => delivery)));
}

/** Events that were made since `known` were. */
const since = async (known: readonly TaggedEvent[]) => (await listTagged(door.pool)).slice(known.length);

test('of 100 users, each with an installation, and of server keys beside them, everybody is told its own events only, all of them, in order', async () => {
  const known = await listTagged(door.pool);
  const { own, servers } = await subscribeAll();
  const random = createRandom(100);
  const writer = () => pourOverAll(door.pool, { userIds: userIds(), notificationIds, random, roundsCount: 4 });
  await Promise.all([writer(), writer()]);
  const events = await since(known);
  expect(events.length).toBeGreaterThan(300);
  for (const subscriber of [...own.values(), ...servers])
    await expectExactly(subscriber, events.filter(subscriber.isMeant));
});

async function readHead(): Promise<bigint> {
  const { rows } = await door.pool.query<{ head: string }>('select max(position) as head from delivery_events');
  return BigInt(rows[0]?.head ?? 0);
}

/** Logs a person out of the installation, in one of the ways there are. Answers the last position before that was answered. */
async function logOut({ installation, token }: Person, way: number, other: Person): Promise<bigint> {
  const named = installation.pushRegistrationId;
  const userIdentity = { externalUserId: other.externalUserId };
  const result = await [
    () => depersonalize(door.app.as(token)),
    () => depersonalize(door.server, named),
    () => personalize(door.server, { installation: named, userIdentity, forceDepersonalize: true }),
  ][way % 3]?.();
  expect(result?.__typename).toMatch(/Payload$/);
  return readHead();
}

test('while people are merged and logged out, an installation is told nothing of a user that is no more its own, and everybody else everything', async () => {
  const known = await listTagged(door.pool);
  const { own, servers } = await subscribeAll();
  const random = createRandom(200);
  const [staying, leaving, merging] = [crowd.slice(0, 90), crowd.slice(90, 96), crowd.slice(96)];
  const leftAt = new Map<Person, bigint>();
  const mergedAt = new Map<Person, bigint>();
  const moves = [
    ...leaving.map((person, index) => async () => {
      leftAt.set(person, await logOut(person, index, random.pick(staying)));
    }),
    ...merging.map((merged, index) => async () => {
      const survivor = merging[index - 1];
      if (!survivor || index % 2 === 0) return;
      const users = { survivor: { id: survivor.id }, merged: { id: merged.id } };
      expect(await mergeUsers(door.server, { ...users, allowAlias: true })).toMatchObject({
        __typename: 'MergeUsersPayload',
      });
      for (const person of [survivor, merged]) mergedAt.set(person, await readHead());
    }),
  ];
  const pour = { userIds: userIds(), notificationIds, random, roundsCount: 1 };
  for (const move of random.shuffle(moves)) await Promise.all([move(), pourOverAll(door.pool, pour)]);
  await deliverToAll(door.pool, { userIds: userIds(), notificationIds, random });
  const events = await since(known);

  for (const subscriber of [...staying.map((person) => own.get(person)), ...servers]) {
    if (subscriber) await expectExactly(subscriber, events.filter(subscriber.isMeant));
  }
  for (const person of leaving) expectEnded(own.get(person), events, leftAt.get(person) ?? 0n);
  for (let index = 0; index < merging.length; index += 2) {
    const family = merging.slice(index, index + 2);
    for (const person of family)
      await expectFamily(own.get(person), person, { family, events, mergedAt: mergedAt.get(person) ?? 0n });
  }
});

/** Expects the first of the user's events, none from after `leftAt`, and then why it was all. */
function expectEnded(subscriber: Subscriber | undefined, events: readonly TaggedEvent[], leftAt: bigint) {
  const [frames, told] = subscriber ? [subscriber.socket.frames, linesOf(subscriber.socket)] : [[], []];
  const before = events.filter((event) => subscriber?.isMeant(event) && event.position <= leftAt);
  expect(told).toEqual(before.slice(0, told.length).map(toLine));
  expect(subscriber && namesIn(subscriber.socket)).toEqual(
    new Set(before.slice(0, told.length).map(({ delivery }) => delivery)),
  );
  const [refusal = '', completion = ''] = frames.slice(-2);
  expect(parseFrame(refusal).payload?.errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
  expect(parseFrame(completion)).toEqual({ id: 'a', type: 'complete' });
}

/** Expects all of the own user's events and, since they were merged, all of the other's, in order; of the other's from before, some at most. */
async function expectFamily(
  subscriber: Subscriber | undefined,
  { userId: ownId }: Person,
  { family, events, mergedAt }: { family: readonly Person[]; events: readonly TaggedEvent[]; mergedAt: bigint },
) {
  if (!subscriber) throw new Error('There is one.');
  const { socket } = subscriber;
  const possible = events.filter(({ userId }) => family.some((person) => person.userId === userId));
  const certain = possible.filter(({ userId, position }) => userId === ownId || position > mergedAt);
  await until(async () => linesOf(socket).includes(toLine(possible.at(-1) ?? Object())));
  const told = new Set(linesOf(socket));
  expect(told.size).toBe(linesOf(socket).length);
  expect([...told]).toEqual(possible.map(toLine).filter((line) => told.has(line)));
  for (const event of certain) expect(told).toContain(toLine(event));
  const names = new Set(possible.map(({ delivery }) => delivery));
  for (const name of namesIn(socket)) expect(names).toContain(name);
}
