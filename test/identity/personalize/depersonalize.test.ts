import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { fcmAddress, newEmail } from '../../support/addresses.ts';
import { useApp } from '../../support/app.ts';
import { logOut } from '../../support/installation-operations.ts';
import {
  depersonalize,
  makeInstallation,
  makeNotification,
  makeUser,
  settledDeliveries,
} from '../../support/operations.ts';
import { countRows, findProfile, getProfile, makePerson, makePrimary, mergeUsers } from '../../support/people.ts';
import { endsOfPushes, queuePushes } from '../../support/queued-pushes.ts';

const g = useApp();

test.each([
  ['its own token', (token: string) => ({ client: g.app.as(token), named: false })],
  ['a server key', () => ({ client: g.server, named: true })],
])('an installation that is depersonalized by %s gets a fresh, empty lead', async (_, caller) => {
  const person = await makePerson(g, { emails: [newEmail()] });
  await makePrimary(g, person.installation.pushRegistrationId);
  const { client, named } = caller(person.token);
  const result = await depersonalize(client, named ? person.installation.pushRegistrationId : null);
  expect(result).toMatchObject({
    installation: { isPrimaryDevice: false, user: { type: 'LEAD', externalUserId: null } },
  });
  const lead = await getProfile(g.server, { pushRegistrationId: person.installation.pushRegistrationId });
  expect(lead).toMatchObject({ emails: [], tags: [], installations: [person.installation.pushRegistrationId] });
  expect(lead.id).not.toBe(person.id);
  expect(await getProfile(g.server, { externalUserId: person.externalUserId })).toMatchObject({
    ...{ id: person.id, type: 'CUSTOMER', installations: [] },
    emails: [expect.any(String)],
  });
});

test('afterwards the installation sees its new lead only, also in the answer', async () => {
  const person = await makePerson(g);
  const own = g.app.as(person.token);
  expect(await findProfile(own, { id: person.id })).toMatchObject({ id: person.id });
  await depersonalize(own);
  expect(await findProfile(own, { id: person.id })).toBeNull();
  expect(await findProfile(own, { externalUserId: person.externalUserId })).toBeNull();
  expect(await findProfile(own, { pushRegistrationId: person.installation.pushRegistrationId })).not.toBeNull();
});

test('U10: what is sent to the person reaches it no more; what is sent to the installation does', async () => {
  const person = await makePerson(g);
  await makeInstallation(g.app.as(person.token), { platform: 'ANDROID', address: fcmAddress() });
  await depersonalize(g.server, person.installation.pushRegistrationId);
  const send = async (target: object) =>
    settledDeliveries(
      g.server,
      await makeNotification(g.server, { content: { title: 'a', body: 'b' }, channels: ['PUSH'], target }),
    );
  const toPerson = await send({ users: [{ externalUserId: person.externalUserId }] });
  expect(toPerson.deliveries.nodes).toMatchObject([{ status: 'DISCARDED', reason: 'NO_ADDRESS' }]);
  const toInstallation = await send({ installations: [person.installation.pushRegistrationId] });
  expect(toInstallation.deliveries.nodes).toMatchObject([{ status: 'SENT' }]);
});

test('an installation that is nobody’s keeps its lead', async () => {
  const installation = await makeInstallation(g.app);
  const before = await countRows(g);
  expect(await depersonalize(g.app.as(installation.token))).toMatchObject({
    installation: { user: installation.user },
  });
  expect(await countRows(g)).toEqual(before);
});

test('an installation that shares a nameless user with another one leaves it', async () => {
  const [stays, leaves] = [await makeInstallation(g.app), await makeInstallation(g.app)];
  await mergeUsers(g.server, { survivor: { id: stays.user.id }, merged: { id: leaves.user.id } });
  expect(await depersonalize(g.app.as(leaves.token))).toMatchObject({ installation: { user: { type: 'LEAD' } } });
  expect((await getProfile(g.server, { id: stays.user.id })).installations).toEqual([stays.pushRegistrationId]);
});

test('to an installation, another one is as good as missing', async () => {
  const [person, stranger] = [await makePerson(g), await makePerson(g)];
  const own = g.app.as(person.token);
  const refused = { code: 'NO_REGISTRATION', path: ['installation'] };
  const missing = await depersonalize(own, randomUUID());
  expect(missing).toMatchObject(refused);
  expect(await depersonalize(own, stranger.installation.pushRegistrationId)).toEqual(missing);
  expect(await findProfile(g.server, { pushRegistrationId: stranger.installation.pushRegistrationId })).toMatchObject({
    id: stranger.id,
  });
  expect(await depersonalize(g.server, randomUUID())).toMatchObject(refused);
});

describe('U10: remote logout', () => {
  /** A person with two installations. */
  async function makeTwo() {
    const person = await makePerson(g);
    const other = await makeInstallation(g.app, { platform: 'ANDROID', address: fcmAddress() });
    const { externalUserId } = person;
    await makeUser(g.server, { installation: other.id, userIdentity: { externalUserId } });
    return { person, own: g.app.as(person.token), other };
  }

  const pushTo = async (target: object) => {
    const content = { body: 'Hello' };
    const notification = await makeNotification(g.server, { content, channels: ['PUSH'], target });
    return (await settledDeliveries(g.server, notification)).deliveries.nodes.map(({ status, reason }) => [
      status,
      reason,
    ]);
  };

  test('an installation logs another one of the same user out, whose new lead it does not see', async () => {
    const { person, own, other } = await makeTwo();
    await makePrimary(g, other.pushRegistrationId);
    expect(await logOut(own, other.pushRegistrationId)).toEqual({
      __typename: 'DepersonalizeInstallationPayload',
      installation: null,
    });
    expect(await findProfile(own, { pushRegistrationId: other.pushRegistrationId })).toBeNull();
    expect(await getProfile(g.server, { pushRegistrationId: other.pushRegistrationId })).toMatchObject({
      ...{ type: 'LEAD', externalUserId: null, primaryInstallations: [] },
      installations: [other.pushRegistrationId],
    });
    expect(await getProfile(own, { id: person.id })).toMatchObject({
      installations: [person.installation.pushRegistrationId],
    });
  });

  test('a server key logs any out, and is told', async () => {
    const { other } = await makeTwo();
    const key = randomUUID();
    const first = await logOut(g.server, other.id, key);
    expect(first).toMatchObject({ installation: { isPrimaryDevice: false, user: { type: 'LEAD' } } });
    expect(await logOut(g.server, other.id, key)).toEqual(first);
  });

  test('what is sent to the person does not reach it any more, broadcasts do, unless its push registration is disabled', async () => {
    const { person, own, other } = await makeTwo();
    const toInstallation = { installations: [other.pushRegistrationId] };
    await logOut(own, other.id);
    expect(await pushTo({ users: [{ externalUserId: person.externalUserId }] })).toEqual([
      ['DISCARDED', 'PERMISSION_ASK'],
    ]);
    expect(await pushTo(toInstallation)).toEqual([['SENT', null]]);
    const where = { id: other.pushRegistrationId };
    await g.db.installation.update({ where, data: { isPushRegistrationEnabled: false } });
    expect(await pushTo(toInstallation)).toEqual([['DISCARDED', 'PUSH_DISABLED']]);
  });

  test('what was queued for it before is called off (decision 9)', async () => {
    const { person, own, other } = await makeTwo();
    const queued = await queuePushes(g, other.pushRegistrationId);
    await logOut(own, other.id);
    expect(await endsOfPushes(g, queued)).toEqual([
      ['CANCELLED', 'DEPERSONALIZED'],
      ['QUEUED', null],
    ]);
    expect(await getProfile(own, { id: person.id })).toMatchObject({ id: person.id });
  });

  test('what is not its user’s is to an installation as good as missing, also right after it has left', async () => {
    const { own, other } = await makeTwo();
    const stranger = await makePerson(g);
    const missing = await logOut(own, randomUUID());
    expect(missing).toMatchObject({ code: 'NO_REGISTRATION', path: ['installation'] });
    const profile = await getProfile(g.server, { id: stranger.id });
    expect(await logOut(own, stranger.installation.id)).toEqual(missing);
    expect(await getProfile(g.server, { id: stranger.id })).toEqual(profile);
    await depersonalize(own);
    expect(await logOut(own, other.id)).toEqual(missing);
  });
});
