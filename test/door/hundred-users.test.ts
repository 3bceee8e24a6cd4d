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
  const families: Family[] = [];
  const leave = leaving.map((person, index) => async () => {
    leftAt.set(person, await logOut(person, index, random.pick(staying)));
  });
  const merge = [merging.slice(0, 2), merging.slice(2)].map((people) => async () => {
    const [survivor, merged] = people.map(({ id }) => ({ id }));
    if (!survivor || !merged) throw new Error('There are two.');
    const result = await mergeUsers(door.server, { survivor, merged, allowAlias: true });
    expect(result).toMatchObject({ __typename: 'MergeUsersPayload' });
    families.push({ people, mergedAt: await readHead() });
  });
  const pour = { userIds: userIds(), notificationIds, random, roundsCount: 1 };
  for (const move of random.shuffle([...leave, ...merge])) await Promise.all([move(), pourOverAll(door.pool, pour)]);
  await deliverToAll(door.pool, { userIds: userIds(), notificationIds, random });
  const events = await since(known);

  const of = (person: Person) => own.get(person) ?? expect.fail('Everybody has a subscriber.');
  for (const subscriber of [...staying.map(of), ...servers]) {
    await expectExactly(subscriber, events.filter(subscriber.isMeant));
  }
  for (const [person, at] of leftAt) await expectEnded(of(person), events, at);
  for (const family of families) for (const person of family.people) await expectFamily(of(person), family, events);
});

/** Expects the first of the user's events, none from after `leftAt`, and then why that was all. */
async function expectEnded({ socket, isMeant }: Subscriber, events: readonly TaggedEvent[], leftAt: bigint) {
  await until(async () => socket.frames.includes(JSON.stringify({ id: 'a', type: 'complete' })));
  const told = linesOf(socket);
  const first = events.filter((event) => isMeant(event) && event.position <= leftAt).slice(0, told.length);
  expect(told).toEqual(first.map(toLine));
  expect(namesIn(socket)).toEqual(new Set(first.map(({ delivery }) => delivery)));
  const [refusal = '', completion = ''] = socket.frames.slice(-2);
  expect(parseFrame(refusal).payload?.errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
  expect(parseFrame(completion)).toEqual({ id: 'a', type: 'complete' });
}

/** Whom a user was merged with, and the last position before that was answered. */
interface Family {
  readonly people: readonly Person[];
  readonly mergedAt: bigint;
}

/** Expects all of the own user's events and, since the merge, all of the other's, in order; of the other's from before, some at most. */
async function expectFamily(
  { socket, isMeant }: Subscriber,
  { people, mergedAt }: Family,
  events: readonly TaggedEvent[],
) {
  const possible = events.filter(({ userId }) => people.some((person) => person.userId === userId));
  const certain = possible.filter((event) => isMeant(event) || event.position > mergedAt);
  const [last] = possible.slice(-1).map(toLine);
  await until(async () => linesOf(socket).includes(last ?? ''));
  const told = new Set(linesOf(socket));
  expect(linesOf(socket)).toEqual(possible.map(toLine).filter((line) => told.has(line)));
  expect(certain.map(toLine).filter((line) => !told.has(line))).toEqual([]);
  const names = new Set(possible.map(({ delivery }) => delivery));
  expect([...namesIn(socket)].filter((name) => !names.has(name))).toEqual([]);
}
