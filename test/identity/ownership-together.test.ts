import { randomBytes, randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { startApp } from '../../src/app.ts';
import { sql } from '../../src/storage/database.ts';
import { trimAccessChanges } from '../../src/stream/log/trim-access-changes.ts';
import { testConfig, testKeys } from '../support/app.ts';
import { type Client, createClient } from '../support/client.ts';
import { useDatabase } from '../support/database.ts';
import { insertNotification } from '../support/log-events.ts';
import { depersonalize, makeInstallation, personalize } from '../support/operations.ts';
import { makePerson, mergeUsers } from '../support/people.ts';
import { createRandom, type Random } from '../support/random.ts';
import { insertKey, revokeKey } from '../support/readers.ts';

const database = useDatabase();

interface Town {
  server: Client;
  /** The installations as callers, of an app that lets them claim who they are. */
  clients: readonly Client[];
  /** Push registration ids. */
  installations: readonly string[];
  /** External user ids. */
  names: readonly string[];
  notificationId: string;
}

/** What may happen at once with somebody else's doing the same; each answers what the caller is told. */
const doings: readonly ((town: Town, random: Random) => Promise<unknown>)[] = [
  ({ server, installations }, { pick }) => depersonalize(server, pick(installations)),
  ({ server, installations, names }, { pick, chance }) =>
    personalize(server, {
      installation: pick(installations),
      userIdentity: { externalUserId: pick(names) },
      forceDepersonalize: chance(0.7),
    }),
  ({ clients, names }, { pick, chance }) =>
    personalize(pick(clients), {
      userIdentity: { externalUserId: pick(names) },
      forceDepersonalize: chance(0.7),
    }),
  // Somebody into whom nobody was merged before.
  async ({ server, names }, { pick }) => {
    const { id } = await makePerson({ server, app: server });
    return mergeUsers(server, { survivor: { externalUserId: pick(names) }, merged: { id }, allowAlias: true });
  },
  // A delivery to somebody, which a logout calls off.
  ({ installations, notificationId }, { pick }) =>
    database.pool.query(sql`
      insert into deliveries (id, notification_id, target_key, channel, user_id, recipient_id, status)
      select uuid_v7(), ${notificationId}::uuid, gen_random_uuid(), 'PUSH', user_id, id, 'QUEUED'
      from recipients where installation_id = ${pick(installations)}::uuid`),
  ({ notificationId }) =>
    database.pool.query(sql`
      update deliveries set status = 'SENT' where id in (
        select id from deliveries where notification_id = ${notificationId}::uuid and status = 'QUEUED'
        order by id limit 20 for update skip locked
      )`),
  async () => revokeKey(database.pool, await insertKey(database.pool)),
  () => trimAccessChanges(database.db),
];

async function makeTown(url: string): Promise<Town> {
  const server = createClient(url, testKeys.serverKey);
  await database.db.app.updateMany({ data: { userRegistration: 'OPEN' } });
  const installations = await Promise.all(Array.from({ length: 10 }, () => makeInstallation(server)));
  return {
    server,
    clients: installations.map(({ token }) => server.as(token)),
    installations: installations.map(({ pushRegistrationId }) => pushRegistrationId),
    names: Array.from({ length: 20 }, () => randomUUID()),
    notificationId: await insertNotification(database.pool),
  };
}

test('users that come, leave and are merged while deliveries are made, sent and called off wait for nobody for ever', async () => {
  const gateway = await startApp(testConfig(database.url, { role: 'gateway', dataEncryptionKey: randomBytes(32) }));
  const town = await makeTown(gateway.url ?? '');
  const actors = Array.from({ length: 8 }, async (_, index) => {
    const random = createRandom(index);
    for (let count = 0; count < 12; count += 1) await random.pick(doings)(town, random);
  });
  await Promise.all(actors);
  await gateway.stop();

  const name = new URL(database.url).pathname.slice(1);
  const count = async (query: ReturnType<typeof sql>) =>
    Number((await database.pool.query<{ count: string }>(query)).rows[0]?.count);
  expect(await count(sql`select deadlocks as count from pg_stat_database where datname = ${name}`)).toBe(0);
  expect(
    await count(
      sql`select count(*) from installations i join users u on u.id = i.user_id where u.merged_into_id is not null`,
    ),
  ).toBe(0);
});
