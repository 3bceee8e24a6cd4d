import { beforeAll, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import { addJob, addJobs, dropFailedJobs, type JobOptions } from '../../src/queue/job.ts';
import { prepareQueue } from '../../src/queue/job-runner.ts';
import { type Sql, sql } from '../../src/storage/database.ts';
import { useDatabase } from '../support/database.ts';
import { createTestLog } from '../support/log-events.ts';
import { until } from '../support/until.ts';

const database = useDatabase();
const job = { name: 'greet', payload: z.object({ name: z.string() }) };

beforeAll(async () => {
  await prepareQueue(database.pool, createTestLog().log);
});
beforeEach(async () => {
  await database.pool.query('delete from graphile_worker._private_jobs');
});

const listJobs = async () =>
  (
    await database.pool.query<{ key: string | null; run_at: Date; attempts: number }>(
      sql`select key, run_at, attempts from graphile_worker.jobs order by id`,
    )
  ).rows;
const later = (minutes: number) => new Date(Date.now() + minutes * 60_000);

test('a job exists if and only if its transaction commits', async () => {
  const rolledBack = database.db.$transaction(async (tx) => {
    await addJob(tx, job, { name: 'Ann' });
    throw new Error('No.');
  });
  await expect(rolledBack).rejects.toThrow('No.');
  expect(await listJobs()).toEqual([]);
  await database.db.$transaction((tx) => addJob(tx, job, { name: 'Ann' }));
  expect(await listJobs()).toHaveLength(1);
});

test('a payload that does not fit is refused, and with it all the others', async () => {
  const wrong: { name: string } = JSON.parse('{"name":1}');
  await expect(addJobs(database.db, job, [{ payload: { name: 'Ann' } }, { payload: wrong }])).rejects.toThrow(
    z.ZodError,
  );
  expect(await listJobs()).toEqual([]);
});

test('of jobs with one key, one waits', async () => {
  for (const _ of Array(5)) await addJob(database.db, job, { name: 'Ann' }, { key: 'ann' });
  await addJobs(database.db, job, [
    { payload: { name: 'Ben' }, key: 'ben' },
    { payload: { name: 'Ann' }, key: 'ann' },
  ]);
  expect((await listJobs()).map(({ key }) => key)).toEqual(['ann', 'ben']);
});

test('it runs at the earliest time that was asked for', async () => {
  const [soon, late, never] = [later(1), later(10), later(100)];
  for (const runAt of [late, soon, never]) await addJob(database.db, job, { name: 'Ann' }, { key: 'ann', runAt });
  expect((await listJobs()).map(({ run_at: runAt }) => runAt)).toEqual([soon]);
});

test('one that is wanted at once does not wait for its time', async () => {
  await addJob(database.db, job, { name: 'Ann' }, { key: 'ann', runAt: later(10) });
  await addJob(database.db, job, { name: 'Ann' }, { key: 'ann' });
  const [waiting] = await listJobs();
  expect(waiting?.run_at.getTime()).toBeLessThan(later(5).getTime());
});

test('one under way keeps no other from being enqueued, for its own time', async () => {
  await addJob(database.db, job, { name: 'Ann' }, { key: 'ann' });
  await database.pool.query(sql`update graphile_worker._private_jobs set locked_at = now(), locked_by = 'a worker'`);
  const runAt = later(10);
  await addJob(database.db, job, { name: 'Ann' }, { key: 'ann', runAt });
  expect((await listJobs()).map((found) => [found.key, found.run_at])).toEqual([
    [null, expect.any(Date)],
    ['ann', runAt],
  ]);
});

/** Does it in a transaction of its own, has another job wanted that must wait for it, then commits. */
async function wantWhile(doing: string | Sql, options: JobOptions): Promise<void> {
  const other = await database.pool.connect();
  await other.query('begin');
  await other.query(doing);
  const wanted = addJob(database.db, job, { name: 'Ann' }, { key: 'ann', ...options });
  await until(async () => {
    const { rowCount } = await database.pool.query(sql`
      select from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock' and query like '%add_job%'`);
    return rowCount === 1;
  });
  await other.query('commit');
  other.release();
  await wanted;
}

test('one that is wanted at once stays so when at the same moment it is wanted for later', async () => {
  const atOnce = sql`select graphile_worker.add_job(${job.name}, '{"name":"Ann"}'::json, job_key => 'ann')`;
  await wantWhile(atOnce, { runAt: later(10) });
  const [waiting, ...others] = await listJobs();
  expect(waiting?.run_at.getTime()).toBeLessThan(later(5).getTime());
  expect(others).toEqual([]);
});

test('one that is taken at the moment at which it is wanted again is followed by another', async () => {
  await addJob(database.db, job, { name: 'Ann' }, { key: 'ann' });
  await wantWhile("update graphile_worker._private_jobs set locked_at = now(), locked_by = 'a worker'", {});
  expect((await listJobs()).map(({ key }) => key)).toEqual([null, 'ann']);
});

test('jobs that have failed for good are dropped, others stay', async () => {
  await addJobs(database.db, job, [{ payload: { name: 'Ann' } }, { payload: { name: 'Ben' }, key: 'ben' }]);
  await database.pool.query(sql`update graphile_worker._private_jobs set attempts = max_attempts where key is null`);
  await dropFailedJobs(database.db);
  expect((await listJobs()).map(({ key }) => key)).toEqual(['ben']);
});
