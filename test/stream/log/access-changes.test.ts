import pg from 'pg';
import { afterEach, expect, test } from 'vitest';
import { type Sql, sql } from '../../../src/storage/database.ts';
import { readLogHead } from '../../../src/stream/log/log.ts';
import type { AccessPosition } from '../../../src/stream/log/log-query.ts';
import { trimAccessChanges } from '../../../src/stream/log/trim-access-changes.ts';
import { useDatabase } from '../../support/database.ts';
import { take, useHubs } from '../../support/hubs.ts';
import { insertDeliveries, insertNotification, insertUser, mergeUser } from '../../support/log-events.ts';
import {
  insertInstallation,
  insertKey,
  inTransaction,
  makeKeyHolder,
  moveInstallation,
  refusal,
  revokeKey,
} from '../../support/readers.ts';
import { until } from '../../support/until.ts';

const database = useDatabase();
const { openHub } = useHubs(database);
const opened: pg.Client[] = [];

afterEach(async () => {
  for (const client of opened.splice(0)) await client.end();
});

async function connect(): Promise<pg.Client> {
  const client = new pg.Client(database.url);
  await client.connect();
  opened.push(client);
  return client;
}

const readPosition = async () => (await readLogHead(database.pool)).accessPosition;

/** Whose rights have become less, and up to where that is known. */
async function readChanges(after: AccessPosition) {
  const { accessPosition, changedSubjectIds } = await readLogHead(database.pool, { after });
  return { accessPosition, changedSubjectIds };
}

/** An installation and a key, with what is done to them; whose rights become less by that. */
interface Case {
  installationId: string;
  keyId: string;
  userId: string;
  otherId: string;
}

const run = (statement: (given: Case) => Sql) => (given: Case) => database.pool.query(statement(given));

/** Moves the installation, in the transaction in which its user becomes a tombstone: before that, or after. */
const merge = (isMovedFirst: boolean) => (given: Case) =>
  inTransaction(database.pool, async (client) => {
    const { installationId, userId: merged, otherId: survivor } = given;
    if (isMovedFirst) await moveInstallation(client, installationId, survivor);
    await mergeUser(client, { merged, survivor });
    if (!isMovedFirst) await moveInstallation(client, installationId, survivor);
  });

const cases: [string, 'installation' | 'key' | 'nobody', (given: Case) => Promise<unknown>][] = [
  [
    'an installation is given to another user',
    'installation',
    run(
      ({ installationId: id, otherId }) =>
        sql`update installations set user_id = ${otherId}::uuid where id = ${id}::uuid`,
    ),
  ],
  [
    'an installation is deleted',
    'installation',
    run(({ installationId: id }) => sql`delete from installations where id = ${id}::uuid`),
  ],
  ['a key is revoked', 'key', ({ keyId }) => revokeKey(database.pool, keyId)],
  ['a key is deleted', 'key', run(({ keyId }) => sql`delete from api_keys where id = ${keyId}::uuid`)],
  ['an installation follows its user into a merge', 'nobody', merge(true)],
  ['an installation follows its user after a merge', 'nobody', merge(false)],
  [
    'an installation is told anything else of',
    'nobody',
    run(
      ({ installationId: id }) =>
        sql`update installations set user_id = user_id, language = 'de' where id = ${id}::uuid`,
    ),
  ],
  [
    'a token is dropped for newer ones',
    'nobody',
    run(({ installationId: id }) => sql`delete from installation_tokens where installation_id = ${id}::uuid`),
  ],
  ['a key is renamed', 'nobody', run(({ keyId }) => sql`update api_keys set name = 'other' where id = ${keyId}::uuid`)],
];

test.each(cases)('when %s, the rights that become less are those of: %s', async (_, whose, happen) => {
  const { pool } = database;
  const [userId, otherId] = [await insertUser(pool), await insertUser(pool)];
  const given = {
    userId,
    otherId,
    installationId: await insertInstallation(pool, userId),
    keyId: await insertKey(pool),
  };
  const before = await readPosition();
  await happen(given);
  const ids = { installation: [given.installationId], key: [given.keyId], nobody: [] };
  expect((await readChanges(before)).changedSubjectIds).toEqual(ids[whose]);
});

test('a change that is rolled back is none', async () => {
  const keyId = await insertKey(database.pool);
  const before = await readPosition();
  const client = await connect();
  await client.query('begin');
  await revokeKey(client, keyId);
  await client.query('rollback');
  expect(await readChanges(before)).toEqual({ accessPosition: before, changedSubjectIds: [] });
});

test('a transaction that stays open before its commit holds nobody up, and is told when it commits', async () => {
  const [early, late] = [await insertKey(database.pool), await insertKey(database.pool)];
  const before = await readPosition();
  const open = await connect();
  await open.query('begin');
  await revokeKey(open, late);
  await revokeKey(database.pool, early);
  const first = await readChanges(before);
  await open.query('commit');
  const second = await readChanges(first.accessPosition);
  expect(first.changedSubjectIds).toEqual([early]);
  expect(second.changedSubjectIds).toEqual([late]);
});

test('who commits while another one does waits for it, so that no place appears late', async () => {
  const keyIds = [await insertKey(database.pool), await insertKey(database.pool)] as const;
  const before = await readPosition();
  const [first, second] = [await connect(), await connect()];
  await first.query('begin');
  await revokeKey(first, keyIds[0]);
  // As the commit does it, which a test cannot hold up.
  await first.query('set constraints all immediate');
  let isWaiting = true;
  const secondCommit = revokeKey(second, keyIds[1]).then(() => {
    isWaiting = false;
  });
  await until(async () => !isWaiting || (await isAnyWaitingForLock()));
  const between = await readChanges(before);
  await first.query('commit');
  await secondCommit;
  const after = await readChanges(between.accessPosition);
  expect([...between.changedSubjectIds, ...after.changedSubjectIds].toSorted()).toEqual(keyIds.toSorted());
});

async function isAnyWaitingForLock(): Promise<boolean> {
  const { rows } = await database.pool.query(sql`
    select from pg_locks
    where locktype = 'advisory' and not granted
      and database = (select oid from pg_database where datname = current_database())`);
  return rows.length > 0;
}

test('with writers that commit in every order, who asks for what lies above its place is told of everybody once', async () => {
  const { pool } = database;
  const notificationId = await insertNotification(pool);
  const [writersCount, roundsCount] = [6, 20];
  const before = await readPosition();
  let writing = writersCount;
  const done = Array.from({ length: writersCount }, async (_, index) => {
    const writer = await connect();
    const revoked: string[] = [];
    for (let round = 0; round < roundsCount; round += 1) {
      const keyIds = [await insertKey(writer), await insertKey(writer)];
      await writer.query('begin');
      if ((round + index) % 3 === 0) await insertDeliveries(writer, { notificationId });
      for (const keyId of keyIds) await revokeKey(writer, keyId);
      if ((round + index) % 3 === 1) await insertDeliveries(writer, { notificationId });
      const isKept = round % 7 !== 6;
      await writer.query(isKept ? 'commit' : 'rollback');
      if (isKept) revoked.push(...keyIds);
    }
    writing -= 1;
    return revoked;
  });
  const told: string[] = [];
  for (let place = before, isLast = false; !isLast; ) {
    isLast = writing === 0;
    const { accessPosition, changedSubjectIds } = await readChanges(place);
    told.push(...changedSubjectIds);
    place = accessPosition;
  }
  const revoked = (await Promise.all(done)).flat();
  expect(told.toSorted()).toEqual(revoked.toSorted());
});

test('changes of more than a week ago are removed, younger ones are kept, and who follows them misses none', async () => {
  const { pool, db } = database;
  const { hub, bus } = openHub();
  const { keyId, access } = await makeKeyHolder(pool);
  const stream = hub.events({}, { access });
  await take(stream);
  await pool.query('delete from access_changes');
  const [old, young] = [await insertKey(pool), await insertKey(pool)];
  for (const id of [old, young]) await revokeKey(pool, id);
  const ages = { [old]: '7 days 1 minute', [young]: '6 days 23 hours' };
  for (const [id, age] of Object.entries(ages)) {
    await pool.query(sql`update access_changes set at = now() - ${age}::interval where subject_id = ${id}::uuid`);
  }
  await trimAccessChanges(db);
  expect(await db.accessChange.findMany()).toMatchObject([{ subjectId: young }]);

  await pool.query('delete from access_changes');
  await revokeKey(pool, keyId);
  bus.wake();
  await expect(stream.next()).rejects.toThrow(refusal);
});
