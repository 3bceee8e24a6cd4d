import type pg from 'pg';
import { z } from 'zod';
import { type Sql, sql } from '../../../src/storage/database.ts';

/**
 * Writes `count` users as a shop might know them: half of them with tags and attributes, of which one in ten has the tag
 * "sale" and one in four of those the plan "gold"; `points` from 0 to 999; seven in ten with an installation, of which six in
 * seven can be pushed to.
 */
export async function insertCrowd(pool: Pick<pg.Pool, 'query'>, count: number): Promise<void> {
  await pool.query(sql`
    insert into attribute_definitions (id, owner, name, type)
    values (uuid_v7(), 'USER', 'plan', 'STRING'), (uuid_v7(), 'USER', 'points', 'NUMBER')
    on conflict do nothing`);
  await pool.query(sql`
    insert into users (id, type, country, tags, custom_attributes, created_at)
    select
      uuid_v7(), 'CUSTOMER', (array['NL', 'HR', 'US', 'DE'])[1 + n % 4],
      array_remove(array['all', 'shop-' || n % 50, case when n % 10 = 0 then 'sale' end], null),
      jsonb_build_object('plan', (array['gold', 'silver', 'bronze', 'none'])[1 + (n / 10) % 4], 'points', (n::bigint * 7919 % 1000)::text),
      now() - make_interval(mins => n % 500000)
    from generate_series(1, ${count}::int) n`);
  await pool.query(sql`insert into users (id) select uuid_v7() from generate_series(1, ${count}::int / 10)`);
  await pool.query(sql`insert into apps (id, name) values (uuid_v7(), 'shop') on conflict do nothing`);
  await pool.query(sql`
    insert into installations (id, app_id, user_id, platform, push_status, address_hash, address_cipher, last_seen_at)
    select
      made.id, (select id from apps where name = 'shop'), made.user_id, 'ANDROID',
      case when place % 7 = 0 then 'BLOCKED' else 'ALLOWED' end::push_status, uuid_send(made.id), uuid_send(made.id),
      now() - make_interval(mins => (place % 100000)::int)
    from (
      select uuid_v7() as id, id as user_id, row_number() over () as place from users
      where type = 'CUSTOMER' and abs(hashtext(id::text)) % 10 < 7
    ) made`);
  await pool.query(sql`
    insert into recipients (id, channel, user_id, installation_id) select uuid_v7(), 'PUSH', user_id, id from installations`);
  await pool.query('vacuum analyze users, installations, recipients');
}

const planSchema = z.array(z.object({ 'QUERY PLAN': z.unknown() }));

/** How PostgreSQL would find the users `u` for whom a condition holds. */
export async function explainCount(pool: Pick<pg.Pool, 'query'>, where: Sql): Promise<string> {
  const { rows } = await pool.query(sql`explain (format json) select count(*) from users u where ${where}`);
  return JSON.stringify(planSchema.parse(rows));
}
