import type pg from 'pg';
import { newId } from '../../src/ids.ts';
import { sql } from '../../src/storage/database.ts';

/** Makes `count` people with a phone each, all of them in one static segment. Answers the segment's id. */
export async function makeTown(pool: pg.Pool, count: number): Promise<string> {
  const segmentId = newId();
  await pool.query(sql`insert into segments (id, name) values (${segmentId}::uuid, ${segmentId})`);
  await pool.query(sql`
    with people as (insert into users (id, type) select uuid_v7(), 'CUSTOMER' from generate_series(1, ${count}::int) returning id),
    members as (insert into segment_members (segment_id, user_id) select ${segmentId}::uuid, id from people)
    insert into recipients (id, channel, user_id, address)
    select uuid_v7(), 'SMS', id, '+3859' || lpad(((select count(*) from recipients) + row_number() over ())::text, 8, '0') from people
  `);
  await pool.query('vacuum analyze users, recipients, segment_members');
  return segmentId;
}

/** Takes all deliveries away, with what was noted of them. */
export async function clearDeliveries(pool: pg.Pool): Promise<void> {
  await pool.query(
    'truncate deliveries, delivery_events, notification_counts, fallbacks, notifications, graphile_worker._private_jobs',
  );
}
