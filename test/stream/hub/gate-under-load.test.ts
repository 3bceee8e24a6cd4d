import { expect, test } from 'vitest';
import { type Sql, sql } from '../../../src/storage/database.ts';
import type { Access } from '../../../src/stream/hub/gate.ts';
import type { Topic } from '../../../src/stream/log/log-query.ts';
import { useDatabase } from '../../support/database.ts';
import { type TestHub, useHubs } from '../../support/hubs.ts';
import { insertDeliveries, insertNotification, insertUser, listLog, toLine } from '../../support/log-events.ts';
import { createRenderer, createTestSink } from '../../support/outlets.ts';
import { inTransaction, makeKeyHolder, makeOwner, refusal, refusalOf } from '../../support/readers.ts';
import { until } from '../../support/until.ts';

const database = useDatabase();
const { openHub } = useHubs(database);

/** Takes a right away. Returns the log's last position at that moment: what lies above it was written after. */
function takeAway(statement: Sql): Promise<bigint> {
  return inTransaction(database.pool, async (client) => {
    await client.query(statement);
    // The log's own lock: nobody appends between the look and the commit.
    await client.query('select pg_advisory_xact_lock(4027126015)');
    const { rows } = await client.query<{ head: string }>('select max(position) as head from delivery_events');
    return BigInt(rows[0]?.head ?? 0);
  });
}

interface Reading {
  access: Access;
  topic: Topic;
  after?: string;
  /** Whether items are pulled one by one, or forwarded; and if so, whether their frames are shared. */
  how: 'pulled' | 'forwarded' | 'shared';
}

/** Reads until it may not any more, and keeps the lines of all events. */
function read({ hub }: TestHub, { access, topic, after, how }: Reading) {
  const stream = hub.events(topic, { access, after });
  const sink = createTestSink();
  const pulled: string[] = [];
  const pull = async () => {
    for await (const item of stream) if (item.kind === 'event') pulled.push(toLine(item.entry));
  };
  const ending = refusalOf(
    how === 'pulled' ? pull() : stream.forward({ ...createRenderer(), sink, sharedAs: how === 'shared' ? how : null }),
  );
  return { ending, events: () => [...pulled, ...sink.events] };
}

/** An installation that reads its user's stream on one of two hubs: one of two from the oldest event on. */
async function makeOwnersReading(hubs: readonly [TestHub, TestHub], index: number) {
  const { pool } = database;
  const { userId, installationId, access } = await makeOwner(pool);
  const [elsewhere, notificationId] = [await insertUser(pool), await insertNotification(pool)];
  await insertDeliveries(pool, { notificationId, userId, count: 20 });
  const how = index % 8 < 4 ? 'forwarded' : 'pulled';
  const after = index % 4 < 2 ? { after: '' } : {};
  return {
    ...read(hubs[index % 2 === 0 ? 0 : 1], { access, topic: { userId }, how, ...after }),
    happens: () => insertDeliveries(pool, { notificationId, userId, count: 2 }),
    leaves: () =>
      takeAway(sql`update installations set user_id = ${elsewhere}::uuid where id = ${installationId}::uuid`),
    log: () => listLog(pool, notificationId),
  };
}

/** A key that reads everything, with the same frames as others. */
async function makeKeysReading(hubs: readonly [TestHub, TestHub], index: number) {
  const { pool } = database;
  const { keyId, access } = await makeKeyHolder(pool);
  const notificationId = await insertNotification(pool);
  return {
    ...read(hubs[index % 2 === 0 ? 0 : 1], { access, topic: {}, how: 'shared' }),
    happens: () => insertDeliveries(pool, { notificationId, count: 2 }),
    leaves: () => takeAway(sql`update api_keys set revoked_at = now() where id = ${keyId}::uuid`),
    log: () => listLog(pool),
  };
}

test('who loses its right while events pour in is told none that was written after, and the others are told all', async () => {
  const hubs = [openHub({ pollMs: 20, pageSize: 7, bufferedEventsMax: 5 }), openHub({ pollMs: 20 })] as const;
  const readers = [
    ...(await Promise.all(Array.from({ length: 16 }, (_, index) => makeOwnersReading(hubs, index)))),
    ...(await Promise.all(Array.from({ length: 8 }, (_, index) => makeKeysReading(hubs, index)))),
  ];
  let isPouring = true;
  const pouring = hubs.map(async ({ bus }) => {
    while (isPouring) {
      for (const { happens } of readers) await happens();
      bus.wake();
    }
  });
  await until(async () => readers.every(({ events }) => events().length > 0));

  const [leaving, staying] = [
    readers.filter((_, index) => index % 5 !== 0),
    readers.filter((_, index) => index % 5 === 0),
  ];
  const wrongs: string[] = [];
  for (const { leaves, ending, events } of leaving) {
    const last = await leaves();
    expect(await ending).toBe(refusal);
    wrongs.push(...events().filter((line) => BigInt(line.split(' ')[0] ?? '') > last));
  }
  isPouring = false;
  await Promise.all(pouring);

  expect(wrongs).toEqual([]);
  for (const { events, log } of staying) {
    const lines = await log();
    await until(async () => events().at(-1) === lines.at(-1));
    expect(events()).toEqual(lines.slice(lines.indexOf(events()[0] ?? '')));
  }
});
