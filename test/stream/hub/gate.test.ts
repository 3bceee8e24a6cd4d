import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { sql } from '../../../src/storage/database.ts';
import type { Access } from '../../../src/stream/hub/gate.ts';
import { useDatabase } from '../../support/database.ts';
import { type TestHub, take, takeLines, useHubs } from '../../support/hubs.ts';
import {
  insertDeliveries,
  insertNotification,
  insertUser,
  listLog,
  mergeUser,
  toLine,
} from '../../support/log-events.ts';
import { createRenderer, createTestSink } from '../../support/outlets.ts';
import {
  inTransaction,
  makeKeyHolder,
  makeOwner,
  moveInstallation,
  refusal,
  refusalOf,
  revokeKey,
} from '../../support/readers.ts';
import { until } from '../../support/until.ts';

const database = useDatabase();
const { openHub } = useHubs(database);

/** An installation of a user for whom something can happen, and be taken away. */
async function makeFollower() {
  const { pool } = database;
  const owner = await makeOwner(pool);
  const notificationId = await insertNotification(pool);
  return {
    ...owner,
    notificationId,
    /** So many events of the user. */
    happens: (count: number) => insertDeliveries(pool, { notificationId, userId: owner.userId, count }),
    leaves: async () => moveInstallation(pool, owner.installationId, await insertUser(pool)),
    returns: () => moveInstallation(pool, owner.installationId, owner.userId),
    log: () => listLog(pool, notificationId),
  };
}

/** A follower's stream that is in step, with one event behind it, beside one of the same topic that needs no right. */
async function inStep({ hub, bus }: TestHub) {
  const follower = await makeFollower();
  const topic = { userId: follower.userId };
  const [stream, witness] = [hub.events(topic, { access: follower.access }), hub.events(topic)];
  await Promise.all([take(stream), take(witness)]);
  await follower.happens(1);
  bus.wake();
  await Promise.all([take(stream), take(witness)]);
  return { ...follower, stream, witness };
}

type Ending = [string, () => Promise<{ access: Access; end(): Promise<unknown> }>];

const ofOwner = (statement: string) => async () => {
  const { access, installationId } = await makeOwner(database.pool);
  return { access, end: () => database.pool.query(statement, [installationId]) };
};

const ofKey = (statement: string) => async () => {
  const { access, keyId } = await makeKeyHolder(database.pool);
  return { access, end: () => database.pool.query(statement, [keyId]) };
};

const endings: Ending[] = [
  [
    'its installation is given to another user',
    async () => {
      const { access, leaves } = await makeFollower();
      return { access, end: leaves };
    },
  ],
  ['its installation is deleted', ofOwner('delete from installations where id = $1')],
  ['its key is revoked', ofKey('update api_keys set revoked_at = now() where id = $1')],
  ['its key is deleted', ofKey('delete from api_keys where id = $1')],
];

test.each(endings)('without a wake-up, each stream of a reader ends, and tells why, when %s', async (_, make) => {
  const { hub } = openHub({ pollMs: 20 });
  const { access, end } = await make();
  const pulled = hub.events({}, { access });
  const sink = createTestSink();
  const forwarded = hub.events({}, { access }).forward({ ...createRenderer(), sink, sharedAs: null });
  const madeElsewhere = hub.open(
    async function* (ending) {
      const { promise, reject } = Promise.withResolvers<never>();
      ending.addEventListener('abort', () => reject(ending.reason), { once: true });
      yield ['first'];
      await promise;
    },
    { access },
  );
  await Promise.all([take(pulled), madeElsewhere.next(), until(async () => sink.lines.length === 1)]);
  const waiting = [pulled.next(), forwarded, madeElsewhere.next()].map(refusalOf);
  await end();
  expect(await Promise.all(waiting)).toEqual([refusal, refusal, refusal]);
  expect(await pulled.next()).toEqual({ done: true, value: undefined });
});

test('a reader whose right ended before anything was read gets nothing, not even LIVE', async () => {
  const { hub } = openHub();
  const { userId, access, leaves } = await makeFollower();
  const stream = hub.events({ userId }, { access });
  await leaves();
  await expect(stream.next()).rejects.toThrow(refusal);
});

test('what waits in its seat when its right ends is kept from a reader', async () => {
  const parts = openHub();
  const { stream, witness, happens, leaves } = await inStep(parts);
  await happens(2);
  await leaves();
  await happens(2);
  parts.bus.wake();
  await takeLines(witness, 4);
  await expect(stream.next()).rejects.toThrow(refusal);
});

test('what is left of a batch that it has begun to take when its right ends is kept from a reader', async () => {
  const parts = openHub();
  const { stream, witness, happens, leaves } = await inStep(parts);
  await happens(5);
  parts.bus.wake();
  await takeLines(witness, 5);
  await takeLines(stream, 2);
  await leaves();
  await happens(1);
  parts.bus.wake();
  await takeLines(witness, 1);
  await expect(stream.next()).rejects.toThrow(refusal);
});

test.each([
  1, 2, 3, 4, 5, 6,
])('while the hub sleeps, a stream that catches up and has told %i items when its right ends tells nothing from after that', async (count) => {
  const { hub } = openHub({ pageSize: 2 });
  const { userId, access, happens, leaves, log } = await makeFollower();
  await happens(6);
  const before = await log();
  const stream = hub.events({ userId }, { access, after: '' });
  const told = await takeLines(stream, count);
  await leaves();
  await happens(3);
  const rest = async () => {
    for await (const item of stream) told.push(item.kind === 'event' ? toLine(item.entry) : item.state);
  };
  await expect(rest()).rejects.toThrow(refusal);
  expect(told).toEqual(before.slice(0, told.length));
});

test('a sink that is full in the middle of a batch gets no more of it when its reader’s right has ended', async () => {
  const { hub, bus } = openHub();
  const { userId, access, happens, leaves } = await makeFollower();
  await happens(250);
  const witness = hub.events({ userId });
  await take(witness);
  const sink = createTestSink();
  sink.stall();
  const forwarded = hub
    .events({ userId }, { access, after: '' })
    .forward({ ...createRenderer(), sink, sharedAs: null });
  await until(async () => sink.isFull);
  const had = [...sink.lines];
  await leaves();
  await happens(1);
  bus.wake();
  await take(witness);
  sink.resume();
  await expect(forwarded).rejects.toThrow(refusal);
  expect(sink.lines).toEqual(had);
});

/** Two readers with a key each, whose frames are shared, and who are in step. */
async function sharing({ hub, bus }: TestHub) {
  const notificationId = await insertNotification(database.pool);
  const { render, rendered } = createRenderer();
  const board = async () => {
    const { keyId, access } = await makeKeyHolder(database.pool);
    const sink = createTestSink();
    const forwarded = hub.events({ notificationId }, { access }).forward({ sink, render, sharedAs: 'shared' });
    return { sink, ending: refusalOf(forwarded), revoke: () => revokeKey(database.pool, keyId) };
  };
  const [first, second] = await Promise.all([board(), board()]);
  await until(async () => first.sink.lines.length === 1 && second.sink.lines.length === 1);
  // They share when an event is rendered once for both.
  for (let isShared = false; !isShared; ) {
    const [renders, had] = [rendered.length, first.sink.lines.length];
    await insertDeliveries(database.pool, { notificationId });
    bus.wake();
    await until(async () => first.sink.lines.length > had && second.sink.lines.length > had);
    isShared = rendered.length === renders + 1;
  }
  return { notificationId, first, second };
}

test('of readers that share their frames, one whose key is revoked gets no more, and the other gets everything', async () => {
  const parts = openHub();
  const { notificationId, first, second } = await sharing(parts);
  const had = [...first.sink.lines];
  await first.revoke();
  for (let round = 0; round < 3; round += 1) {
    const { length } = second.sink.lines;
    await insertDeliveries(database.pool, { notificationId });
    parts.bus.wake();
    await until(async () => second.sink.lines.length > length);
  }
  expect(await first.ending).toBe(refusal);
  expect(first.sink.lines).toEqual(had);
  expect(second.sink.lines).toEqual(['LIVE', ...(await listLog(database.pool, notificationId))]);
});

test('while the hub sleeps, a reader that begins to share frames gets none from after its key was revoked', async () => {
  const { hub } = openHub();
  const notificationId = await insertNotification(database.pool);
  const { keyId, access } = await makeKeyHolder(database.pool);
  const sink = createTestSink();
  sink.stall();
  const stream = hub.events({ notificationId }, { access });
  const forwarded = stream.forward({ ...createRenderer(), sink, sharedAs: 'shared' });
  await until(async () => sink.isFull);
  await revokeKey(database.pool, keyId);
  await insertDeliveries(database.pool, { notificationId });
  sink.resume();
  await expect(forwarded).rejects.toThrow(refusal);
  expect(sink.lines).toEqual(['LIVE']);
});

test('a user who leaves and comes back within one poll is told everything once', async () => {
  const parts = openHub();
  const { stream, happens, leaves, returns, log } = await inStep(parts);
  await happens(2);
  await leaves();
  await happens(2);
  await returns();
  await happens(2);
  parts.bus.wake();
  const told = await takeLines(stream, 6);
  await happens(1);
  parts.bus.wake();
  expect([...told, ...(await takeLines(stream, 1))]).toEqual((await log()).slice(1));
});

test('a right that ends while it is being looked at is looked at again', async () => {
  const { hub, bus } = openHub();
  const { userId, access, leaves, returns, happens } = await makeFollower();
  const [asked, answered] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let isSlow = false;
  const findRefusal = async () => {
    const answer = await access.findRefusal();
    if (isSlow) {
      asked.resolve();
      await answered.promise;
    }
    return answer;
  };
  const stream = hub.events({ userId }, { access: { ...access, findRefusal } });
  const witness = hub.events({ userId });
  await Promise.all([take(stream), take(witness)]);
  isSlow = true;
  await leaves();
  await returns();
  bus.wake();
  await asked.promise;
  await leaves();
  await happens(1);
  bus.wake();
  await take(witness);
  answered.resolve();
  await expect(stream.next()).rejects.toThrow(refusal);
});

test('an installation whose user is merged follows to the survivor, and nobody is asked anew', async () => {
  const parts = openHub();
  const { pool } = database;
  const { stream, userId, installationId, notificationId } = await inStep(parts);
  const survivor = await insertUser(pool);
  const changes = await countChanges();
  await inTransaction(pool, async (client) => {
    await moveInstallation(client, installationId, survivor);
    await mergeUser(client, { merged: userId, survivor });
  });
  const ids = [
    ...(await insertDeliveries(pool, { notificationId, userId: survivor })),
    ...(await insertDeliveries(pool, { notificationId, userId })),
  ];
  parts.bus.wake();
  for (const deliveryId of ids) expect(await take(stream)).toMatchObject({ entry: { deliveryId } });
  expect(await countChanges()).toBe(changes);
});

async function countChanges(): Promise<number> {
  return database.db.accessChange.count();
}

test('a reader of a merged user goes on with the survivor', async () => {
  const { hub, bus } = openHub();
  const { pool } = database;
  const [survivor, merged, notificationId] = [
    await insertUser(pool),
    await insertUser(pool),
    await insertNotification(pool),
  ];
  const { access } = await makeKeyHolder(pool);
  const stream = hub.events({ userId: merged }, { access });
  await take(stream);
  await mergeUser(pool, { merged, survivor });
  const [deliveryId] = await insertDeliveries(pool, { notificationId, userId: survivor });
  bus.wake();
  expect(await take(stream)).toMatchObject({ entry: { deliveryId } });
});

describe('while it cannot be found out whether a stream may go on', () => {
  /** A stream whose reader may have lost its right, with two events waiting, and nobody to ask. */
  async function inDoubt() {
    const parts = openHub();
    const follower = await inStep(parts);
    await follower.leaves();
    await follower.happens(2);
    await database.pool.query('alter table installation_tokens rename to tokens_put_away');
    const next = take(follower.stream);
    const outcome = Promise.race([next, takeLines(follower.witness, 2).then(() => 'nothing yet')]);
    parts.bus.wake();
    await until(async () => parts.sentences.length > 0);
    const answersAgain = () => database.pool.query('alter table tokens_put_away rename to installation_tokens');
    return { ...parts, ...follower, next, outcome, answersAgain };
  }

  test('it yields nothing, and goes on afterwards without a loss if it may', async () => {
    const { stream, next, outcome, sentences, returns, answersAgain, log } = await inDoubt();
    expect(await outcome).toBe('nothing yet');
    await returns();
    await answersAgain();
    const lines = (await log()).slice(1);
    expect(await next).toMatchObject({ kind: 'event' });
    expect(await takeLines(stream, 1)).toEqual(lines.slice(1));
    expect(sentences).toEqual(['Whether streams may go on cannot be found out; they wait', 'Streams go on']);
  });

  test('it yields nothing, and ends afterwards if it may not', async () => {
    const { next, outcome, answersAgain } = await inDoubt();
    const ending = refusalOf(next);
    expect(await outcome).toBe('nothing yet');
    await answersAgain();
    expect(await ending).toBe(refusal);
  });

  test('it can be ended', async () => {
    const { hub, next, answersAgain } = await inDoubt();
    const ending = refusalOf(next);
    await hub.close();
    await answersAgain();
    expect(await ending).toBe('The stream has ended.');
  });
});

describe('a right that ends by itself', () => {
  /** A stream beyond LIVE, of a reader whose token is in force for so long. */
  async function openExpiring({ tokenFor, expiresInMs }: { tokenFor: string; expiresInMs: number }) {
    const { hub } = openHub();
    const { userId, installationId, access } = await makeOwner(database.pool);
    await database.pool.query(sql`
      update installation_tokens set expires_at = now() + ${tokenFor}::interval
      where installation_id = ${installationId}::uuid`);
    const stream = hub.events({ userId }, { access: { ...access, expiresAt: new Date(Date.now() + expiresInMs) } });
    await take(stream);
    return stream;
  }

  test('ends the stream at its time, without a wake-up', async () => {
    const stream = await openExpiring({ tokenFor: '1 second', expiresInMs: 1_000 });
    await expect(stream.next()).rejects.toThrow(refusal);
  });

  test('ends the stream also where the database’s clock is behind', async () => {
    const stream = await openExpiring({ tokenFor: '2 seconds', expiresInMs: 1_000 });
    await expect(stream.next()).rejects.toThrow(refusal);
  });

  test('may lie further ahead than a timer can be set for', async () => {
    const warnings: string[] = [];
    const note = ({ name }: Error) => warnings.push(name);
    process.on('warning', note);
    const stream = await openExpiring({ tokenFor: '30 days', expiresInMs: 2 ** 31 + 1_000 });
    await stream.return();
    await nextTurn();
    process.off('warning', note);
    // Node says so when it sets a timer of 1 ms instead.
    expect(warnings).not.toContain('TimeoutOverflowWarning');
  });
});

test('a log that was replaced may know its readers otherwise: their rights are looked at before any of it is told', async () => {
  const { hub } = openHub({ pageSize: 1 });
  const { keyId, access } = await makeKeyHolder(database.pool);
  const { happens } = await makeFollower();
  await happens(3);
  const stream = hub.events({}, { access, after: '' });
  await take(stream);
  await inTransaction(database.pool, async (client) => {
    // As a restore does it, without the triggers.
    await client.query('set local session_replication_role = replica');
    await client.query('delete from api_keys where id = $1', [keyId]);
    await client.query('update delivery_log set epoch = gen_random_uuid()');
  });
  await expect(stream.next()).rejects.toThrow(refusal);
});
