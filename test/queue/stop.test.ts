import { expect, test } from 'vitest';
import { sql } from '../../src/storage/database.ts';
import { useGatewayAndWorker } from '../support/gateway-and-worker.ts';
import { until } from '../support/until.ts';

const g = useGatewayAndWorker();

test('a worker that stops takes no more jobs, however long its chores still take', async () => {
  const isAnybody = async (what: 'listens' | 'waits') => {
    const condition = what === 'listens' ? sql`query like 'LISTEN "jobs:insert"%'` : sql`wait_event_type = 'Lock'`;
    const { rowCount } = await g.pool.query(sql`
      select from pg_stat_activity where datname = current_database() and ${condition}`);
    return rowCount !== 0;
  };
  const worker = await g.startWorker({}, { sweepMs: 10 });
  await until(() => isAnybody('listens'));
  const other = await g.pool.connect();
  await other.query('begin; lock table early_receipts in access exclusive mode');
  await until(() => isAnybody('waits'));
  const stopped = worker.stop();
  await until(async () => !(await isAnybody('listens')));
  expect(await isAnybody('waits')).toBe(true);
  await other.query('commit');
  other.release();
  await stopped;
});
