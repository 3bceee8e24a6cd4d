import { afterAll, expect, test } from 'vitest';
import { useApp } from '../support/app.ts';
import { startFakeApns } from '../support/fakes/fake-apns.ts';
import { importedResults } from '../support/installation-operations.ts';
import { makeInstallation, makeNotification, makeUser } from '../support/operations.ts';
import { localIdOf, settledInAHurry, toSend } from '../support/send-operations.ts';
import { until } from '../support/until.ts';

const apns = await startFakeApns();
const { key, keyId, teamId, topic, baseUrl } = apns;
const g = useApp({ apns: { key, keyId, teamId, topic, baseUrl } });
afterAll(() => apns.close());

const newToken = () => crypto.randomUUID().replaceAll('-', '');

/** A person with one installation that APNs reaches by `token`. */
async function makeIphone(token: string) {
  const installation = await makeInstallation(g.app, { platform: 'IOS', address: { apns: { token } } });
  const id = installation.pushRegistrationId;
  const user = await makeUser(g.server, { installation: id, userIdentity: { externalUserId: crypto.randomUUID() } });
  return { ...installation, id, user };
}

const push = (user: { id: string }) =>
  makeNotification(g.server, toSend({ users: [{ id: user.id }] }, { channels: ['PUSH'] }));

const hasAddress = async (id: string) =>
  (await g.db.installation.findUniqueOrThrow({ where: { id } })).addressCipher !== null;

const unregistered = (timestamp: number) => ({ status: 410, reason: 'Unregistered', timestamp });

test('an address that nobody has any more, as APNs knows since it was registered, is forgotten', async () => {
  const { id, user } = await makeIphone(newToken());
  apns.replyNext(unregistered(Date.now() + 1_000));
  const { deliveries } = await settledInAHurry(g, await push(user));
  expect(deliveries.nodes).toMatchObject([{ status: 'FAILED', reason: 'ADDRESS_GONE', providerCode: 'Unregistered' }]);
  expect(await hasAddress(id)).toBe(false);
});

test('an address that was registered after APNs knew it to be gone is kept, and its delivery is tried again', async () => {
  const { id, user } = await makeIphone(newToken());
  apns.replyNext(unregistered(Date.now() - 60_000));
  const { deliveries } = await settledInAHurry(g, await push(user));
  expect(deliveries.nodes).toMatchObject([{ status: 'SENT', attempts: 2 }]);
  expect(await hasAddress(id)).toBe(true);
});

test('the same address registered again is newer than what APNs knows', async () => {
  const token = newToken();
  const { id, user, token: credential } = await makeIphone(token);
  await g.pool.query(`update installations set address_registered_at = now() - interval '1 hour' where id = $1`, [id]);
  await makeInstallation(g.app.as(credential), {
    pushRegistrationId: id,
    platform: 'IOS',
    address: { apns: { token } },
  });
  apns.replyNext(unregistered(Date.now() - 60_000));
  const { deliveries } = await settledInAHurry(g, await push(user));
  expect(deliveries.nodes).toMatchObject([{ status: 'SENT', attempts: 2 }]);
  expect(await hasAddress(id)).toBe(true);
});

test('an address that is registered again while APNs answers is kept', async () => {
  const token = newToken();
  const { id, user, token: credential } = await makeIphone(token);
  const requests = apns.requestCount();
  apns.holdUntil(Number.POSITIVE_INFINITY);
  // The one that is held is answered so.
  apns.replyNext(unregistered(Date.now() + 60_000));
  const notification = await push(user);
  await until(async () => apns.requestCount() > requests);
  await makeInstallation(g.app.as(credential), {
    pushRegistrationId: id,
    platform: 'IOS',
    address: { apns: { token } },
  });
  apns.release();
  const { deliveries } = await settledInAHurry(g, notification);
  expect(deliveries.nodes).toMatchObject([{ status: 'FAILED', reason: 'ADDRESS_GONE' }]);
  expect(await hasAddress(id)).toBe(true);
});

test('an imported address is forgotten, whenever it was gone: nobody has registered it since', async () => {
  const externalUserId = crypto.randomUUID();
  const user = await makeUser(g.server, {
    installation: (await makeInstallation(g.app)).pushRegistrationId,
    userIdentity: { externalUserId },
  });
  const address = { apns: { token: newToken() } };
  await importedResults(g.server, [{ user: { externalUserId }, platform: 'IOS', address }]);
  apns.replyNext(unregistered(Date.now() - 60_000));
  const { deliveries } = await settledInAHurry(g, await push(user));
  expect(deliveries.nodes.map(({ reason }) => reason).sort()).toEqual(['ADDRESS_GONE', 'PERMISSION_ASK']);
  expect(
    await g.db.installation.count({ where: { addressCipher: { not: null }, user: { id: localIdOf(user.id) } } }),
  ).toBe(0);
});
