import type pg from 'pg';
import { recordEnds } from '../../src/deliveries/record-ends.ts';
import type { Worker } from '../../src/deliveries/worker.ts';
import { newId } from '../../src/ids.ts';
import { fanOutJob } from '../../src/notifications/fan-out/fan-out.job.ts';
import { sendNotification } from '../../src/notifications/send-notification.ts';
import { sql } from '../../src/storage/database.ts';
import { insertByHand, updateByHand } from './by-hand.ts';
import { clearDeliveries } from './town.ts';

/** Rows a second of one round: ours, and by hand. */
export interface Throughput {
  ours: number;
  byHand: number;
}

interface Bench {
  pool: pg.Pool;
  worker: Worker;
  segmentId: string;
  /** Members of the segment, and so deliveries. */
  count: number;
}

const principal = `key:${newId()}`;

/** A notification to the segment by one channel. Its id. */
export async function sendToSegment(
  { worker, segmentId }: Pick<Bench, 'worker' | 'segmentId'>,
  channel: 'SMS' | 'PUSH' = 'SMS',
): Promise<string> {
  const { notificationId } = await sendNotification(worker, {
    principal,
    content: { body: 'It arrives today.' },
    target: { segments: [segmentId] },
    channels: [channel],
    targetOnlyPrimaryDevices: false,
  });
  return notificationId;
}

/** Makes the deliveries of a notification to all of the segment, page by page as a worker does. */
export async function fanOut(bench: Bench): Promise<Throughput> {
  const { pool, worker, segmentId, count } = bench;
  await clearDeliveries(pool);
  await pool.query('truncate plain_deliveries, plain_events');
  await pool.query('checkpoint');
  const byHand = await rate(count, () => insertByHand(pool, segmentId, newId()));
  const notificationId = await sendToSegment(bench);
  await pool.query('checkpoint');
  const ours = await rate(count, async () => {
    while (await isUnfinished(pool, notificationId)) await fanOutJob.run(worker, { notificationId });
  });
  const { rows } = await pool.query<{ count: string }>('select count(*) from delivery_events');
  if (Number(rows[0]?.count) !== count) throw new Error(`There are ${rows[0]?.count} events.`);
  return { ours, byHand };
}

async function isUnfinished(pool: pg.Pool, notificationId: string): Promise<boolean> {
  const { rowCount } = await pool.query(
    sql`select from notifications where id = ${notificationId}::uuid and fan_out_finished_at is null`,
  );
  return rowCount === 1;
}

/** Deliveries of one statement. */
const batchSize = 500;

/** Writes what became of the deliveries that a fan-out has made, in batches, each in a transaction of its own. */
export async function writeOutcomes({ pool, worker, count }: Bench): Promise<Throughput> {
  const token = newId();
  const [ours, plain] = [await claimAll(pool, 'deliveries', token), await claimAll(pool, 'plain_deliveries', token)];
  await pool.query('vacuum deliveries, plain_deliveries');
  await pool.query('checkpoint');
  const byHandRate = await rate(count, async () => {
    for (const batch of batches(plain)) await updateByHand(pool, batch);
  });
  await pool.query('checkpoint');
  const oursRate = await rate(count, async () => {
    for (const batch of batches(ours)) await recordEnds(worker.db, token, batch.map(toEnd));
  });
  const { rowCount } = await pool.query(`select from deliveries where status <> 'SENT'`);
  if (rowCount !== 0) throw new Error(`${rowCount} outcomes were not written.`);
  return { ours: oursRate, byHand: byHandRate };
}

async function claimAll(pool: pg.Pool, table: 'deliveries' | 'plain_deliveries', token: string): Promise<string[]> {
  await pool.query(
    `update ${table} set status = 'SENDING', attempts = 1, claim_token = $1, claim_expires_at = now() + interval '1 hour'`,
    [token],
  );
  const { rows } = await pool.query<{ id: string }>(`select id from ${table} order by id`);
  return rows.map(({ id }) => id);
}

function* batches(ids: readonly string[]): Generator<readonly string[]> {
  for (let start = 0; start < ids.length; start += batchSize) yield ids.slice(start, start + batchSize);
}

const toEnd = (id: string): Parameters<typeof recordEnds>[2][number] => ({
  delivery: {
    ...{ id, attempts: 1, channel: 'SMS', platform: null, userId: null, address: null, addressCipher: null },
    ...{ addressRegisteredAt: null, installationId: null, recipientId: null, appId: null, refusal: null },
    ...{ replays: 0, expiresAt: null, waitSeconds: null },
  },
  sent: { kind: 'accepted', providerCode: 'PENDING_ACCEPTED' },
  outcome: { deliveryId: id, status: 'SENT', reason: null, providerCode: 'PENDING_ACCEPTED' },
});

/** How many a second. */
async function rate(count: number, work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work();
  return count / ((performance.now() - begun) / 1_000);
}
