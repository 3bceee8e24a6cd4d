import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';
import { sql } from '../../src/storage/database.ts';
import { parseCursor } from '../../src/stream/log/cursor.ts';
import type { TestHub, useHubs } from './hubs.ts';
import { insertDeliveries, insertNotification, insertUser, setStatus } from './log-events.ts';
import { createRenderer, createTestSink, type TestSink } from './outlets.ts';
import { createRandom, type Random } from './random.ts';
import { until } from './until.ts';

/** What one subscriber was told, on however many streams, and what the log has for it. */
export interface Journey {
  told: readonly string[];
  expected: readonly string[];
}

interface JourneyOptions {
  openHub: ReturnType<typeof useHubs>['openHub'];
  pool: pg.Pool;
  /** Chooses all that is left to chance but what the machine does meanwhile. */
  seed: number;
  travellersCount: number;
  /** At least so many are made. */
  eventsCount: number;
}

interface Topic {
  readonly notificationId?: string;
  readonly userId?: string;
}

interface Traveller {
  readonly topic: Topic;
  readonly sharedAs: string | null;
  /** By whose right it reads. */
  readonly subjectId: string;
  /** Whether it breaks off now and then, and comes back with its last cursor. */
  readonly isRestless: boolean;
  readonly sink: TestSink;
}

interface World {
  readonly parts: TestHub;
  readonly pool: pg.Pool;
  readonly random: Random;
  readonly eventsCount: number;
  readonly travellers: readonly Traveller[];
  isPouring: boolean;
  isOver: boolean;
}

/**
 * Lets events of a user and of two notifications pour in, in batches and under wake-ups by chance, while subscribers of a
 * new hub share what is made of them, fall behind, are looked at whether they may read on, leave and come back, all by
 * chance.
 */
export async function journey(options: JourneyOptions): Promise<Journey[]> {
  const { openHub, pool, seed, travellersCount, eventsCount } = options;
  const random = createRandom(seed);
  const parts = openHub({
    pollMs: 20,
    pageSize: random.pick([2, 5, 20, 500]),
    bufferedEventsMax: random.pick([1, 4, 30, 1_000]),
    topicsMax: random.pick([1, 1_000]),
  });
  const userId = await insertUser(pool);
  const notificationIds = [await insertNotification(pool), await insertNotification(pool)];
  const topics: Topic[] = [{ userId }, ...notificationIds.map((notificationId) => ({ notificationId }))];
  const travellers = Array.from({ length: travellersCount }, () => ({
    topic: random.pick(topics),
    sharedAs: random.chance(0.9) ? 'shared' : null,
    subjectId: crypto.randomUUID(),
    isRestless: random.chance(0.3),
    sink: createTestSink({ waitingBytesMax: random.pick([0, 500, 5_000, 50_000]) }),
  }));
  const world: World = { parts, pool, random, eventsCount, travellers, isPouring: true, isOver: false };
  const goingOn = [...travellers.map((traveller) => follow(world, traveller)), holdBack(world), lookAtRights(world)];
  await pourIn(world, userId, notificationIds);
  world.isPouring = false;
  for (const { sink } of travellers) sink.resume();
  const journeys = await Promise.all(travellers.map((traveller) => arrive(world, traveller)));
  world.isOver = true;
  await Promise.all(goingOn);
  return journeys;
}

/** Waits until somebody was told the last event there is. */
async function arrive({ pool }: World, { topic, sink }: Traveller): Promise<Journey> {
  await until(async () => sink.lines.length > 0);
  // Who began with LIVE is told what came after it.
  const after = sink.lines[0] === 'LIVE' ? parseCursor(sink.cursors[0] ?? '').position : 0n;
  const { rows } = await pool.query<{ line: string }>(sql`
    select position || ' ' || delivery_id || ' ' || status as line from delivery_events
    where position > ${after}
      and (notification_id = ${topic.notificationId ?? null}::uuid or user_id = ${topic.userId ?? null}::uuid)
    order by position`);
  const expected = rows.map(({ line }) => line);
  await until(async () => expected.length === 0 || sink.lines.includes(expected.at(-1) ?? ''));
  return { told: sink.lines.filter((line) => line !== 'LIVE' && line !== 'RECOVERED'), expected };
}

async function follow(world: World, { topic, sharedAs, subjectId, isRestless, sink }: Traveller): Promise<void> {
  const { parts, random } = world;
  const access = { subjectId, expiresAt: null, findRefusal: async () => null };
  const { render } = createRenderer({ frameBytes: random.pick([0, 1_000, 20_000]) });
  if (random.chance(0.5)) await pause(random.integer(0, 300));
  while (!world.isOver) {
    const leaving = new AbortController();
    const after = sink.cursors.at(-1) ?? (random.chance(0.7) ? '' : undefined);
    const stream = parts.hub.events(topic, { access, after, signal: leaving.signal });
    const ended = stream.forward({ sink, render, sharedAs });
    const enough = sink.lines.length + random.integer(1, 60);
    await until(async () => world.isOver || (isRestless && sink.lines.length > enough));
    leaving.abort();
    await ended;
  }
}

/** Each sink is full for a while, now and then. */
async function holdBack(world: World): Promise<void> {
  const { random, travellers } = world;
  while (world.isPouring) {
    const { sink } = random.pick(travellers);
    if (random.chance(0.4)) sink.stall();
    else sink.resume();
    await aMoment(random);
  }
}

/** Each one's rights are looked at, now and then, and are still there. */
async function lookAtRights(world: World): Promise<void> {
  const { random, travellers, pool } = world;
  while (world.isPouring) {
    const { subjectId } = random.pick(travellers);
    await pool.query(sql`insert into access_changes (subject_id) values (${subjectId}::uuid)`);
    await pause(random.integer(0, 20));
  }
}

async function pourIn(world: World, userId: string, notificationIds: readonly string[]): Promise<void> {
  const { pool, parts, random, eventsCount } = world;
  let madeCount = 0;
  const write = async () => {
    while (madeCount < eventsCount) {
      const count = random.integer(1, 30);
      const isUsers = random.chance(0.7);
      const delivery = { notificationId: random.pick(notificationIds), userId: isUsers ? userId : null, count };
      const ids = await insertDeliveries(pool, delivery);
      madeCount += count;
      if (random.chance(0.5)) parts.bus.wake();
      await aMoment(random);
      if (random.chance(0.7)) {
        await setStatus(pool, ids, 'SENT');
        madeCount += count;
        parts.bus.wake();
      }
    }
  };
  await Promise.all([write(), write(), write()]);
}

async function aMoment(random: Random): Promise<void> {
  if (random.chance(0.5)) await pause(random.integer(0, 4));
  else await nextTurn();
}
