import { randomUUID } from 'node:crypto';
import { beforeEach, expect, test } from 'vitest';
import { recordEnds } from '../../src/deliveries/record-ends.ts';
import { sql } from '../../src/storage/database.ts';
import { fcmAddress } from '../support/addresses.ts';
import { useApp } from '../support/app.ts';
import { updateInstallation } from '../support/installation-operations.ts';
import { makeInstallation, makeUser } from '../support/operations.ts';
import { localIdOf } from '../support/send-operations.ts';
import { until } from '../support/until.ts';

// Whether a user can be reached is kept with the user, by a trigger: whoever changes it has the user's lock before the
// installation's, as `personalize` takes them. In the other order the two could wait for each other.

const g = useApp({ role: 'gateway' });

interface Scene {
  userId: string;
  /** Push registration id. */
  installation: string;
  address: ReturnType<typeof fcmAddress>;
}
let scene: Scene;
beforeEach(async () => {
  const address = fcmAddress();
  const { pushRegistrationId: installation } = await makeInstallation(g.server, { platform: 'ANDROID', address });
  const { id } = await makeUser(g.server, { installation, userIdentity: { externalUserId: randomUUID() } });
  scene = { userId: localIdOf(id), installation, address };
});

async function retire({ userId, installation }: Scene): Promise<void> {
  const { addressCipher, addressRegisteredAt } = await g.db.installation.findUniqueOrThrow({
    where: { id: installation },
  });
  const id = randomUUID();
  await recordEnds(g.db, randomUUID(), [
    {
      delivery: {
        id,
        channel: 'PUSH',
        platform: 'ANDROID',
        address: null,
        addressCipher,
        addressRegisteredAt,
        appId: null,
        userId,
        installationId: installation,
        attempts: 1,
        refusal: null,
      },
      sent: { kind: 'gone', providerCode: null },
      outcome: { deliveryId: id, status: 'DISCARDED', reason: 'ADDRESS_GONE', providerCode: null },
    },
  ]);
}

test.each<[string, (scene: Scene) => Promise<unknown>]>([
  [
    'registered again',
    ({ installation }) =>
      makeInstallation(g.server, {
        pushRegistrationId: installation,
        platform: 'ANDROID',
        pushStatus: 'BLOCKED',
      }),
  ],
  ['robbed of its address', ({ address }) => makeInstallation(g.server, { platform: 'ANDROID', address })],
  ['changed', ({ installation }) => updateInstallation(g.server, { installation, isPushRegistrationEnabled: false })],
  ['told to be gone', retire],
])('an installation that is %s is locked after its user, and what is kept of the user follows', async (_, change) => {
  const client = await g.pool.connect();
  await client.query('begin');
  await client.query(sql`select from users where id = ${scene.userId}::uuid for no key update`);
  const changing = change(scene);
  await until(async () => {
    const { rows } = await g.pool.query<{ is_waiting: boolean }>(sql`
      select exists (
        select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
      ) as is_waiting`);
    return rows[0]?.is_waiting === true;
  });
  const { rowCount } = await client.query(
    sql`select from installations where id = ${scene.installation}::uuid for no key update nowait`,
  );
  expect(rowCount).toBe(1);
  await client.query('commit');
  client.release();
  await changing;
  const user = await g.db.user.findUniqueOrThrow({ where: { id: scene.userId } });
  expect(user.isPushReachable).toBe(false);
});
