import { expect, test } from 'vitest';
import { fanOutJob } from '../../src/notifications/fan-out/fan-out.job.ts';
import { readProgress } from '../../src/notifications/progress.ts';
import { sql } from '../../src/storage/database.ts';
import type { SendNotificationInput } from '../generated/graphql.ts';
import { newEmail } from '../support/addresses.ts';
import { eraseUser } from '../support/erase-operations.ts';
import { useGatewayAndWorker } from '../support/gateway-and-worker.ts';
import { depersonalize, makeNotification, settledDeliveries } from '../support/operations.ts';
import { localIdOf, makePerson, makeSegment, mergeUsers, toSend } from '../support/send-operations.ts';
import { until } from '../support/until.ts';

const g = useGatewayAndWorker();

/** Audiences of these tests are of several pages. */
const paged = { usersPerPage: 500 };

/** Global id of a new segment with `count` new users, each with an e-mail address. */
async function makeAudience(count: number): Promise<string> {
  const segment = await makeSegment(g.server, []);
  await g.pool.query(sql`
    with made as (insert into users (id) select uuid_v7() from generate_series(1, ${count}) returning id),
    addressed as (
      insert into recipients (id, channel, user_id, address) select uuid_v7(), 'EMAIL', id, id || '@example.com' from made
    )
    insert into segment_members (segment_id, user_id) select ${localIdOf(segment)}::uuid, id from made`);
  return segment;
}

test('a user who was merged between the call and the fan-out is reached through the survivor, once', async () => {
  const [survivor, merged] = [await makePerson(g.server), await makePerson(g.server, { emails: [newEmail()] })];
  const segments = [await makeSegment(g.server, [survivor.id, merged.id])];
  const target = { users: [{ id: merged.id }, { id: survivor.id }], segments };
  const notification = await makeNotification(g.server, toSend(target));
  await mergeUsers(g.server, { survivor: survivor.id, merged: merged.id });
  await g.startWorker();
  const { deliveries } = await settledDeliveries(g.server, notification);
  expect(deliveries.nodes.map(({ channel, status }) => `${channel} ${status}`).sort()).toEqual([
    'EMAIL SENT',
    'IN_APP SENT',
    'PUSH SENT',
    'PUSH SENT',
  ]);
  expect(new Set(deliveries.nodes.map(({ user }) => user?.id))).toEqual(new Set([survivor.id]));
});

test('who is a member is decided at the fan-out, not at the call', async () => {
  const [stays, leaves] = [await makePerson(g.server), await makePerson(g.server)];
  const segment = await makeSegment(g.server, [stays.id, leaves.id]);
  const notification = await makeNotification(g.server, toSend({ segments: [segment] }, { channels: ['PUSH'] }));
  await g.pool.query(sql`delete from segment_members where user_id = ${localIdOf(leaves.id)}::uuid`);
  await g.startWorker();
  const { deliveries } = await settledDeliveries(g.server, notification);
  expect(deliveries.nodes.map(({ user }) => user?.id)).toEqual([stays.id]);
});

test('a segment of several pages is reached as a whole, each member once', async () => {
  const segments = [await makeAudience(1_201), await makeAudience(300)];
  const notification = await makeNotification(g.server, toSend({ segments }, { channels: ['EMAIL'] }));
  await g.startWorker({}, paged);
  expect((await settledDeliveries(g.server, notification)).progress).toMatchObject({ total: 1_501, sent: 1_501 });
});

test('the counts add up to the total at every moment of a send', async () => {
  const segments = [await makeAudience(1_201)];
  const notification = await makeNotification(g.server, toSend({ segments }, { channels: ['EMAIL', 'SMS'] }));
  await g.startWorker({}, paged);
  const totals = await until(async () => {
    const progress = await readProgress(g.db, localIdOf(notification));
    if (!progress) return null;
    const { total, reached, isComplete, ...counts } = progress;
    expect(Object.values(counts).reduce((sum, count) => sum + count, 0)).toBe(total);
    return isComplete && progress;
  });
  expect(totals).toMatchObject({ total: 2_402, sent: 1_201, discarded: 1_201, reached: { sent: 1_201, delivered: 0 } });
});

test('a fan-out that was killed between its pages goes on where it was, without duplicates, up to its limit', async () => {
  const notification = await makeNotification(
    g.server,
    toSend({ segments: [await makeAudience(1_201)], limit: 1_100 }, { channels: ['EMAIL'] }),
  );
  const id = localIdOf(notification);
  // The third page (the references are the first) fails in the middle of its transaction, however often it is tried.
  await g.pool.query(`
    create or replace function fail_third_page() returns trigger language plpgsql as $$ begin
      if (select count(*) from deliveries where notification_id = '${id}') > 500 then raise 'killed'; end if;
      return null;
    end $$`);
  await g.pool.query(sql`create trigger fail_third_page after insert on deliveries execute function fail_third_page()`);
  const dying = await g.startWorker({}, paged);
  await until(async () => {
    const { rowCount } = await g.pool.query(sql`
      select from notifications where id = ${id}::uuid and fan_out_cursor ->> 'after' is not null`);
    return rowCount === 1;
  });
  await dying.stop();
  await g.pool.query(sql`drop trigger fail_third_page on deliveries`);
  expect(await g.db.delivery.count({ where: { notificationId: id } })).toBe(500);
  // Its job is gone with it: only the lease tells.
  await g.pool.query(
    sql`select graphile_worker.complete_jobs(array(select id from graphile_worker.jobs where key like 'fan out %'))`,
  );
  await g.pool.query(sql`update notifications set fan_out_claim_expires_at = now() where id = ${id}::uuid`);
  await g.startWorker({}, paged);
  expect((await settledDeliveries(g.server, notification)).progress).toMatchObject({ total: 1_100, sent: 1_100 });
});

test('fan-outs that run twice at once make nothing twice', async () => {
  const notification = await makeNotification(
    g.server,
    toSend({ segments: [await makeAudience(1_201)] }, { channels: ['EMAIL'] }),
  );
  const payload = JSON.stringify({ notificationId: localIdOf(notification) });
  for (const _ of Array(5)) {
    await g.pool.query(sql`select graphile_worker.add_job(${fanOutJob.name}, ${payload}::json)`);
  }
  await Promise.all([g.startWorker({}, paged), g.startWorker({}, paged)]);
  expect((await settledDeliveries(g.server, notification)).progress).toMatchObject({ total: 1_201, sent: 1_201 });
});

test('a merge that comes in the middle of a page waits for its end, and nobody is missed', async () => {
  const [survivor, merged] = [await makePerson(g.server), await makePerson(g.server, { emails: [newEmail()] })];
  await g.startWorker({}, { sweepMs: 60_000 });
  // The page stops right before it inserts, until the test lets it go on.
  const holder = await g.pool.connect();
  await holder.query('begin; lock table deliveries in share mode');
  const notification = await makeNotification(
    g.server,
    toSend({ users: [{ id: merged.id }] }, { channels: ['EMAIL'] }),
  );
  await until(() => isWaitingFor('insert into deliveries'));
  const merging = mergeUsers(g.server, { survivor: survivor.id, merged: merged.id });
  await until(() => isWaitingFor('from users where id'));
  await holder.query('commit');
  holder.release();
  await merging;
  expect((await settledDeliveries(g.server, notification)).progress).toMatchObject({ total: 1, sent: 1 });
});

test('who is merged, leaves an installation or is erased in the middle of a page waits for nothing, and it is told when it is sent', async () => {
  const [survivor, merged] = [await makePerson(g.server), await makePerson(g.server, { emails: [newEmail()] })];
  const [left, erased] = [await makePerson(g.server), await makePerson(g.server)];
  const segments = [await makeSegment(g.server, [merged.id, left.id, erased.id])];
  const holder = await g.pool.connect();
  await holder.query('begin; select pg_advisory_xact_lock(7)');
  // The page stops right after it has seen whom it means, until the test lets it go on.
  await g.pool.query(`
    create or replace function wait_for_test() returns trigger language plpgsql as $$ begin
      perform pg_advisory_xact_lock(7); return new;
    end $$`);
  await g.pool.query(
    sql`create trigger wait before insert on deliveries for each row execute function wait_for_test()`,
  );
  await g.startWorker({}, { sweepMs: 60_000 });
  const notification = await makeNotification(g.server, toSend({ segments }, { channels: ['PUSH', 'EMAIL'] }));
  await until(() => isWaitingFor('insert into deliveries'));
  await mergeUsers(g.server, { survivor: survivor.id, merged: merged.id });
  await depersonalize(g.app.as(left.installation.token));
  await eraseUser(g.server, { id: erased.id });
  await holder.query('commit');
  holder.release();
  const { deliveries } = await settledDeliveries(g.server, notification);
  await g.pool.query(sql`drop trigger wait on deliveries`);
  const ends = deliveries.nodes.map(({ user, channel, status, reason }) => [user?.id, channel, status, reason]);
  expect(ends.sort()).toEqual(
    [
      [survivor.id, 'PUSH', 'SENT', null],
      [survivor.id, 'EMAIL', 'SENT', null],
      [left.id, 'PUSH', 'CANCELLED', 'DEPERSONALIZED'],
      [left.id, 'EMAIL', 'DISCARDED', 'NO_ADDRESS'],
      [undefined, 'PUSH', 'CANCELLED', 'ERASED'],
      [undefined, 'EMAIL', 'DISCARDED', 'NO_ADDRESS'],
    ].sort(),
  );
});

test('a member who is merged between two pages, into somebody whom the walk has passed, is not missed', async () => {
  const survivor = await makePerson(g.server, { emails: [newEmail()] });
  const merged = await makePerson(g.server);
  const segment = await makeSegment(g.server, [merged.id]);
  const notification = await makeNotification(g.server, toSend({ segments: [segment] }, { channels: ['EMAIL'] }));
  // As if a first page had ended right behind the survivor.
  const cursor = JSON.stringify({ phase: 'segments', after: localIdOf(survivor.id) });
  await g.pool.query(
    sql`update notifications set fan_out_cursor = ${cursor}::jsonb where id = ${localIdOf(notification)}::uuid`,
  );
  await mergeUsers(g.server, { survivor: survivor.id, merged: merged.id });
  await g.startWorker();
  const { deliveries } = await settledDeliveries(g.server, notification);
  expect(deliveries.nodes.map(({ user, status }) => [user?.id, status])).toEqual([[survivor.id, 'SENT']]);
});

/**
 * Fans out to two members of a segment, a page each, and merges the second into the first between the two: what has become of
 * each of the survivor's recipients in the end.
 */
async function endsOfMergeBetweenPages(
  [survivor, merged]: readonly [{ id: string }, { id: string }],
  { limit, ...rest }: Partial<SendNotificationInput> & { limit?: number },
): Promise<string[]> {
  const target = { segments: [await makeSegment(g.server, [survivor.id, merged.id])], ...(limit && { limit }) };
  const notification = await makeNotification(g.server, toSend(target, rest));
  const id = localIdOf(notification);
  await g.pool.query(`
    create or replace function fail_second_page() returns trigger language plpgsql as $$ begin
      if exists (select from added where user_id = '${localIdOf(merged.id)}') then raise 'killed'; end if;
      return null;
    end $$`);
  await g.pool.query(sql`
    create trigger fail_second_page after insert on deliveries referencing new table as added
    for each statement execute function fail_second_page()`);
  const dying = await g.startWorker({}, { usersPerPage: 1 });
  await until(async () => (await g.db.delivery.count({ where: { notificationId: id } })) > 0);
  await dying.stop();
  await g.pool.query(sql`drop trigger fail_second_page on deliveries`);
  await mergeUsers(g.server, { survivor: survivor.id, merged: merged.id });
  await g.pool.query(
    sql`select graphile_worker.complete_jobs(array(select id from graphile_worker.jobs where key like 'fan out %'))`,
  );
  await g.pool.query(sql`update notifications set fan_out_claim_expires_at = now() where id = ${id}::uuid`);
  await g.startWorker({}, { usersPerPage: 1 });
  const { deliveries } = await settledDeliveries(g.server, notification);
  expect(new Set(deliveries.nodes.map(({ user }) => user?.id))).toEqual(new Set([survivor.id]));
  return deliveries.nodes.map(({ channel, status, reason }) =>
    [channel, status, ...(reason ? [reason] : [])].join(' '),
  );
}

const byMail = { channels: ['EMAIL' as const, 'SMS' as const] };

test.each([
  ['by the preferred channel', { ...byMail, orchestration: 'PREFERRED' as const }],
  ['by the preferred channel, under a limit', { ...byMail, orchestration: 'PREFERRED' as const, limit: 5 }],
  ['by one channel after the other', { ...byMail, orchestration: 'FALLBACK' as const }],
])('who had no address is reached by that of whom a merge brings between two pages, %s', async (_, rest) => {
  const people = [await makePerson(g.server), await makePerson(g.server, { emails: [newEmail()] })] as const;
  expect(await endsOfMergeBetweenPages(people, rest)).toEqual(['EMAIL DISCARDED NO_ADDRESS', 'EMAIL SENT']);
});

test('one per user is the installation that a merge brings between two pages, where the own one cannot be reached', async () => {
  const [survivor, merged] = [await makePerson(g.server), await makePerson(g.server)];
  const { pushRegistrationId: id } = survivor.installation;
  await g.db.installation.update({ where: { id }, data: { pushStatus: 'BLOCKED' } });
  const ends = await endsOfMergeBetweenPages([survivor, merged], { channels: ['PUSH'], onePerUser: true });
  expect(ends).toEqual(['PUSH DISCARDED PERMISSION_BLOCKED', 'PUSH SENT']);
});

test('that nobody can be reached is said once, also after a merge between two pages', async () => {
  const people = [await makePerson(g.server), await makePerson(g.server, { emails: [newEmail()] })] as const;
  await g.pool.query(sql`
    update recipients set is_subscribed = false where user_id = ${localIdOf(people[1].id)}::uuid`);
  const rest = { ...byMail, orchestration: 'PREFERRED' as const };
  expect(await endsOfMergeBetweenPages(people, rest)).toEqual(['EMAIL DISCARDED NO_ADDRESS']);
});

test('what was queued for the inbox of a user who is merged then still goes out', async () => {
  const [survivor, merged] = [await makePerson(g.server), await makePerson(g.server)];
  const notification = await makeNotification(
    g.server,
    toSend({ users: [{ id: merged.id }] }, { channels: ['IN_APP'] }),
  );
  const stopped = await g.startWorker();
  await settledDeliveries(g.server, notification);
  await stopped.stop();
  await g.pool.query(sql`
    update deliveries set status = 'QUEUED', attempts = 0 where notification_id = ${localIdOf(notification)}::uuid`);
  await mergeUsers(g.server, { survivor: survivor.id, merged: merged.id });
  await g.startWorker({}, { sweepMs: 100 });
  const { deliveries } = await settledDeliveries(g.server, notification);
  expect(deliveries.nodes.map(({ status, reason }) => [status, reason])).toEqual([['SENT', null]]);
});

/** Whether a statement of this database that contains `text` waits for a lock. */
async function isWaitingFor(text: string): Promise<boolean> {
  const { rowCount } = await g.pool.query(sql`
    select from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock' and position(${text} in query) > 0`);
  return rowCount !== 0;
}
