import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import { addJob, type Job } from '../../src/queue/job.ts';
import { bindJob, type JobRunner, prepareQueue, startJobRunner } from '../../src/queue/job-runner.ts';
import { openStorage, type Storage } from '../../src/storage/database.ts';
import { useDatabase } from '../support/database.ts';
import { executeStatement, withDatabase } from '../support/database-server.ts';
import { createReceived, type Received } from '../support/fakes/received.ts';
import { createTestLog } from '../support/log-events.ts';

const database = useDatabase();
let storage: Storage;
let runner: JobRunner | null = null;
let greeted: Received<string>;
let doFirst: () => Promise<void>;
let lines: { log: ReturnType<typeof createTestLog>['log']; sentences: string[] };
let restarts = 0;

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
  const onRestart = async () => {
    restarts += 1;
  };
  const tasks = [bindJob(greet, null)];
  runner = await startJobRunner({ pool: storage.pool, log: lines.log, tasks, concurrency: 1, onRestart });
});
afterEach(async () => {
  await runner?.stop();
  await storage.close();
});

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
  const server = withDatabase(database.url, 'postgres');
  const name = new URL(database.url).pathname.slice(1);
  doFirst = async () => {
    doFirst = async () => undefined;
    await executeStatement(server, `alter database ${name} allow_connections false`);
    await executeStatement(server, `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`);
  };
  await addJob(database.db, greet, { name: 'Ann' });
  await greeted.received(1);
  // That Ann's job has ended could not be written; the runner notices and starts anew.
  while (!lines.sentences.includes('The job queue has failed.')) await new Promise(setImmediate);
  await executeStatement(server, `alter database ${name} allow_connections true`);
  await addJob(database.db, greet, { name: 'Ben' });
  expect((await greeted.received(2)).at(-1)).toBe('Ben');
  expect(restarts).toBeGreaterThan(0);
});
