import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { graphql } from '../generated/gql.ts';
import { fcmAddress } from '../support/addresses.ts';
import { useApp } from '../support/app.ts';
import { makeApp } from '../support/make-app.ts';
import { depersonalize, makeInstallation, makeUser, registerInstallation } from '../support/operations.ts';
import { countRows, findProfile, makePerson } from '../support/people.ts';

const g = useApp();

const InstallationState = graphql(`
  query InstallationState($id: ID) {
    installation(id: $id) { id pushRegistrationId platform pushStatus language appVersion user { id } }
  }
`);

const stateOf = async (id: string) => (await g.server.run(InstallationState, { id })).installation;

async function expireTokens(installationId: string): Promise<void> {
  await g.pool.query(`update installation_tokens set expires_at = now() where installation_id = $1`, [installationId]);
}

test('U1: a registration makes an empty lead, which is found by the push registration id', async () => {
  const installation = await makeInstallation(g.app, { pushRegistrationId: randomUUID().toUpperCase() });
  const profile = await findProfile(g.server, { pushRegistrationId: installation.pushRegistrationId });
  expect(profile).toMatchObject({
    ...{
      id: installation.user.id,
      type: 'LEAD',
      externalUserId: null,
      firstName: null,
      tags: [],
      emails: [],
      phones: [],
    },
    installations: [installation.pushRegistrationId],
  });
});

test('it comes under the id that the app made, or under a new one', async () => {
  const pushRegistrationId = randomUUID();
  expect(await makeInstallation(g.app, { pushRegistrationId })).toMatchObject({ pushRegistrationId });
  const ids = [(await makeInstallation(g.app)).pushRegistrationId, (await makeInstallation(g.app)).pushRegistrationId];
  expect(new Set(ids).size).toBe(2);
});

test.each([
  ['ALLOWED with an address', { address: fcmAddress() }, 'ALLOWED'],
  ['ASK without one', {}, 'ASK'],
  ['what the app says', { address: fcmAddress(), pushStatus: 'BLOCKED' } as const, 'BLOCKED'],
])('I3: its push status is %s', async (_, input, pushStatus) => {
  const installation = await makeInstallation(g.app, { platform: 'ANDROID', ...input });
  expect(installation).toMatchObject({ pushStatus, isPrimaryDevice: false, isPushRegistrationEnabled: true });
});

test('what a renewal does not say stays as it was', async () => {
  const first = await makeInstallation(g.app, {
    platform: 'ANDROID',
    address: fcmAddress(),
    language: 'pt-br',
    appVersion: '1',
  });
  await makeInstallation(g.app.as(first.token), { platform: 'ANDROID', appVersion: '2' });
  expect(await stateOf(first.id)).toMatchObject({ pushStatus: 'ALLOWED', language: 'pt-BR', appVersion: '2' });
});

test('I3: a no stays a no when only the address is renewed, until the client says that it is none', async () => {
  const { token } = await makeInstallation(g.app, {
    platform: 'ANDROID',
    address: fcmAddress(),
    pushStatus: 'BLOCKED',
  });
  const again = () => ({ platform: 'ANDROID' as const, address: fcmAddress() });
  expect(await makeInstallation(g.app.as(token), again())).toMatchObject({ pushStatus: 'BLOCKED' });
  const allowed = { ...again(), pushStatus: 'ALLOWED' as const };
  expect(await makeInstallation(g.app.as(token), allowed)).toMatchObject({ pushStatus: 'ALLOWED' });
});

test('U2: a user has none to many installations of different apps, and they are listed', async () => {
  const person = await makePerson(g);
  const other = await makeApp(g);
  const inOther = await makeInstallation(g.app.as(other.secret));
  const { externalUserId } = person;
  await makeUser(g.server, { installation: inOther.id, userIdentity: { externalUserId } });
  const own = [person.installation.pushRegistrationId, inOther.pushRegistrationId];
  expect((await findProfile(g.server, { externalUserId }))?.installations).toEqual(own.toSorted());
  for (const installation of own) await depersonalize(g.server, installation);
  expect((await findProfile(g.server, { externalUserId }))?.installations).toEqual([]);
});

test('an address that another installation registers moves there (decision 8); the old one is suspended (I3) and keeps its user', async () => {
  const address = fcmAddress();
  const person = await makePerson(g);
  await makeInstallation(g.app.as(person.token), { platform: 'ANDROID', address });
  const taker = await makeInstallation(g.app, { platform: 'ANDROID', address });
  expect(taker).toMatchObject({ pushStatus: 'ALLOWED' });
  expect(await stateOf(person.installation.id)).toMatchObject({ pushStatus: 'SUSPENDED', user: { id: person.id } });
  const { rows } = await g.pool.query('select address_cipher from installations where id = $1', [
    person.installation.pushRegistrationId,
  ]);
  expect(rows).toEqual([{ address_cipher: null }]);
});

test('it comes back with its owner, who is then allowed again', async () => {
  const address = fcmAddress();
  const owner = await makeInstallation(g.app, { platform: 'ANDROID', address });
  const taker = await makeInstallation(g.app, { platform: 'ANDROID', address });
  expect(await makeInstallation(g.app.as(owner.token), { platform: 'ANDROID', address })).toMatchObject({
    pushRegistrationId: owner.pushRegistrationId,
    pushStatus: 'ALLOWED',
  });
  expect(await stateOf(taker.id)).toMatchObject({ pushStatus: 'SUSPENDED' });
});

test('one address registered by 40 installations at once is held by one of them, and none of them fails (decision 8)', async () => {
  const address = fcmAddress();
  const installations = await Promise.all(
    Array.from({ length: 40 }, () => makeInstallation(g.app, { platform: 'ANDROID', address })),
  );
  const { rows } = await g.pool.query(
    `select push_status, count(*)::int as count, count(address_hash)::int as addresses from installations
     where id = any($1) group by push_status order by push_status`,
    [installations.map(({ pushRegistrationId }) => pushRegistrationId)],
  );
  expect(rows).toEqual([
    { push_status: 'ALLOWED', count: 1, addresses: 1 },
    { push_status: 'SUSPENDED', count: 39, addresses: 0 },
  ]);
});

test('two installations that swap addresses again and again never fail', async () => {
  const addresses = [fcmAddress(), fcmAddress()];
  const owners = await Promise.all(
    addresses.map((address) => makeInstallation(g.app, { platform: 'ANDROID', address })),
  );
  for (let round = 0; round < 10; round += 1) {
    await Promise.all(
      owners.map(({ token }, index) =>
        makeInstallation(g.app.as(token), { platform: 'ANDROID', address: addresses[(index + round) % 2] ?? null }),
      ),
    );
  }
  const { rows } = await g.pool.query('select id from installations where id = any($1) and address_hash is not null', [
    owners.map(({ pushRegistrationId }) => pushRegistrationId),
  ]);
  expect(rows).toHaveLength(2);
});

test('a publishable key takes no installation over: a new one comes out (decision 11)', async () => {
  const person = await makePerson(g);
  const pushRegistrationId = person.installation.pushRegistrationId;
  const taken = await makeInstallation(g.app, { pushRegistrationId, appVersion: 'evil' });
  expect(taken.pushRegistrationId).not.toBe(pushRegistrationId);
  expect(taken.user).toMatchObject({ type: 'LEAD' });
  expect(await stateOf(pushRegistrationId)).toMatchObject({ appVersion: null, user: { id: person.id } });
});

test('the token of another installation takes none over either (decision 11)', async () => {
  const [victim, other] = [await makeInstallation(g.app), await makeInstallation(g.app)];
  const taken = await makeInstallation(g.app.as(other.token), { pushRegistrationId: victim.pushRegistrationId });
  expect([victim.pushRegistrationId, other.pushRegistrationId]).not.toContain(taken.pushRegistrationId);
});

test('its own token, its expired token and a server key register it again (decision 11)', async () => {
  const person = await makePerson(g);
  const { pushRegistrationId } = person.installation;
  const again = { pushRegistrationId, user: { id: person.id } };
  expect(await makeInstallation(g.app.as(person.token), { pushRegistrationId })).toMatchObject(again);
  expect(await makeInstallation(g.server, { pushRegistrationId })).toMatchObject(again);
  await expireTokens(pushRegistrationId);
  const renewed = await makeInstallation(g.app.as(person.token), {});
  expect(renewed).toMatchObject(again);
  expect((await g.app.as(renewed.token).run(InstallationState, { id: null })).installation).toMatchObject(again);
});

test('an expired token does nothing but register again', async () => {
  const { id, token } = await makeInstallation(g.app);
  await expireTokens(id.length === 36 ? id : Buffer.from(id, 'base64').toString().slice('Installation:'.length));
  const expired = g.app.as(token);
  for (const document of [
    '{ installation { id } }',
    '{ app { name } }',
    'mutation { depersonalize(input: {}) { __typename } }',
    'mutation { personalize(input: { userIdentity: { externalUserId: "a" } }) { __typename } }',
  ]) {
    expect((await expired.send(document)).body.errors).toMatchObject([{ extensions: { code: 'UNAUTHENTICATED' } }]);
  }
  expect((await expired.send(`{ node(id: "${id}") { id } }`)).body).toEqual({ data: { node: null } });
});

test('two apps launched at once under one new id get an installation each', async () => {
  const pushRegistrationId = randomUUID();
  const ids = await Promise.all(
    Array.from({ length: 5 }, async () => (await makeInstallation(g.app, { pushRegistrationId })).pushRegistrationId),
  );
  expect(new Set(ids).size).toBe(5);
  expect(ids).toContain(pushRegistrationId);
});

test('a token that registers again and again, because no answer arrives, goes on speaking for its installation', async () => {
  const { pushRegistrationId, token } = await makeInstallation(g.app);
  for (let lost = 0; lost < 8; lost += 1) await makeInstallation(g.app.as(token));
  expect(await makeInstallation(g.app.as(token))).toMatchObject({ pushRegistrationId });
  const { rows } = await g.pool.query(
    'select count(*)::int as count from installation_tokens where installation_id = $1',
    [pushRegistrationId],
  );
  expect(rows).toEqual([{ count: 6 }]);
});

test.each([
  [{ pushRegistrationId: 'no uuid' }, ['pushRegistrationId']],
  [{ pushStatus: 'SUSPENDED' } as const, ['pushStatus']],
  [{ language: 'no language' }, ['language']],
  [{ timeZone: '+01:00' }, ['timeZone']],
  [{ appVersion: 'x'.repeat(257) }, ['appVersion']],
  [{ platform: 'ANDROID', address: { apns: { token: 'abc' } } } as const, ['address']],
  [{ platform: 'ANDROID', address: { fcm: { token: 'a b' } } } as const, ['address', 'fcm', 'token']],
  [
    { platform: 'WEB', address: { webPush: { endpoint: 'ftp://a', p256dh: 'x', auth: 'y' } } } as const,
    ['address', 'webPush', 'endpoint'],
  ],
])('a bad value is VALUE_INVALID with the path, and nothing is written: %j', async (input, path) => {
  const before = await countRows(g);
  expect(await registerInstallation(g.app, input)).toMatchObject({ code: 'VALUE_INVALID', path });
  expect(await countRows(g)).toEqual(before);
});

test('a customer who registers again is still a customer', async () => {
  const person = await makePerson(g);
  await makeInstallation(g.app.as(person.token), { address: null });
  expect(
    await makeUser(g.server, {
      installation: person.installation.id,
      userIdentity: { externalUserId: person.externalUserId },
    }),
  ).toMatchObject({
    id: person.id,
    type: 'CUSTOMER',
  });
});
