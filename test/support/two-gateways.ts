import type { Pool } from 'pg';
import { onTestFinished } from 'vitest';
import { openStorage, sql } from '../../src/storage/database.ts';
import type { Bus } from '../../src/stream/bus/bus.ts';
import { connectRedisBus } from '../../src/stream/bus/redis-bus.ts';
import { encodeCursor, parseCursor } from '../../src/stream/log/cursor.ts';
import { createTestDatabase } from './database.ts';
import type { Follower, FollowOptions } from './follower.ts';
import { createTestLog, insertDeliveries, insertNotification, setStatus } from './log-events.ts';
import { type Ending, type ReadyProgram, startProgram } from './program.ts';
import { until } from './until.ts';

/** Two gateways, each a process, over one database and one Redis; and a notification without deliveries. */
export interface TwoGateways extends AsyncDisposable {
  readonly first: ReadyProgram;
  readonly second: ReadyProgram;
  readonly pool: Pool;
  readonly bus: Bus;
  readonly notification: string;
}

export const serverKey = 'server-key-of-the-tests';

/**
 * Starts them for the test that calls this. They are stopped when disposed of, or after the test, also when it ran out of
 * time.
 *
 * @param redis URL of a Redis that may be shared.
 */
export async function startTwoGateways(redis: string): Promise<TwoGateways> {
  const opened = new AsyncDisposableStack();
  onTestFinished(() => opened.disposeAsync());
  const database = await createTestDatabase();
  opened.defer(database.drop);
  const settings = {
    ROLE: 'gateway',
    DATABASE_URL: database.url,
    REDIS_URL: redis,
    DATA_ENCRYPTION_KEY: Buffer.alloc(32, 5).toString('base64'),
    SERVER_KEY: serverKey,
    APP_KEY: 'app-key-of-the-tests',
  };
  const programs = [startProgram(settings), startProgram(settings)] as const;
  for (const program of programs) opened.use(await program);
  const [first, second] = await Promise.all(programs);
  const storage = openStorage(database.url);
  opened.defer(storage.close);
  const { pool } = storage;
  const bus = await connectRedisBus(redis, { namespace: await readEpoch(pool), log: createTestLog().log });
  opened.defer(bus.close);
  const notification = await insertNotification(pool);
  return { first, second, pool, bus, notification, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

interface Flow {
  eventsCount: number;
  /** How many events may be there that no follower has. */
  leadMax: number;
  followers: readonly Follower[];
}

/** Deliveries that are changed by one statement. */
const batchSize = 50;

/**
 * Makes events of the notification, QUEUED, SENT and DELIVERED, as fast as the fastest follower takes them: a gateway never
 * runs dry, however fast it is, and the followers do not fall behind without bound. The last ones are made when every
 * follower has come back from its change of gateways.
 */
async function makeEvents(
  { pool, bus, notification }: Pick<TwoGateways, 'pool' | 'bus' | 'notification'>,
  { eventsCount, leadMax, followers }: Flow,
): Promise<void> {
  let deliveryIds: string[] = [];
  for (let count = 0; count < eventsCount; count += batchSize) {
    const isLast = count + batchSize >= eventsCount;
    await until(async () =>
      isLast ? followers.every(isBack) : followers.some((follower) => count - placeOf(follower) < leadMax),
    );
    const stage = (count / batchSize) % 3;
    if (stage === 0) deliveryIds = await insertDeliveries(pool, { notificationId: notification, count: batchSize });
    else await setStatus(pool, deliveryIds, stage === 1 ? 'SENT' : 'DELIVERED');
    bus.wake();
  }
}

/** Whether it knows where it stands at its second gateway, or will never know. */
const isBack = ({ states, completion }: Follower) => states.length > 1 || completion !== null;

/** How many events there were at the last word that it had: in a new database they are numbered from 1. */
function placeOf({ cursor }: Follower): number {
  return cursor === undefined ? 0 : Number(parseCursor(cursor).position);
}

/** What each follower should have been told: the notification's events as the log has them. */
export async function listEvents({
  pool,
  notification,
}: Pick<TwoGateways, 'pool' | 'notification'>): Promise<string[]> {
  const epoch = await readEpoch(pool);
  const { rows } = await pool.query<{ position: string; tag: number; status: string }>(sql`
    select position, tag, status from delivery_events where notification_id = ${notification}::uuid order by position`);
  return rows.map(({ position, tag, status }) => {
    return `${encodeCursor({ epoch, position: BigInt(position), tag })} ${status}`;
  });
}

export async function readEpoch(pool: Pool): Promise<string> {
  const { rows } = await pool.query<{ epoch: string }>(sql`select epoch from delivery_log`);
  const [{ epoch } = { epoch: '' }] = rows;
  return epoch;
}

interface ChangeOver extends Omit<Flow, 'followers'> {
  /** What the first gateway gets in the middle. */
  signal: 'SIGKILL' | 'SIGTERM';
  /** Makes the followers, of the gateway that `url` answers at the time. */
  follow(options: FollowOptions): readonly Follower[];
}

/**
 * Takes the first gateway away from its followers in the middle of a flow of events; they have the second one to go to.
 * Answers when each of them is at the end of the log, or was told that there is no more to come.
 */
export async function changeOver(
  gateways: TwoGateways,
  { signal, follow, ...flow }: ChangeOver,
): Promise<{ followers: readonly Follower[]; ending: Ending }> {
  const { first, second, notification } = gateways;
  let gateway = first;
  const followers = follow({ url: () => gateway.url, serverKey, notification });
  await until(async () => followers.every(({ states }) => states.length > 0));
  const flowing = makeEvents(gateways, { ...flow, followers });
  await until(async () => followers.some((follower) => placeOf(follower) * 2 >= flow.eventsCount));
  gateway = second;
  first.send(signal);
  const ending = await first.ended;
  await flowing;
  await until(async () => followers.every((one) => one.completion || placeOf(one) === flow.eventsCount));
  for (const follower of followers) await follower.close();
  return { followers, ending };
}
