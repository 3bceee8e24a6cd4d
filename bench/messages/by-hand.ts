import type pg from 'pg';
import { sql } from '../../src/storage/database.ts';

/**
 * The measure's own tables: with the columns, defaults, indexes and constraints of deliveries and their events, without what
 * follows from a change by itself.
 */
export async function makePlainTables(pool: pg.Pool): Promise<void> {
  await pool.query('create table plain_deliveries (like deliveries including all)');
  await pool.query('create table plain_events (like delivery_events including all)');
  await pool.query('create sequence plain_positions');
  await pool.query(`alter table plain_events alter column position set default nextval('plain_positions')`);
}

/** As a fan-out writes it, by two statements in one transaction. */
export async function insertByHand(pool: pg.Pool, segmentId: string, notificationId: string): Promise<void> {
  await inTransaction(pool, async (client) => {
    await client.query(sql`
      insert into plain_deliveries (id, notification_id, target_key, channel, user_id, recipient_id, status)
      select uuid_v7(), ${notificationId}::uuid, r.id, 'SMS', m.user_id, r.id, 'QUEUED'
      from segment_members m join recipients r on r.user_id = m.user_id and r.channel = 'SMS'
      where m.segment_id = ${segmentId}::uuid
    `);
    await client.query(sql`
      insert into plain_events (delivery_id, notification_id, user_id, status, at)
      select id, notification_id, user_id, 'QUEUED', status_at from plain_deliveries
    `);
  });
}

/** As outcomes are written: a batch, with its events. */
export async function updateByHand(pool: pg.Pool, ids: readonly string[]): Promise<void> {
  await inTransaction(pool, async (client) => {
    await client.query({
      name: 'plain outcomes',
      text: `update plain_deliveries d set
          status = outcome.status, reason = outcome.reason, provider_code = outcome.provider_code, status_at = now(),
          claim_token = null, claim_expires_at = null
        from unnest($1::uuid[], $2::delivery_status[], $3::delivery_reason[], $4::text[]) as outcome (id, status, reason, provider_code)
        where d.id = outcome.id`,
      values: [ids, ids.map(() => 'SENT'), ids.map(() => null), ids.map(() => 'PENDING_ACCEPTED')],
    });
    await client.query({
      name: 'plain events',
      text: `insert into plain_events (delivery_id, notification_id, user_id, status, at)
        select id, notification_id, user_id, 'SENT', status_at from plain_deliveries where id = any($1::uuid[])`,
      values: [ids],
    });
  });
}

async function inTransaction(pool: pg.Pool, body: (client: pg.PoolClient) => Promise<void>): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    await body(client);
    await client.query('commit');
  } finally {
    client.release();
  }
}
