import { beforeAll, expect, test } from 'vitest';
import { readNextTurn, type Turn } from '../../src/deliveries/next-turn.ts';
import { newId } from '../../src/ids.ts';
import { sql } from '../../src/storage/database.ts';
import { inTransaction } from '../../src/storage/transaction.ts';
import { useDatabase } from '../support/database.ts';
import { countRowsReadBy } from '../support/rows-read.ts';

const database = useDatabase();
const notificationId = newId();

/** When, in whole seconds from now. */
async function secondsUntil(turn: Omit<Turn, 'notificationId'>): Promise<number | null> {
  return inTransaction(database.db, async (tx) => {
    const at = await readNextTurn(tx, { notificationId, ...turn });
    const [row] = await tx.$queryRaw<{ now: Date }[]>(sql`select now() as now`);
    return at && row ? Math.round((at.getTime() - row.now.getTime()) / 1_000) : null;
  });
}

beforeAll(async () => {
  await database.pool.query(sql`
    insert into notifications (id, content, target, created_by, expires_at, fan_out_finished_at)
    values (${notificationId}::uuid, '{}', '{}', 'test', now() + interval '1 day', now())`);
  await database.pool.query(sql`
    insert into deliveries (id, notification_id, target_key, channel, status, next_attempt_at)
    select uuid_v7(), ${notificationId}::uuid, gen_random_uuid(), 'SMS', 'QUEUED', now() from generate_series(1, 5000)`);
  await database.pool.query('vacuum analyze deliveries');
});

test('what is due is looked at again now, what a channel keeps waiting when that may be tried again', async () => {
  const of = (...blocked: [channel: 'SMS' | 'EMAIL', seconds: number][]) => new Map(blocked);
  expect(await secondsUntil({ channels: ['SMS'], blocked: of() })).toBeLessThanOrEqual(0);
  expect(await secondsUntil({ channels: ['SMS'], blocked: of(['SMS', 30]) })).toBe(30);
  expect(await secondsUntil({ channels: ['SMS', 'EMAIL'], blocked: of(['SMS', 30], ['EMAIL', 1]) })).toBe(1);
  expect(await secondsUntil({ channels: ['SMS', 'EMAIL'], blocked: of(['SMS', 30]) })).toBe(30);
  expect(await secondsUntil({ channels: ['SMS', 'EMAIL'], blocked: of(['EMAIL', 30]) })).toBeLessThanOrEqual(0);
  expect(await secondsUntil({ channels: [], blocked: of(['SMS', 30]) })).toBe(30);
});

test('what waits behind a busy channel is not read through each time', async () => {
  const turn: Turn = { notificationId, channels: ['SMS'], blocked: new Map([['SMS', 1]]) };
  const rowsRead = await inTransaction(database.db, (tx) => countRowsReadBy(tx, () => readNextTurn(tx, turn)));
  expect(rowsRead).toBeLessThanOrEqual(2);
});

test('where nothing is left, nobody comes back', async () => {
  const nothing = { notificationId: newId(), channels: ['SMS'] } as const;
  for (const blocked of [new Map(), new Map([['SMS', 1] as const]), new Map([['EMAIL', 1] as const])]) {
    expect(await readNextTurn(database.db, { ...nothing, blocked })).toBeNull();
  }
});
