import { createECDH, randomBytes } from 'node:crypto';
import type pg from 'pg';
import { newId } from '../../src/ids.ts';
import { sealAddress } from '../../src/installations/installation-address.ts';
import type { Cipher } from '../../src/storage/cipher.ts';
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

/** Makes `count` people with a browser each, all of them in one static segment. Answers the segment's id. */
export async function makeWebTown(
  pool: pg.Pool,
  { cipher, count, endpointOf }: { cipher: Cipher; count: number; endpointOf: (index: number) => string },
): Promise<string> {
  const segmentId = newId();
  await pool.query(sql`insert into segments (id, name) values (${segmentId}::uuid, ${segmentId})`);
  const keys = makeSubscriptionKeys();
  const sealed = Array.from({ length: count }, (_, index) =>
    sealAddress(cipher, { kind: 'webPush', endpoint: endpointOf(index), ...keys }),
  );
  await pool.query(sql`
    with browsers as (
      select uuid_v7() as id, uuid_v7() as user_id, cipher, hash
      from unnest(
        ${sealed.map(({ addressCipher }) => Buffer.from(addressCipher))}::bytea[],
        ${sealed.map(({ addressHash }) => Buffer.from(addressHash))}::bytea[]
      ) as sealed (cipher, hash)
    ),
    people as (insert into users (id, type) select user_id, 'CUSTOMER' from browsers),
    members as (insert into segment_members (segment_id, user_id) select ${segmentId}::uuid, user_id from browsers),
    installed as (
      insert into installations (
        id, app_id, user_id, platform, address_cipher, address_hash, address_registered_at, push_status, subscribed_at
      )
      select id, (select id from apps limit 1), user_id, 'WEB', cipher, hash, now(), 'ALLOWED', now() from browsers
    )
    insert into recipients (id, channel, user_id, installation_id) select uuid_v7(), 'PUSH', user_id, id from browsers
  `);
  await pool.query('vacuum analyze users, recipients, installations, segment_members');
  return segmentId;
}

/** As a browser makes them (RFC 8291, section 3.1). */
export function makeSubscriptionKeys(): { p256dh: string; auth: string } {
  const pair = createECDH('prime256v1');
  return { p256dh: pair.generateKeys('base64url'), auth: randomBytes(16).toString('base64url') };
}

/** Takes all deliveries away, with what was noted of them. */
export async function clearDeliveries(pool: pg.Pool): Promise<void> {
  await pool.query(
    'truncate deliveries, delivery_events, notification_counts, fallbacks, notifications, graphile_worker._private_jobs',
  );
}
