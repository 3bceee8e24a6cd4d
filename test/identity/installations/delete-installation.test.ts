import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { fcmAddress } from '../../support/addresses.ts';
import { useGatewayAndWorker } from '../../support/gateway-and-worker.ts';
import { deleteInstallation, importedResults, updateInstallation } from '../../support/installation-operations.ts';
import { makeInstallation, makeNotification, settledDeliveries } from '../../support/operations.ts';
import { countRows, findProfile, getProfile, makePerson, optOut } from '../../support/people.ts';
import { endsOfPushes, queuePushes } from '../../support/queued-pushes.ts';
import { localIdOf } from '../../support/send-operations.ts';
import { until } from '../../support/until.ts';

const g = useGatewayAndWorker();

test.each([
  ['its own token', false],
  ['a server key', true],
])('an installation that is deleted by %s is gone with its token and its push recipient; its user stays', async (_, isServer) => {
  const person = await makePerson(g);
  const { id, pushRegistrationId } = person.installation;
  const client = isServer ? g.server : g.app.as(person.token);
  expect(await deleteInstallation(client, isServer ? pushRegistrationId : null)).toMatchObject({
    deletedInstallationId: id,
  });
  expect(await findProfile(g.server, { pushRegistrationId })).toBeNull();
  const profile = await getProfile(g.server, { externalUserId: person.externalUserId });
  expect(profile).toMatchObject({ id: person.id, installations: [] });
  expect(profile.recipients.map(({ __typename }) => __typename)).toEqual(['InAppRecipient']);
  // A gateway hears of it within a moment.
  await until(async () => {
    const { body } = await g.app.as(person.token).send('{ viewer { kind } }');
    return body.errors?.[0]?.extensions.code === 'UNAUTHENTICATED';
  });
});

test('an opt-out survives it: the address comes back opted out', async () => {
  const address = fcmAddress();
  const person = await makePerson(g);
  await makeInstallation(g.app.as(person.token), { platform: 'ANDROID', address });
  await optOut(g, { externalUserId: person.externalUserId, channel: 'PUSH' });
  await deleteInstallation(g.app.as(person.token));
  const isSubscribed = async (installationId: string) =>
    (await g.db.recipient.findFirst({ where: { installationId } }))?.isSubscribed;
  const again = await makeInstallation(g.app, { platform: 'ANDROID', address });
  expect(await isSubscribed(again.pushRegistrationId)).toBe(false);
  const updated = await makeInstallation(g.app, { platform: 'ANDROID' });
  await updateInstallation(g.server, { installation: updated.id, address });
  expect(await isSubscribed(updated.pushRegistrationId)).toBe(false);
  await deleteInstallation(g.server, updated.id);
  const subscriber = { user: { externalUserId: person.externalUserId }, platform: 'ANDROID' as const, address };
  const [imported] = await importedResults(g.server, [subscriber]);
  if (imported?.__typename !== 'ImportedInstallation') throw new Error('The import was refused.');
  expect(await isSubscribed(imported.installation?.pushRegistrationId ?? '')).toBe(false);
});

test('a lead that is left with nothing stays, as what was sent to it names it', async () => {
  const { token, user } = await makeInstallation(g.app);
  await deleteInstallation(g.app.as(token));
  expect(await getProfile(g.server, { id: user.id })).toMatchObject({ type: 'LEAD', installations: [] });
});

test('what is queued for it ends, broadcasts too', async () => {
  const { token, pushRegistrationId } = await makeInstallation(g.app, { platform: 'ANDROID', address: fcmAddress() });
  const queued = await queuePushes(g, pushRegistrationId);
  await deleteInstallation(g.app.as(token));
  expect(await endsOfPushes(g, queued)).toEqual([
    ['DISCARDED', 'ADDRESS_GONE'],
    ['DISCARDED', 'ADDRESS_GONE'],
  ]);
});

test('what comes to be queued for it all the same is not sent', async () => {
  const { token, pushRegistrationId } = await makeInstallation(g.app, { platform: 'ANDROID', address: fcmAddress() });
  await deleteInstallation(g.app.as(token));
  const [content, target] = [{ body: 'Hello' }, { installations: [pushRegistrationId] }];
  const notification = await makeNotification(g.server, { content, target });
  await g.db.delivery.create({
    data: {
      ...{
        id: randomUUID(),
        notificationId: localIdOf(notification),
        targetKey: randomUUID(),
        recipientId: randomUUID(),
      },
      ...{ channel: 'PUSH', status: 'QUEUED', isBroadcast: true },
    },
  });
  await g.startWorker();
  const { deliveries } = await settledDeliveries(g.server, notification);
  expect(deliveries.nodes.map(({ status, reason }) => [status, reason]).sort()).toEqual([
    ['DISCARDED', 'ADDRESS_GONE'],
    ['DISCARDED', 'NO_ADDRESS'],
  ]);
});

test('the same id registers afterwards as a new installation', async () => {
  const person = await makePerson(g);
  const { pushRegistrationId } = person.installation;
  await deleteInstallation(g.app.as(person.token));
  const again = await makeInstallation(g.app, { pushRegistrationId });
  expect(again).toMatchObject({ pushRegistrationId, user: { type: 'LEAD' } });
  expect(again.user.id).not.toBe(person.id);
});

test('a server’s repeat with a key is harmless, without one nothing is there; to an installation, another one is missing', async () => {
  const [ann, bob] = [await makePerson(g), await makePerson(g)];
  const refused = { code: 'NO_REGISTRATION', path: ['installation'] };
  const before = await countRows(g);
  expect(await deleteInstallation(g.app.as(ann.token), bob.installation.id)).toMatchObject(refused);
  expect(await deleteInstallation(g.server, randomUUID())).toMatchObject(refused);
  expect(await countRows(g)).toEqual(before);
  const key = randomUUID();
  const first = await deleteInstallation(g.server, bob.installation.id, key);
  expect(await deleteInstallation(g.server, bob.installation.id, key)).toEqual(first);
  expect(await deleteInstallation(g.server, bob.installation.id)).toMatchObject(refused);
});
