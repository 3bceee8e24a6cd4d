import { beforeAll, expect, test } from 'vitest';
import { listInSteps } from '../../../src/notifications/fan-out/list-in-steps.ts';
import { sql } from '../../../src/storage/database.ts';
import { inTransaction } from '../../../src/storage/transaction.ts';
import { useDatabase } from '../../support/database.ts';
import { countRowsReadBy } from '../../support/rows-read.ts';

const database = useDatabase();
let waiting: string[];

beforeAll(async () => {
  const { rows } = await database.pool.query<{ id: string }>(sql`
    insert into notifications (id, content, target, created_by, expires_at, orchestration, fan_out_finished_at)
    select uuid_v7(), '{}', '{}', 'test', now() + interval '1 day', 'FALLBACK', now() from generate_series(1, 2000)
    returning id`);
  waiting = rows
    .map(({ id }) => id)
    .sort()
    .filter((_, index) => index % 500 === 7);
  await database.pool.query(sql`
    insert into fallbacks (notification_id, user_id, channel)
    select id, gen_random_uuid(), 'PUSH' from unnest(${waiting}::uuid[]) id, generate_series(1, 500)`);
  await database.pool.query('analyze notifications, fallbacks');
});

test('each notification in which a channel may follow for somebody is listed once, a page at a time', async () => {
  expect(await listInSteps(database.db, { after: null, limit: 10 })).toEqual(waiting);
  expect(await listInSteps(database.db, { after: null, limit: 3 })).toEqual(waiting.slice(0, 3));
  expect(await listInSteps(database.db, { after: waiting[2] ?? null, limit: 3 })).toEqual(waiting.slice(3));
});

test('no other notification is looked at, and of many users one', async () => {
  const rowsRead = await inTransaction(database.db, (tx) =>
    countRowsReadBy(tx, () => listInSteps(tx, { after: null, limit: 10 })),
  );
  expect(rowsRead).toBeLessThanOrEqual(waiting.length);
});
