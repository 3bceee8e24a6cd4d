import type pg from 'pg';
import { type Logger as PinoLogger, pino } from 'pino';
import type { DeliveryStatus } from '../../src/generated/prisma/enums.ts';
import { newId } from '../../src/ids.ts';
import { sql } from '../../src/storage/database.ts';
import type { LogEntry } from '../../src/stream/log/log.ts';

type Queryable = Pick<pg.Pool, 'query'>;

/** A notification without deliveries, whose fan-out is not finished. */
export async function insertNotification(pool: Queryable): Promise<string> {
  const id = newId();
  await pool.query(sql`
    insert into notifications (id, content, target, created_by, expires_at)
    values (${id}::uuid, '{}', '{}', 'test', now() + interval '1 day')`);
  return id;
}

export async function insertUser(pool: Queryable): Promise<string> {
  const id = newId();
  await pool.query(sql`insert into users (id) values (${id}::uuid)`);
  return id;
}

/** Makes `merged` a tombstone of `survivor`, with those who were merged into it before. */
export async function mergeUser(
  pool: Queryable,
  { merged, survivor }: { merged: string; survivor: string },
): Promise<void> {
  await pool.query(sql`
    update users set merged_into_id = ${survivor}::uuid where id = ${merged}::uuid or merged_into_id = ${merged}::uuid`);
}

interface NewDeliveries {
  notificationId: string;
  userId?: string | null;
  count?: number;
  /** What they are from the beginning, though a fan-out only makes queued ones. @default 'QUEUED' */
  status?: DeliveryStatus;
}

/** Deliveries, hence as many events, by one statement. Returns their ids in the order of the events. */
export async function insertDeliveries(
  pool: Queryable,
  { notificationId, userId = null, count = 1, status = 'QUEUED' }: NewDeliveries,
): Promise<string[]> {
  const { rows } = await pool.query<{ id: string }>(sql`
    insert into deliveries (id, notification_id, target_key, user_id, status)
    select uuid_v7(), ${notificationId}::uuid, gen_random_uuid(), ${userId}::uuid, ${status}::delivery_status
    from generate_series(1, ${count})
    returning id`);
  return rows.map(({ id }) => id).sort();
}

/** Moves deliveries to a status, hence one event each, by one statement. */
export async function setStatus(
  pool: Queryable,
  deliveryIds: readonly string[],
  status: DeliveryStatus,
): Promise<void> {
  await pool.query(sql`
    update deliveries
    set status = ${status}::delivery_status,
      claim_token = case when ${status} = 'SENDING' then gen_random_uuid() end,
      claim_expires_at = case when ${status} = 'SENDING' then now() + interval '1 minute' end
    where id = any(${[...deliveryIds]}::uuid[])`);
}

/** `<position> <delivery> <status>` of what the log has, in its order; of one notification, or of all. */
export async function listLog(pool: Queryable, notificationId?: string): Promise<string[]> {
  const { rows } = await pool.query<{ line: string }>(sql`
    select position || ' ' || delivery_id || ' ' || status as line from delivery_events
    where ${notificationId ?? null}::uuid is null or notification_id = ${notificationId ?? null}::uuid
    order by position`);
  return rows.map(({ line }) => line);
}

/** An entry as `listLog` writes it. */
export function toLine({ position, deliveryId, status }: LogEntry): string {
  return `${position} ${deliveryId} ${status}`;
}

/** A log that keeps its sentences. */
export function createTestLog(): { log: PinoLogger; sentences: string[] } {
  const sentences: string[] = [];
  const write = (line: string) => {
    sentences.push(JSON.parse(line).msg);
  };
  return { log: pino({ level: 'debug' }, { write }), sentences };
}
