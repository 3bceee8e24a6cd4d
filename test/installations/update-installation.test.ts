import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { fcmAddress } from '../support/addresses.ts';
import { useApp } from '../support/app.ts';
import { stateOf, updateInstallation } from '../support/installation-operations.ts';
import { makeInstallation, makeNotification, settledDeliveries } from '../support/operations.ts';
import { makePerson } from '../support/people.ts';

const g = useApp();

const android = () => makeInstallation(g.app, { platform: 'ANDROID', address: fcmAddress() });

/** How a push to an installation itself ends. */
async function pushTo(installation: string) {
  const content = { body: 'Hello' };
  const notification = await makeNotification(g.server, { content, target: { installations: [installation] } });
  const { deliveries } = await settledDeliveries(g.server, notification);
  return deliveries.nodes.map(({ status, reason }) => [status, reason]);
}

test('an absent field keeps what is known, and null removes it', async () => {
  const known = { language: 'pt-BR', timeZone: 'Europe/Zagreb', appVersion: '1', osVersion: '2', deviceModel: '3' };
  const { token } = await makeInstallation(g.app, { platform: 'ANDROID', address: fcmAddress(), ...known });
  const own = g.app.as(token);
  const declined = { softPromptDeclinedAt: '2026-11-01T08:00:00.000Z' };
  await updateInstallation(own, { appVersion: '1.1', ...declined });
  expect(await stateOf(own)).toMatchObject({ ...known, appVersion: '1.1', ...declined, pushStatus: 'ALLOWED' });
  const removed = { language: null, timeZone: null, appVersion: null, osVersion: null, deviceModel: null };
  await updateInstallation(own, { ...removed, softPromptDeclinedAt: null, isPushRegistrationEnabled: null });
  expect(await stateOf(own)).toMatchObject({
    ...{ ...removed, softPromptDeclinedAt: null },
    ...{ isPushRegistrationEnabled: true, pushStatus: 'ALLOWED' },
  });
});

test('custom attributes are written key by key; what is not defined is refused, and nothing else is written then (U15)', async () => {
  const name = `seat ${randomUUID()}`;
  await g.db.attributeDefinition.create({ data: { id: randomUUID(), owner: 'INSTALLATION', name, type: 'NUMBER' } });
  const { token } = await android();
  const own = g.app.as(token);
  const attributes = async () => (await stateOf(own)).customAttributes;
  await updateInstallation(own, { customAttributes: { [name]: '12.50' } });
  expect(await attributes()).toEqual({ [name]: 12.5 });
  const bad = { appVersion: '9', customAttributes: { [name]: null, 'not defined': 1 } };
  expect(await updateInstallation(own, bad)).toMatchObject({
    ...{ code: 'ATTRIBUTE_INVALID', path: ['customAttributes', 'not defined'] },
  });
  expect(await stateOf(own)).toMatchObject({ appVersion: null, customAttributes: { [name]: 12.5 } });
  await updateInstallation(own, { customAttributes: {} });
  await updateInstallation(own, { customAttributes: { [name]: null } });
  expect(await attributes()).toEqual({});
});

test('an installation that tells something was seen; one of which a back end tells something was not', async () => {
  const { token, pushRegistrationId: installation } = await android();
  const own = g.app.as(token);
  const before = await stateOf(own);
  await updateInstallation(g.server, { installation, appVersion: '2' });
  expect(await stateOf(own)).toMatchObject({ appVersion: '2', lastSeenAt: before.lastSeenAt });
  await updateInstallation(own, {});
  expect(Date.parse((await stateOf(own)).lastSeenAt)).toBeGreaterThan(Date.parse(before.lastSeenAt));
});

test('a repeat with the same key writes nothing again', async () => {
  const { pushRegistrationId: installation } = await android();
  const first = { installation, appVersion: '1', idempotencyKey: randomUUID() };
  await updateInstallation(g.server, first);
  await updateInstallation(g.server, { installation, appVersion: '2' });
  expect(await updateInstallation(g.server, first)).toMatchObject({ installation: expect.anything() });
  expect(await stateOf(g.server, installation)).toMatchObject({ appVersion: '2' });
  expect(await updateInstallation(g.server, { ...first, appVersion: '3' })).toMatchObject({
    code: 'IDEMPOTENCY_KEY_REUSED',
  });
});

describe('I1: isPushRegistrationEnabled = false', () => {
  test('stops every push to that installation, until it is true again', async () => {
    const { token, pushRegistrationId } = await android();
    await updateInstallation(g.app.as(token), { isPushRegistrationEnabled: false });
    expect(await pushTo(pushRegistrationId)).toEqual([['DISCARDED', 'PUSH_DISABLED']]);
    await updateInstallation(g.server, { installation: pushRegistrationId, isPushRegistrationEnabled: true });
    expect(await pushTo(pushRegistrationId)).toEqual([['SENT', null]]);
  });
});

describe('I3: the push status', () => {
  test.each([
    ['ASK', {}, 'ALLOWED', ['SENT', null]],
    ['ASK', { pushStatus: 'ASK' }, 'ASK', ['DISCARDED', 'PERMISSION_ASK']],
    ['ALLOWED', {}, 'ALLOWED', ['SENT', null]],
    ['BLOCKED', {}, 'BLOCKED', ['DISCARDED', 'PERMISSION_BLOCKED']],
    ['BLOCKED', { pushStatus: 'ALLOWED' }, 'ALLOWED', ['SENT', null]],
    ['UNSUPPORTED', {}, 'ALLOWED', ['SENT', null]],
  ] as const)('with a new address, of one that was %s: %j is %s', async (pushStatus, said, expected, end) => {
    const { token, pushRegistrationId } = await makeInstallation(g.app, { platform: 'ANDROID', pushStatus });
    const update = { address: fcmAddress(), ...said };
    expect(await updateInstallation(g.app.as(token), update)).toMatchObject({ installation: { pushStatus: expected } });
    expect(await pushTo(pushRegistrationId)).toEqual([end]);
  });

  test.each([
    ['ALLOWED', {}, 'ASK', ['DISCARDED', 'PERMISSION_ASK']],
    ['ALLOWED', { pushStatus: 'ALLOWED' }, 'ALLOWED', ['DISCARDED', 'NO_ADDRESS']],
    ['BLOCKED', {}, 'BLOCKED', ['DISCARDED', 'PERMISSION_BLOCKED']],
    ['UNSUPPORTED', {}, 'UNSUPPORTED', ['DISCARDED', 'NO_ADDRESS']],
  ] as const)('without an address any more, of one that was %s: %j is %s', async (pushStatus, said, expected, end) => {
    const address = fcmAddress();
    const { token, pushRegistrationId } = await makeInstallation(g.app, { platform: 'ANDROID', address, pushStatus });
    const update = { address: null, ...said };
    expect(await updateInstallation(g.app.as(token), update)).toMatchObject({ installation: { pushStatus: expected } });
    expect(await pushTo(pushRegistrationId)).toEqual([end]);
    // Nobody holds it now.
    await makeInstallation(g.app, { platform: 'ANDROID', address });
    expect(await stateOf(g.server, pushRegistrationId)).toMatchObject({ pushStatus: expected });
  });

  test('is SUSPENDED for whom another installation takes the address from, also by an update (decision 8)', async () => {
    const address = fcmAddress();
    const [owner, taker] = [await makeInstallation(g.app, { platform: 'ANDROID', address }), await android()];
    await updateInstallation(g.app.as(taker.token), { address });
    expect(await stateOf(g.server, owner.id)).toMatchObject({ pushStatus: 'SUSPENDED' });
    expect(await pushTo(owner.pushRegistrationId)).toEqual([['DISCARDED', 'ADDRESS_GONE']]);
    expect(await updateInstallation(g.app.as(owner.token), { address })).toMatchObject({
      installation: { pushStatus: 'ALLOWED' },
    });
    expect(await stateOf(g.server, taker.id)).toMatchObject({ pushStatus: 'SUSPENDED' });
  });

  test('of two that swap their addresses again and again is never lost', async () => {
    const addresses = [fcmAddress(), fcmAddress()] as const;
    const owners = [await android(), await android()];
    for (let round = 0; round < 6; round += 1) {
      const [first, second] = round % 2 === 0 ? addresses : addresses.toReversed();
      const given = [first ?? null, second ?? null];
      await Promise.all(
        owners.map(({ token }, index) => updateInstallation(g.app.as(token), { address: given[index] ?? null })),
      );
    }
    const held = await g.db.installation.count({
      where: { id: { in: owners.map(({ pushRegistrationId }) => pushRegistrationId) }, addressHash: { not: null } },
    });
    expect(held).toBeGreaterThan(0);
  });
});

test('since when it is subscribed is said when it first has an address, and stays', async () => {
  const { token } = await makeInstallation(g.app, { platform: 'ANDROID' });
  const own = g.app.as(token);
  expect(await stateOf(own)).toMatchObject({ subscribedAt: null });
  await updateInstallation(own, { address: fcmAddress() });
  const { subscribedAt } = await stateOf(own);
  expect(Date.now() - Date.parse(subscribedAt ?? '')).toBeLessThan(60_000);
  await updateInstallation(own, { address: null });
  await updateInstallation(own, { address: fcmAddress() });
  await makeInstallation(own, { platform: 'ANDROID', address: fcmAddress() });
  expect(await stateOf(own)).toMatchObject({ subscribedAt });
  const registered = await android();
  expect(await stateOf(g.app.as(registered.token))).toMatchObject({ subscribedAt: expect.any(String) });
});

const soon = new Date(Date.now() + 3_600_000).toISOString();

test.each([
  [{ pushStatus: 'SUSPENDED' } as const, ['pushStatus']],
  [{ language: 'no language' }, ['language']],
  [{ timeZone: '+01:00' }, ['timeZone']],
  [{ deviceModel: 'x'.repeat(257) }, ['deviceModel']],
  [{ softPromptDeclinedAt: soon }, ['softPromptDeclinedAt']],
  [{ softPromptDeclinedAt: '1969-12-31T23:59:59Z' }, ['softPromptDeclinedAt']],
  [{ address: { apns: { token: 'abc' } } }, ['address']],
  [{ address: { webPush: { endpoint: 'https://a.example', p256dh: 'x', auth: 'y' } } }, ['address']],
  [{ address: { fcm: { token: 'a b' } } }, ['address', 'fcm', 'token']],
  [{ idempotencyKey: '' }, ['idempotencyKey']],
])('a bad value is VALUE_INVALID with the path, and nothing is written: %j', async (input, path) => {
  const { token } = await android();
  const own = g.app.as(token);
  const before = await stateOf(own);
  expect(await updateInstallation(own, { appVersion: '9', ...input })).toMatchObject({ code: 'VALUE_INVALID', path });
  expect(await stateOf(own)).toEqual(before);
});

test('an installation updates itself only: another one, also of its own user, is as good as missing', async () => {
  const person = await makePerson(g);
  const own = g.app.as(person.token);
  const refused = { code: 'NO_REGISTRATION', path: ['installation'] };
  const { id, pushRegistrationId } = person.installation;
  for (const installation of [id, pushRegistrationId]) {
    expect(await updateInstallation(own, { installation })).toMatchObject({ installation: { id } });
  }
  for (const installation of [(await android()).id, randomUUID(), 'no id']) {
    expect(await updateInstallation(own, { installation, appVersion: '9' })).toMatchObject(refused);
  }
  expect(await updateInstallation(g.server, { installation: randomUUID() })).toMatchObject(refused);
  expect(await updateInstallation(g.server, {})).toMatchObject(refused);
});
