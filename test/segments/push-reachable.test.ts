import { expect, test } from 'vitest';
import { ineligibility } from '../../src/deliveries/eligibility.ts';
import { sql } from '../../src/storage/database.ts';
import { useDatabase } from '../support/database.ts';
import { pushStatuses } from '../support/segments/plain-people.ts';

const database = useDatabase();

/** A user, and installations of it that can be reached. */
async function makeUser(installations: number): Promise<{ userId: string; ids: string[] }> {
  const { rows } = await database.pool.query<{ user_id: string; id: string | null }>(sql`
    with app as (
      insert into apps (id, name) select uuid_v7(), 'app' on conflict (name) do update set name = 'app' returning id
    ),
    person as (insert into users (id) values (uuid_v7()) returning id),
    installation as (
      insert into installations (id, app_id, user_id, platform, push_status, address_hash, address_cipher)
      select made.id, app.id, person.id, 'WEB', 'ALLOWED', uuid_send(made.id), uuid_send(made.id)
      from app, person, (select uuid_v7() as id from generate_series(1, ${installations}::int)) made
      returning id, user_id
    ),
    recipient as (
      insert into recipients (id, channel, user_id, installation_id) select uuid_v7(), 'PUSH', user_id, id from installation
    )
    select person.id as user_id, installation.id from person left join installation on true`);
  return { userId: rows[0]?.user_id ?? '', ids: rows.flatMap(({ id }) => id ?? []) };
}

/** Whether the kept column says that a user can be reached, and whether a push would be sent. */
async function tell(userId: string): Promise<{ isKept: boolean; isSent: boolean }> {
  const { rows } = await database.pool.query(sql`
    select u.is_push_reachable as "isKept", exists (
      select from recipients r join installations i on i.id = r.installation_id
      where r.user_id = u.id and ${ineligibility(sql`false`)} is null
    ) as "isSent"
    from users u where u.id = ${userId}::uuid`);
  return rows[0];
}

test('reachable by push is whom fan-out would push to, in every state of an installation and its recipient', async () => {
  const { userId, ids } = await makeUser(1);
  const told: boolean[] = [];
  for (const status of pushStatuses) {
    for (const [isEnabled, isSubscribed, hasAddress] of combinations(3)) {
      await database.pool.query(sql`
        update installations set push_status = ${status}::push_status, is_push_registration_enabled = ${isEnabled},
          address_hash = case when ${hasAddress} then uuid_send(id) end,
          address_cipher = case when ${hasAddress} then uuid_send(id) end
        where id = any(${ids}::uuid[])`);
      await database.pool.query(
        sql`update recipients set is_subscribed = ${isSubscribed} where installation_id = any(${ids}::uuid[])`,
      );
      const { isKept, isSent } = await tell(userId);
      expect({ status, isEnabled, isSubscribed, hasAddress, isKept }).toMatchObject({ isKept: isSent });
      told.push(isKept);
    }
  }
  expect(told.filter(Boolean)).toHaveLength(1);
});

const combinations = (count: number): boolean[][] =>
  Array.from({ length: 2 ** count }, (_, bits) =>
    Array.from({ length: count }, (__, bit) => ((bits >> bit) & 1) === 1),
  );

test('an installation that moves or goes takes its reachability along', async () => {
  const [from, to] = [await makeUser(1), await makeUser(0)];
  expect([await tell(from.userId), await tell(to.userId)]).toMatchObject([{ isKept: true }, { isKept: false }]);
  // As one statement, as well as one after the other.
  await database.pool.query(sql`
    with moved as (update recipients set user_id = ${to.userId}::uuid where installation_id = any(${from.ids}::uuid[]))
    update installations set user_id = ${to.userId}::uuid where id = any(${from.ids}::uuid[])`);
  expect([await tell(from.userId), await tell(to.userId)]).toMatchObject([{ isKept: false }, { isKept: true }]);
  await database.pool.query(sql`delete from installations where id = any(${from.ids}::uuid[])`);
  expect(await tell(to.userId)).toMatchObject({ isKept: false, isSent: false });
});

test('of two that each take away one of the last two ways to reach a user, the second sees what the first did', async () => {
  const { userId, ids } = await makeUser(2);
  const [one, other] = [await database.pool.connect(), await database.pool.connect()];
  const block = (id: string | undefined) =>
    sql`update installations set push_status = 'BLOCKED' where id = ${id}::uuid`;
  await one.query('begin');
  await one.query(block(ids[0]));
  const blocked = other.query(block(ids[1]));
  await one.query('commit');
  await blocked;
  for (const client of [one, other]) client.release();
  expect(await tell(userId)).toEqual({ isKept: false, isSent: false });
});

test('what says nothing of reachability does not touch the user', async () => {
  const { userId, ids } = await makeUser(1);
  const version = async () =>
    (await database.pool.query(sql`select xmin::text, xmax::text from users where id = ${userId}::uuid`)).rows[0];
  const before = await version();
  await database.pool.query(
    sql`update installations set last_seen_at = now(), app_version = '2' where id = any(${ids}::uuid[])`,
  );
  await database.pool.query(sql`update recipients set language = 'nl' where installation_id = any(${ids}::uuid[])`);
  expect(await version()).toEqual(before);
});
