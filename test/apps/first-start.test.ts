import { expect, test } from 'vitest';
import { findCaller } from '../../src/apps/find-caller.ts';
import { prepareFirstStart } from '../../src/apps/first-start.ts';
import { useDatabase } from '../support/database.ts';

const database = useDatabase();

test('processes that start first, all at once, make one app and one key of each kind; a later start changes nothing', async () => {
  const given = { serverKey: 'the server key', appKey: null };
  const made = await Promise.all(Array.from({ length: 6 }, () => prepareFirstStart(database.db, given)));
  const appKeys = made.flatMap(({ appKey }) => appKey ?? []);
  expect(appKeys).toHaveLength(1);
  expect(made.flatMap(({ serverKey }) => serverKey ?? [])).toEqual(['the server key']);

  const app = await database.db.app.findFirstOrThrow();
  expect(await findCaller(database.db, 'the server key')).toMatchObject({ kind: 'SERVER' });
  expect(await findCaller(database.db, appKeys[0] ?? '')).toMatchObject({ kind: 'APP', appId: app.id });

  const later = await prepareFirstStart(database.db, { serverKey: 'another', appKey: 'another' });
  expect(later).toEqual({ serverKey: null, appKey: null });
  expect(await findCaller(database.db, 'another')).toBeNull();
  expect(await database.db.app.count()).toBe(1);
  expect(await database.db.apiKey.count()).toBe(2);
});
