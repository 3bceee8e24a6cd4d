import { execFile } from 'node:child_process';
import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { newEmail, newPhone } from '../../support/addresses.ts';
import { useApp } from '../../support/app.ts';
import { makeApiKey } from '../../support/keys.ts';
import { makeInstallation, makeUser, personalize } from '../../support/operations.ts';
import { countRows, findProfile, getProfile, makePerson } from '../../support/people.ts';
import {
  claimsOf,
  inSeconds,
  makeApp,
  makeSigner,
  type RegisteringApp,
  unsigned,
  updateApp,
} from '../../support/user-registration.ts';

const g = useApp({ role: 'gateway' });

const signer = makeSigner('ES256');
let signed: RegisteringApp;
let foreign: RegisteringApp;

beforeAll(async () => {
  signed = await makeApp(g.server, { userRegistration: 'SIGNED', userTokenKeys: [signer.key] });
  foreign = await makeApp(g.server, { userRegistration: 'SIGNED', userTokenKeys: [makeSigner('ES256').key] });
});

/** An installation of an app, and itself as a caller. */
async function makeClient(app: RegisteringApp = signed) {
  const installation = await makeInstallation(app.client);
  return { installation, client: g.app.as(installation.token) };
}

const tokenInvalid = {
  __typename: 'TokenInvalidError',
  code: 'TOKEN_INVALID',
  message: "A valid token of the app's back end is needed.",
  path: ['userToken'],
};
const restricted = expect.objectContaining({ code: 'USER_DATA_RESTRICTED', path: ['userIdentity'] });

describe('U11: a client with a token of its back end', () => {
  test.each(['ES256', 'RS256', 'HS256'] as const)('is whom the token names (%s)', async (algorithm) => {
    const back = makeSigner(algorithm);
    const app = await makeApp(g.server, { userRegistration: 'SIGNED', userTokenKeys: [back.key] });
    const { client, installation } = await makeClient(app);
    const sub = randomUUID();
    expect(await makeUser(client, { userIdentity: {}, userToken: back.sign(claimsOf(app, sub)) })).toMatchObject({
      type: 'CUSTOMER',
      externalUserId: sub,
    });
    expect((await getProfile(g.server, { externalUserId: sub })).installations).toEqual([
      installation.pushRegistrationId,
    ]);
  });

  test('is the one user of that name, whoever named it first', async () => {
    const person = await makePerson(g);
    const { client, installation } = await makeClient();
    const userToken = signer.sign(claimsOf(signed, person.externalUserId));
    const userIdentity = { externalUserId: person.externalUserId };
    expect(await personalize(client, { userIdentity, userToken })).toMatchObject({
      user: { id: person.id },
      // It is not for clients to know of merges.
      mergeRecord: null,
    });
    expect((await getProfile(g.server, { id: person.id })).installations).toContain(installation.pushRegistrationId);
  });

  test('is called what the token says, e-mail addresses and phones too', async () => {
    const { client } = await makeClient();
    const [sub, email, phone] = [randomUUID(), newEmail(), newPhone()];
    const userToken = signer.sign(claimsOf(signed, sub, { emails: [email], phones: [phone] }));
    await makeUser(client, { userIdentity: { externalUserId: sub, emails: [email] }, userToken });
    expect(await getProfile(g.server, { externalUserId: sub })).toMatchObject({ emails: [email], phones: [phone] });
  });

  test.each([
    ['its id', (app: RegisteringApp) => app.uuid],
    ['its global id', (app: RegisteringApp) => app.id],
    ['one of several', (app: RegisteringApp) => ['another', app.uuid]],
  ])('may have the app in `aud` as %s', async (_, aud) => {
    const { client } = await makeClient();
    const userToken = signer.sign(claimsOf(signed, randomUUID(), { aud: aud(signed) }));
    expect(await makeUser(client, { userIdentity: {}, userToken })).toMatchObject({ type: 'CUSTOMER' });
  });

  test.each([
    ['expired half a minute ago', () => ({ exp: inSeconds(-30) })],
    ['from half a minute in the future', () => ({ iat: inSeconds(30) })],
    ['nearly an hour old', () => ({ iat: inSeconds(-3_590) })],
  ])('may be %s by its back end’s clock', async (_, times) => {
    const { client } = await makeClient();
    const userToken = signer.sign(claimsOf(signed, randomUUID(), times()));
    expect(await makeUser(client, { userIdentity: {}, userToken })).toMatchObject({ type: 'CUSTOMER' });
  });

  test('needs no `kid` while the app has one key; of two, it names one', async () => {
    const [first, second] = [makeSigner('ES256'), makeSigner('HS256')];
    const app = await makeApp(g.server, { userRegistration: 'SIGNED', userTokenKeys: [first.key] });
    const nameless = () => first.sign(claimsOf(app, randomUUID()), { kid: undefined });
    const named = () => second.sign(claimsOf(app, randomUUID()));
    const ask = async (userToken: string) =>
      personalize((await makeClient(app)).client, { userIdentity: {}, userToken });
    expect(await ask(nameless())).toMatchObject({ user: { type: 'CUSTOMER' } });
    await updateApp(g.server, { app: app.id, userTokenKeys: [first.key, second.key] });
    expect(await ask(nameless())).toEqual(tokenInvalid);
    expect(await ask(named())).toMatchObject({ user: { type: 'CUSTOMER' } });
  });

  test('a repeat with a renewed token is the same call', async () => {
    const { client } = await makeClient();
    const sub = randomUUID();
    const ask = (rest: object) =>
      personalize(client, {
        userIdentity: {},
        userToken: signer.sign(claimsOf(signed, sub, rest)),
        idempotencyKey: 'once',
      });
    const first = await ask({});
    expect(first).toMatchObject({ user: { externalUserId: sub } });
    expect(await ask({ iat: inSeconds(-5) })).toEqual(first);
  });

  test('is whom the token names that the README’s lines sign', async () => {
    const readme = await readFile(new URL('../../../README.md', import.meta.url), 'utf8');
    const [, code] = /^```js\n(.*?signUserToken.*?)^```$/ms.exec(readme) ?? [];
    const { privateKey, key } = makeSigner('ES256');
    const app = await makeApp(g.server, {
      userRegistration: 'SIGNED',
      userTokenKeys: [{ ...key, keyId: 'backend-1' }],
    });
    const sub = randomUUID();
    const env = {
      ...process.env,
      APP_ID: app.id,
      USER_TOKEN_PRIVATE_KEY: privateKey?.export({ type: 'pkcs8', format: 'pem' }).toString(),
    };
    const script = `${code}\nprocess.stdout.write(await signUserToken('${sub}'));`;
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { env });
    const { client } = await makeClient(app);
    expect(await makeUser(client, { userIdentity: {}, userToken: stdout })).toMatchObject({ externalUserId: sub });
  });

  test('of a new name, at once with others of that name, is one user with them', async () => {
    for (let round = 0; round < 10; round += 1) {
      const clients = await Promise.all(Array.from({ length: 2 }, () => makeClient()));
      const userToken = signer.sign(claimsOf(signed, randomUUID()));
      const users = await Promise.all(clients.map(({ client }) => makeUser(client, { userIdentity: {}, userToken })));
      expect(users[0]).toEqual(users[1]);
    }
  });
});

describe('U11: what is refused, and writes nothing', () => {
  let person: string;
  beforeEach(() => {
    person = randomUUID();
  });
  const other = makeSigner('ES256');
  const rsa = makeSigner('RS256');

  test.each<[string, (app: RegisteringApp) => string | null]>([
    ['no token', () => null],
    ['an empty one', () => ''],
    ['garbage', () => 'garbage'],
    ['garbage in three parts', () => 'a.b.c'],
    ['half a token', (app) => signer.sign(claimsOf(app, person)).slice(0, -40)],
    ['unsigned claims', (app) => unsigned(claimsOf(app, person))],
    ['unsigned claims with a signature', (app) => unsigned(claimsOf(app, person), 'AAAA')],
    ['another key', (app) => other.sign(claimsOf(app, person), { kid: signer.key.keyId })],
    ['a key that the app does not have', (app) => other.sign(claimsOf(app, person))],
    ['an algorithm that is not the key’s', (app) => rsa.sign(claimsOf(app, person), { kid: signer.key.keyId })],
    ['the header’s own key', (app) => other.sign(claimsOf(app, person), { kid: signer.key.keyId, jwk: { kty: 'EC' } })],
    ['an unknown critical header', (app) => signer.sign(claimsOf(app, person), { crit: ['exp'] })],
    ['another app’s `aud`', () => signer.sign(claimsOf(foreign, person))],
    ['no `aud`', (app) => signer.sign(claimsOf(app, person, { aud: undefined }))],
    ['no `exp`', (app) => signer.sign(claimsOf(app, person, { exp: undefined }))],
    ['an `exp` that has passed', (app) => signer.sign(claimsOf(app, person, { exp: inSeconds(-65) }))],
    ['no `iat`', (app) => signer.sign(claimsOf(app, person, { iat: undefined }))],
    ['an age of more than an hour', (app) => signer.sign(claimsOf(app, person, { iat: inSeconds(-3_665) }))],
    ['an `iat` in the future', (app) => signer.sign(claimsOf(app, person, { iat: inSeconds(70) }))],
    ['an `nbf` in the future', (app) => signer.sign(claimsOf(app, person, { nbf: inSeconds(70) }))],
    ['times that are text', (app) => signer.sign(claimsOf(app, person, { exp: '2999-01-01' }))],
    ['no `sub`', (app) => signer.sign(claimsOf(app, person, { sub: undefined }))],
    ['an empty `sub`', (app) => signer.sign(claimsOf(app, ''))],
    ['a `sub` that is a number', (app) => signer.sign(claimsOf(app, person, { sub: 7 }))],
    ['a `sub` that names nobody', (app) => signer.sign(claimsOf(app, 'undefined', { emails: [newEmail()] }))],
    ['a `sub` that is "null"', (app) => signer.sign(claimsOf(app, 'null', { emails: [newEmail()] }))],
    ['a NUL in `sub`', (app) => signer.sign(claimsOf(app, 'a\0b'))],
    ['too long a `sub`', (app) => signer.sign(claimsOf(app, 'a'.repeat(257)))],
    ['a bad address', (app) => signer.sign(claimsOf(app, person, { emails: ['nobody'] }))],
    ['addresses that are no list', (app) => signer.sign(claimsOf(app, person, { emails: newEmail() }))],
    ['more than 8 KiB', (app) => signer.sign(claimsOf(app, person, { padding: 'a'.repeat(8_000) }))],
  ])('under SIGNED: %s', async (_, make) => {
    const { client } = await makeClient();
    const before = await countRows(g);
    const userToken = make(signed);
    expect(await personalize(client, { userIdentity: {}, userToken })).toEqual(tokenInvalid);
    expect(await personalize(client, { userIdentity: { externalUserId: person }, userToken })).toEqual(tokenInvalid);
    expect(await countRows(g)).toEqual(before);
    expect(await findProfile(g.server, { externalUserId: person })).toBeNull();
  });

  test('an RSA public key is no shared secret', async () => {
    const app = await makeApp(g.server, { userRegistration: 'SIGNED', userTokenKeys: [rsa.key] });
    const { client } = await makeClient(app);
    const pem = rsa.key.key;
    for (const secret of [pem, pem.trim(), pem.replace(/-----.*-----|\n/g, '')]) {
      const confused = makeSigner('HS256', { secret: Buffer.from(secret) });
      const userToken = confused.sign(claimsOf(app, person), { kid: rsa.key.keyId });
      expect(await personalize(client, { userIdentity: {}, userToken })).toEqual(tokenInvalid);
    }
  });

  test('a token for one app, to a client of another, also with the other’s `aud` beside', async () => {
    const { client } = await makeClient(foreign);
    for (const aud of [signed.uuid, foreign.uuid, [signed.uuid, foreign.uuid]]) {
      const userToken = signer.sign(claimsOf(signed, person, { aud }));
      expect(await personalize(client, { userIdentity: {}, userToken })).toEqual(tokenInvalid);
    }
  });

  test('a token by a key that the app no longer has, and any token for an app without keys', async () => {
    const back = makeSigner('HS256');
    const app = await makeApp(g.server, { userRegistration: 'SIGNED', userTokenKeys: [back.key] });
    const { client } = await makeClient(app);
    await updateApp(g.server, { app: app.id, userTokenKeys: [] });
    const userToken = back.sign(claimsOf(app, person));
    expect(await personalize(client, { userIdentity: {}, userToken })).toEqual(tokenInvalid);
  });

  test.each([
    ['another externalUserId', { externalUserId: randomUUID() }],
    ['an address that is not in the token', { emails: [newEmail()] }],
  ])('an identity beside the token that says more: %s', async (_, more) => {
    const { client } = await makeClient();
    const before = await countRows(g);
    const userToken = signer.sign(claimsOf(signed, person));
    const userIdentity = { externalUserId: person, ...more };
    expect(await personalize(client, { userIdentity, userToken })).toEqual(restricted);
    expect(await countRows(g)).toEqual(before);
  });

  test('a good token where only the server may say, which is the default', async () => {
    const app = await makeApp(g.server, { userTokenKeys: [signer.key] });
    const { client } = await makeClient(app);
    const before = await countRows(g);
    const userToken = signer.sign(claimsOf(app, person));
    expect(await personalize(client, { userIdentity: {}, userToken })).toEqual(restricted);
    expect(await personalize(client, { userIdentity: { externalUserId: person } })).toEqual(restricted);
    expect(await countRows(g)).toEqual(before);
  });

  test('a good token for another installation than one’s own', async () => {
    const [{ client }, victim] = [await makeClient(), await makeClient()];
    const userToken = signer.sign(claimsOf(signed, person));
    const input = { installation: victim.installation.id, userIdentity: {}, userToken };
    expect(await personalize(client, input)).toMatchObject({ code: 'NO_REGISTRATION', path: ['installation'] });
    expect(await findProfile(g.server, { externalUserId: person })).toBeNull();
  });

  test('a token from a server key, which needs none', async () => {
    const { installation } = await makeClient();
    const userIdentity = { externalUserId: randomUUID() };
    const userToken = signer.sign(claimsOf(signed, userIdentity.externalUserId));
    expect(await personalize(g.server, { installation: installation.id, userIdentity, userToken })).toMatchObject({
      code: 'VALUE_INVALID',
      path: ['userToken'],
    });
    expect(await makeUser(g.server, { installation: installation.id, userIdentity })).toMatchObject(userIdentity);
  });
});

describe('keys of an app’s back end', () => {
  const pemOf = (key: { export(options: { type: 'spki'; format: 'pem' }): string | Buffer }) =>
    key.export({ type: 'spki', format: 'pem' }).toString();
  const rsa1024 = generateKeyPairSync('rsa', { modulusLength: 1024 });
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' });
  const ed25519 = generateKeyPairSync('ed25519');
  const privatePem = signer.privateKey?.export({ type: 'pkcs8', format: 'pem' }).toString() ?? '';
  const ec = signer.key.key;
  const secret = randomBytes(32).toString('base64');

  test.each([
    ['a private key', { keyId: 'a', algorithm: 'ES256', key: privatePem }, 'key'],
    ['a key and its private key', { keyId: 'a', algorithm: 'ES256', key: `${ec}${privatePem}` }, 'key'],
    ['an RSA key for ES256', { keyId: 'a', algorithm: 'ES256', key: pemOf(rsa1024.publicKey) }, 'key'],
    ['another curve', { keyId: 'a', algorithm: 'ES256', key: pemOf(p384.publicKey) }, 'key'],
    ['another curve’s key for RS256', { keyId: 'a', algorithm: 'RS256', key: pemOf(ed25519.publicKey) }, 'key'],
    ['a short RSA key', { keyId: 'a', algorithm: 'RS256', key: pemOf(rsa1024.publicKey) }, 'key'],
    ['PEM that is no key', { keyId: 'a', algorithm: 'RS256', key: ec.replace(/\n.*\n/, '\nAAAA\n') }, 'key'],
    ['no PEM', { keyId: 'a', algorithm: 'RS256', key: secret }, 'key'],
    ['a public key as a secret', { keyId: 'a', algorithm: 'HS256', key: ec }, 'key'],
    ['a short secret', { keyId: 'a', algorithm: 'HS256', key: randomBytes(31).toString('base64') }, 'key'],
    ['a secret that is not base64', { keyId: 'a', algorithm: 'HS256', key: '!'.repeat(64) }, 'key'],
    ['an empty one', { keyId: 'a', algorithm: 'HS256', key: '' }, 'key'],
    ['a very long one', { keyId: 'a', algorithm: 'HS256', key: 'A'.repeat(8_193) }, 'key'],
    ['no key id', { keyId: '', algorithm: 'HS256', key: secret }, 'keyId'],
    ['a long key id', { keyId: 'a'.repeat(257), algorithm: 'HS256', key: secret }, 'keyId'],
    ['a key id that another has', { ...signer.key }, 'keyId'],
  ] as const)('%s is refused, and the present keys stay', async (_, key, field) => {
    const app = await makeApp(g.server, { userTokenKeys: [signer.key] });
    const result = await updateApp(g.server, {
      app: app.id,
      userRegistration: 'OPEN',
      userTokenKeys: [signer.key, key],
    });
    expect(result).toMatchObject({ code: 'VALUE_INVALID', path: ['userTokenKeys', '1', field] });
    expect(await updateApp(g.server, { app: app.id })).toMatchObject({
      app: { userRegistration: 'SERVER_ONLY', userTokenKeys: [{ keyId: signer.key.keyId }] },
    });
  });

  test('an app has at most 10', async () => {
    const keys = Array.from(
      { length: 11 },
      (_, index) => ({ keyId: `${index}`, algorithm: 'HS256', key: secret }) as const,
    );
    expect(await updateApp(g.server, { app: foreign.id, userTokenKeys: keys })).toMatchObject({
      code: 'VALUE_INVALID',
      path: ['userTokenKeys', '10'],
    });
  });

  test('new ones replace the present ones, none removes them, and what says nothing of them keeps them', async () => {
    const app = await makeApp(g.server, { userTokenKeys: [signer.key] });
    const keysAfter = async (userTokenKeys?: (typeof signer.key)[]) => {
      const result = await updateApp(g.server, { app: app.id, userTokenKeys });
      return result?.__typename === 'UpdateAppPayload' ? result.app.userTokenKeys.map(({ keyId }) => keyId) : result;
    };
    const next = makeSigner('HS256').key;
    expect(await keysAfter([next])).toEqual([next.keyId]);
    expect(await keysAfter()).toEqual([next.keyId]);
    expect(await keysAfter([])).toEqual([]);
  });

  test('they are listed without the key, for who may read everything; a client is told none', async () => {
    const document = `query($id: ID) { app(id: $id) { userTokenKeys { keyId algorithm createdAt } } }`;
    const dashboard = await makeApiKey(g.server, { kind: 'DASHBOARD', name: 'screens' });
    const { keyId, algorithm } = signer.key;
    expect((await g.app.as(dashboard.secret).send(document, { id: signed.id })).body).toMatchObject({
      data: { app: { userTokenKeys: [{ keyId, algorithm, createdAt: expect.any(String) }] } },
    });
    const { client } = await makeClient();
    expect((await client.send(document, { id: signed.id })).body.errors).toMatchObject([
      { extensions: { code: 'FORBIDDEN' } },
    ]);
  });

  test('they are encrypted where they are kept', async () => {
    const secretText = makeSigner('HS256').key;
    await makeApp(g.server, { userTokenKeys: [secretText, signer.key] });
    const { rows } = await g.pool.query<{ key_cipher: Buffer }>('select key_cipher from user_token_keys');
    const kept = Buffer.concat(rows.map(({ key_cipher }) => key_cipher));
    for (const text of [secretText.key, 'BEGIN PUBLIC KEY']) expect(kept.includes(text)).toBe(false);
    expect(kept.includes(Buffer.from(secretText.key, 'base64'))).toBe(false);
  });
});
