import { sql } from '../../src/storage/database.ts';
import type { FileApp } from './app.ts';
import { insertNotification } from './log-events.ts';

type Pool = Pick<FileApp, 'pool'>;

/**
 * Queues two pushes to an installation, one for its person and one for itself, which no worker takes for an hour.
 *
 * @returns the id of their notification.
 */
export async function queuePushes({ pool }: Pool, installationId: string): Promise<string> {
  const notificationId = await insertNotification(pool);
  await pool.query(sql`
    insert into deliveries (
      id, notification_id, target_key, channel, user_id, recipient_id, status, is_broadcast, next_attempt_at
    )
    select uuid_v7(), ${notificationId}::uuid, gen_random_uuid(), 'PUSH', user_id, id, 'QUEUED', is_broadcast,
      now() + interval '1 hour'
    from recipients cross join (values (false), (true)) as kinds (is_broadcast)
    where installation_id = ${installationId}::uuid`);
  return notificationId;
}

/** What became of them: the person's first. */
export async function endsOfPushes({ pool }: Pool, notificationId: string): Promise<[string, string | null][]> {
  const { rows } = await pool.query<{ status: string; reason: string | null }>(sql`
    select status, reason from deliveries where notification_id = ${notificationId}::uuid order by is_broadcast`);
  return rows.map(({ status, reason }) => [status, reason]);
}
