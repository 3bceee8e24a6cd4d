import { randomUUID } from 'node:crypto';
import type pg from 'pg';

/** Users, each with an external user id, an e-mail address and an installation. */
export interface Town {
  /** External user ids. */
  names: string[];
  /** Installations of nameless leads, which nobody has used yet: each is taken once. */
  newcomers: Iterator<string>;
}

/** Makes `users` people and `newcomers` installations that are nobody's yet, and lets PostgreSQL know their numbers. */
export async function makeTown(
  pool: pg.Pool,
  { users, newcomers }: { users: number; newcomers: number },
): Promise<Town> {
  const appId = randomUUID();
  await pool.query('insert into apps (id, name) values ($1, $2)', [appId, `bench ${appId}`]);
  await pool.query(makeUsers, [users, 'person']);
  await pool.query(makeInstallations, ['person', appId]);
  await pool.query(makeLeads, [newcomers]);
  await pool.query(makeInstallations, ['newcomer', appId]);
  await pool.query('vacuum analyze');
  const { rows } = await pool.query<{ id: string }>(
    `select i.id from installations i join users u on u.id = i.user_id where u.display_name = 'newcomer' order by random()`,
  );
  return {
    names: Array.from({ length: users }, (_, index) => `person-${index + 1}`),
    newcomers: rows.map(({ id }) => id).values(),
  };
}

const makeUsers = `
  with made as (
    insert into users (id, type, display_name, first_name)
    select uuid_v7(), 'CUSTOMER', $2, 'First ' || n from generate_series(1, $1::int) n
    returning id, first_name
  ),
  numbered as (select id, substring(first_name from 7) as number from made),
  named as (
    insert into identifiers (kind, value, user_id)
    select 'EXTERNAL_USER_ID'::identifier_kind, 'person-' || number, id from numbered
    union all
    select 'EMAIL', 'person-' || number || '@example.com', id from numbered
  )
  insert into recipients (id, channel, user_id, address)
  select uuid_v7(), 'EMAIL'::channel, id, 'person-' || number || '@example.com' from numbered
  union all
  select uuid_v7(), 'IN_APP', id, null from numbered`;

const makeLeads = `
  with made as (
    insert into users (id, type, display_name) select uuid_v7(), 'LEAD', 'newcomer' from generate_series(1, $1::int) returning id
  )
  insert into recipients (id, channel, user_id) select uuid_v7(), 'IN_APP', id from made`;

const makeInstallations = `
  with made as (
    insert into installations (id, app_id, user_id, platform)
    select gen_random_uuid(), $2, id, 'ANDROID' from users where display_name = $1
    returning id, user_id
  )
  insert into recipients (id, channel, user_id, installation_id) select uuid_v7(), 'PUSH', user_id, id from made`;
