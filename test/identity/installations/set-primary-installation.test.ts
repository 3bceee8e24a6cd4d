import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { fcmAddress } from '../../support/addresses.ts';
import { useApp } from '../../support/app.ts';
import { setPrimary } from '../../support/installation-operations.ts';
import { makeInstallation, makeNotification, makeUser, settledDeliveries } from '../../support/operations.ts';
import { getProfile, makePerson } from '../../support/people.ts';

const g = useApp();

/** Installations of one person, each by its token and its push registration id. */
async function makeDevices(count: number) {
  const userIdentity = { externalUserId: randomUUID() };
  const devices = await Promise.all(
    Array.from({ length: count }, () => makeInstallation(g.app, { platform: 'ANDROID', address: fcmAddress() })),
  );
  for (const { id } of devices) await makeUser(g.server, { installation: id, userIdentity });
  const primaries = async () => (await getProfile(g.server, userIdentity)).primaryInstallations;
  return { devices, userIdentity, primaries };
}

test('I2: it is none by default; it is set on itself or on another installation of the same user, one at a time', async () => {
  const { devices, primaries } = await makeDevices(2);
  const [one, two] = devices.map(({ token, pushRegistrationId }) => ({ own: g.app.as(token), id: pushRegistrationId }));
  if (!one || !two) throw new Error('There are two.');
  expect(await primaries()).toEqual([]);
  expect(await setPrimary(one.own, { installation: one.id, isPrimary: true })).toMatchObject({
    installation: { pushRegistrationId: one.id, isPrimaryDevice: true },
  });
  expect(await primaries()).toEqual([one.id]);
  expect(await setPrimary(one.own, { installation: two.id, isPrimary: true })).toMatchObject({
    installation: { pushRegistrationId: two.id, isPrimaryDevice: true },
  });
  expect(await primaries()).toEqual([two.id]);
  // What is none already does not take it from another one.
  await setPrimary(g.server, { installation: one.id, isPrimary: false });
  expect(await primaries()).toEqual([two.id]);
  await setPrimary(g.server, { installation: two.id, isPrimary: false });
  expect(await primaries()).toEqual([]);
});

test('I2: a send that is limited to primary devices goes to no other installation', async () => {
  const { devices, userIdentity } = await makeDevices(3);
  const installation = devices[1]?.pushRegistrationId ?? '';
  await setPrimary(g.server, { installation, isPrimary: true });
  const notification = await makeNotification(g.server, {
    content: { body: 'Hello' },
    channels: ['PUSH'],
    target: { users: [userIdentity] },
    targetOnlyPrimaryDevices: true,
  });
  const { deliveries } = await settledDeliveries(g.server, notification);
  expect(deliveries.nodes.map(({ status, reason }) => [status, reason]).sort()).toEqual([
    ['DISCARDED', 'NOT_PRIMARY'],
    ['DISCARDED', 'NOT_PRIMARY'],
    ['SENT', null],
  ]);
});

test('each app has a primary installation of its own', async () => {
  const { devices, primaries } = await makeDevices(2);
  const { id: appId } = await g.db.app.create({ data: { id: randomUUID(), name: randomUUID() } });
  const [one, other] = devices.map(({ pushRegistrationId }) => pushRegistrationId);
  await g.db.installation.update({ where: { id: other ?? '' }, data: { appId } });
  for (const installation of [one ?? '', other ?? '']) await setPrimary(g.server, { installation, isPrimary: true });
  expect((await primaries()).sort()).toEqual([one, other].sort());
});

test('of 20 that are set at once one is primary, and none fails', async () => {
  const { devices, primaries } = await makeDevices(20);
  const results = await Promise.all(
    devices.map(({ token, id }) => setPrimary(g.app.as(token), { installation: id, isPrimary: true })),
  );
  expect(results.map((result) => result?.__typename)).toEqual(devices.map(() => 'SetPrimaryInstallationPayload'));
  expect(await primaries()).toHaveLength(1);
});

test('to an installation, that of another user is as good as missing, and a repeat with a key is harmless', async () => {
  const [ann, bob] = [await makePerson(g), await makePerson(g)];
  const own = g.app.as(ann.token);
  const about = (installation: string) => ({ installation, isPrimary: true });
  const missing = await setPrimary(own, about(randomUUID()));
  expect(missing).toMatchObject({ code: 'NO_REGISTRATION', path: ['installation'] });
  expect(await setPrimary(own, about(bob.installation.id))).toEqual(missing);
  expect(await setPrimary(own, about('no id'))).toEqual(missing);
  expect(await setPrimary(g.server, about(randomUUID()))).toEqual(missing);
  expect((await getProfile(g.server, { id: bob.id })).primaryInstallations).toEqual([]);
  const keyed = { ...about(ann.installation.id), idempotencyKey: randomUUID() };
  await setPrimary(own, keyed);
  await setPrimary(own, { ...about(ann.installation.id), isPrimary: false });
  expect(await setPrimary(own, keyed)).toMatchObject({ installation: { isPrimaryDevice: false } });
});
