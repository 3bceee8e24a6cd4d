import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import { addJob, type Job } from '../../src/queue/job.ts';
import { bindJob, type JobRunner, prepareQueue, startJobRunner } from '../../src/queue/job-runner.ts';
import { openStorage, type Storage, sql } from '../../src/storage/database.ts';
import { useDatabase } from '../support/database.ts';
import { executeStatement, withDatabase } from '../support/database-server.ts';
import { createReceived, type Received } from '../support/fakes/received.ts';
import { createTestLog } from '../support/log-events.ts';
import { until } from '../support/until.ts';

const database = useDatabase();
let storage: Storage;
let runner: JobRunner | null = null;
let greeted: Received<string>;
let doFirst: () => Promise<void>;
let lines: { log: ReturnType<typeof createTestLog>['log']; sentences: string[] };
let restarts = 0;
let doOnRestart: () => Promise<void>;

const greet: Job<null, { name: string }> = {
  name: 'greet',
  payload: z.object({ name: z.string() }),
  async run(_, { name }) {
    await doFirst();
    greeted.add(name);
  },
};

beforeAll(async () => {
  await prepareQueue(database.pool, createTestLog().log);
});
beforeEach(async () => {
  await database.pool.query('delete from graphile_worker._private_jobs');
  storage = openStorage(database.url);
  greeted = createReceived();
  doFirst = async () => undefined;
  lines = createTestLog();
  restarts = 0;
  doOnRestart = async () => undefined;
  runner = await start({ concurrency: 1 });
});
afterEach(async () => {
  await runner?.stop();
  await storage.close();
});

function start({ concurrency }: { concurrency: number }): Promise<JobRunner> {
  const onRestart = async () => {
    restarts += 1;
    await doOnRestart();
  };
  return startJobRunner({ pool: storage.pool, log: lines.log, tasks: [bindJob(greet, null)], concurrency, onRestart });
}

/** The database answers nobody until the result is called. */
async function takeDatabaseAway(): Promise<() => Promise<void>> {
  const server = withDatabase(database.url, 'postgres');
  const name = new URL(database.url).pathname.slice(1);
  await executeStatement(server, `alter database ${name} allow_connections false`);
  await executeStatement(server, `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`);
  return () => executeStatement(server, `alter database ${name} allow_connections true`);
}

/** Waits until the queue could not write how a job ended. */
async function failedToEndJob(): Promise<void> {
  const sentence = 'How a job ended could not be written; the job queue starts anew.';
  while (!lines.sentences.includes(sentence)) await new Promise(setImmediate);
}

/** Waits until the queue holds this many jobs: each one's end is written by itself then. */
async function jobsLeft(count: number): Promise<void> {
  await until(async () => {
    const { rows } = await database.pool.query('select count(*)::int as left from graphile_worker._private_jobs');
    return rows[0].left === count;
  });
}

test('jobs run', async () => {
  await addJob(database.db, greet, { name: 'Ann' });
  expect(await greeted.received(1)).toEqual(['Ann']);
});

test('a stop waits for the job under way, and begins no other', async () => {
  const [begun, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  doFirst = () => {
    begun.resolve();
    return goOn.promise;
  };
  await addJob(database.db, greet, { name: 'Ann' });
  await addJob(database.db, greet, { name: 'Ben' });
  await begun.promise;
  const stopped = runner?.stop();
  goOn.resolve();
  await stopped;
  expect(greeted.items).toEqual(['Ann']);
});

test('a job that fails is logged by a fixed sentence, and does not stop others', async () => {
  doFirst = async () => {
    doFirst = async () => undefined;
    throw new Error('Not now.');
  };
  await addJob(database.db, greet, { name: 'Ann' });
  await addJob(database.db, greet, { name: 'Ben' });
  expect(await greeted.received(1)).toEqual(['Ben']);
  expect(lines.sentences).toContain('A job failed; it will be tried again.');
  expect(lines.sentences.join()).not.toContain('Not now.');
});

test('jobs go on after the database was away while one was running', async () => {
  const away = Promise.withResolvers<() => Promise<void>>();
  doFirst = async () => {
    doFirst = async () => undefined;
    away.resolve(await takeDatabaseAway());
  };
  await addJob(database.db, greet, { name: 'Ann' });
  const bringBack = await away.promise;
  await failedToEndJob();
  await bringBack();
  await addJob(database.db, greet, { name: 'Ben' });
  expect((await greeted.received(2)).at(-1)).toBe('Ben');
  expect(restarts).toBeGreaterThan(0);
});

test('jobs go on after the database was away while several were running, most of which ended when it was back', async () => {
  await runner?.stop();
  runner = await start({ concurrency: 4 });
  const ends = ['Ann', 'Ben', 'Cem', 'Dee'].map((name) => ({ name, ...Promise.withResolvers<void>() }));
  let begun = 0;
  doFirst = async () => {
    const end = ends[begun];
    begun += 1;
    await end?.promise;
  };
  for (const { name } of ends) await addJob(database.db, greet, { name });
  while (begun < ends.length) await new Promise(setImmediate);
  const bringBack = await takeDatabaseAway();
  const [first, ...others] = ends;
  first?.resolve();
  await failedToEndJob();
  await bringBack();
  for (const [index, { resolve }] of others.entries()) {
    resolve();
    await jobsLeft(others.length - index);
  }
  await addJob(database.db, greet, { name: 'Eva' });
  expect((await greeted.received(5)).at(-1)).toBe('Eva');
});

/** Whether there is a runner that takes jobs. */
async function isListening(): Promise<boolean> {
  const { rowCount } = await database.pool.query(sql`
    select from pg_stat_activity where datname = current_database() and query like 'LISTEN "jobs:insert"%'`);
  return rowCount !== 0;
}

/** Has the queue fail while Ann is under way, until `greeted` is told that she may end. */
async function loseQueueBesideAnn(): Promise<PromiseWithResolvers<void>> {
  await runner?.stop();
  runner = await start({ concurrency: 2 });
  const [annBegun, annMayEnd] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  doFirst = () => {
    annBegun.resolve();
    return annMayEnd.promise;
  };
  await addJob(database.db, greet, { name: 'Ann' });
  await annBegun.promise;
  const away = Promise.withResolvers<() => Promise<void>>();
  doFirst = async () => away.resolve(await takeDatabaseAway());
  await addJob(database.db, greet, { name: 'Ben' });
  const bringBack = await away.promise;
  doFirst = async () => undefined;
  await failedToEndJob();
  await bringBack();
  return annMayEnd;
}

test('a stop waits for a job that was under way when the database was away', async () => {
  const annMayEnd = await loseQueueBesideAnn();
  await addJob(database.db, greet, { name: 'Cem' });
  await greeted.received(2);
  let isStopped = false;
  const stopped = runner?.stop().then(() => {
    isStopped = true;
  });
  await until(async () => !(await isListening()));
  // What it still has to say to the database would take fewer.
  for (let question = 0; question < 50; question += 1) await database.pool.query('select');
  expect(isStopped).toBe(false);
  annMayEnd.resolve();
  await stopped;
  expect(greeted.items).toEqual(['Ben', 'Cem', 'Ann']);
});

test('a stop while it goes on after an outage leaves nothing at work', async () => {
  const [restarted, restartMayEnd] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  doOnRestart = () => {
    restarted.resolve();
    return restartMayEnd.promise;
  };
  const annMayEnd = await loseQueueBesideAnn();
  annMayEnd.resolve();
  await restarted.promise;
  await until(isListening);
  await runner?.stop();
  expect(await isListening()).toBe(false);
  restartMayEnd.resolve();
});
