import { expect, test } from 'vitest';
import { useApp } from '../support/app.ts';

const g = useApp();

test('/health answers 200', async () => {
  const response = await fetch(`${g.url}/health`);
  expect([response.status, await response.json()]).toEqual([200, { status: 'ok' }]);
});

test('/ready says what was found, and names no server', async () => {
  const response = await fetch(`${g.url}/ready`);
  expect(response.status).toBe(200);
  expect(response.headers.get('cache-control')).toBe('no-store');
  const text = await response.text();
  expect(JSON.parse(text)).toMatchObject({
    status: 'ready',
    checks: { database: { ok: true }, migrations: { ok: true }, redis: { isUsed: false }, worker: { ok: true } },
  });
  expect(text).not.toMatch(/postgres|127\.0\.0\.1|localhost|carillon_test/);
});

test('/ready is 503 as soon as a migration is missing', async () => {
  const { rows } = await g.pool.query<{ row: object }>(
    `with gone as (delete from _prisma_migrations where migration_name like '%callers' returning *)
     select to_jsonb(gone) as row from gone`,
  );
  try {
    await expect.poll(async () => (await fetch(`${g.url}/ready`)).status, { timeout: 5_000 }).toBe(503);
    expect(await (await fetch(`${g.url}/ready`)).json()).toMatchObject({ status: 'not ready' });
    expect((await fetch(`${g.url}/health`)).status).toBe(200);
  } finally {
    await g.pool.query(
      'insert into _prisma_migrations select * from jsonb_populate_record(null::_prisma_migrations, $1)',
      [JSON.stringify(rows[0]?.row)],
    );
  }
});
