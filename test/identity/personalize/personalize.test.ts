import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { newEmail, newPhone } from '../../support/addresses.ts';
import { useApp } from '../../support/app.ts';
import { makeInstallation, makeUser, personalize, registerInstallation } from '../../support/operations.ts';
import { countRows, findProfile, getProfile, makePerson, mergeUsers, optOut } from '../../support/people.ts';

const g = useApp();

const refusal = (code: string, path: readonly string[]) => expect.objectContaining({ code, path });

describe('U3, U7, decision 2: who comes out', () => {
  test('a lead that is personalized becomes a customer and stays the same user', async () => {
    const installation = await makeInstallation(g.app);
    const externalUserId = randomUUID();
    const user = await makeUser(g.server, {
      installation: installation.pushRegistrationId,
      userIdentity: { externalUserId },
    });
    expect(user).toMatchObject({ id: installation.user.id, type: 'CUSTOMER', externalUserId });
  });

  test('keepAsLead names the user and leaves it a lead', async () => {
    const { type, externalUserId } = await makePerson(g, { keepAsLead: true });
    expect(type).toBe('LEAD');
    expect(await findProfile(g.server, { externalUserId })).toMatchObject({ type: 'LEAD' });
  });

  test('keepAsLead makes no lead of a customer', async () => {
    const person = await makePerson(g);
    const again = { userIdentity: { externalUserId: person.externalUserId }, keepAsLead: true };
    expect(await makeUser(g.server, { installation: person.installation.id, ...again })).toMatchObject({
      type: 'CUSTOMER',
    });
    const other = await makeInstallation(g.app);
    expect(await makeUser(g.server, { installation: other.id, ...again })).toMatchObject({
      id: person.id,
      type: 'CUSTOMER',
    });
  });

  test('two installations that personalize with one externalUserId belong to one user, and the lead redirects to it', async () => {
    const person = await makePerson(g);
    const second = await makeInstallation(g.app);
    const result = await personalize(g.server, {
      installation: second.pushRegistrationId,
      userIdentity: { externalUserId: person.externalUserId },
    });
    expect(result).toMatchObject({ user: { id: person.id }, mergeRecord: { mutation: 'personalize' } });
    const profile = await getProfile(g.server, { externalUserId: person.externalUserId });
    expect(profile.installations).toEqual([person.installation.pushRegistrationId, second.pushRegistrationId].sort());
    expect(await findProfile(g.server, { id: second.user.id })).toEqual(profile);
    expect(await findProfile(g.server, { pushRegistrationId: second.pushRegistrationId })).toEqual(profile);
  });

  test.each([
    ['an e-mail address, in whatever case', { emails: ['Ann.Who@Example.COM'] }, { emails: ['ann.who@example.com'] }],
    ['a phone without "+"', { phones: ['+31651110001'] }, { phones: ['31651110001'] }],
    [
      'an externalUserId that is their e-mail address',
      { emails: ['bea@example.com'] },
      { externalUserId: 'Bea@example.com' },
    ],
  ])('a person is recognised by %s', async (_, known, given) => {
    const first = await makeInstallation(g.app);
    const user = await makeUser(g.server, { installation: first.id, userIdentity: known });
    const second = await makeInstallation(g.app);
    expect(await makeUser(g.server, { installation: second.id, userIdentity: given })).toMatchObject({ id: user.id });
  });

  test('the same user again succeeds, and what is new of the identity is added', async () => {
    const [first, second, phone] = [newEmail(), newEmail(), newPhone()];
    const person = await makePerson(g, { emails: [first] });
    const userIdentity = { externalUserId: person.externalUserId, emails: [second], phones: [phone] };
    expect(await makeUser(g.server, { installation: person.installation.id, userIdentity })).toMatchObject({
      id: person.id,
    });
    expect(await getProfile(g.server, { email: second })).toMatchObject({
      id: person.id,
      emails: [first, second].sort(),
      phones: [phone],
    });
  });

  test('an address that the person has opted out of stays opted out when it is given again', async () => {
    const email = newEmail();
    const person = await makePerson(g, { emails: [email] });
    await optOut(g, { externalUserId: person.externalUserId, channel: 'EMAIL' });
    const second = await makeInstallation(g.app);
    await makeUser(g.server, {
      installation: second.id,
      userIdentity: { externalUserId: person.externalUserId, emails: [email] },
    });
    const { recipients } = await getProfile(g.server, { email });
    expect(recipients.filter((recipient) => recipient.__typename === 'EmailRecipient')).toMatchObject([
      { email, isSubscribed: false },
    ]);
  });

  test('all installations of leads that were joined before go to the person that one of them is personalized to', async () => {
    const [first, second] = [await makeInstallation(g.app), await makeInstallation(g.app)];
    await mergeUsers(g.server, { survivor: { id: first.user.id }, merged: { id: second.user.id } });
    const person = await makePerson(g);
    await makeUser(g.server, { installation: first.id, userIdentity: { externalUserId: person.externalUserId } });
    const ids = [person.installation, first, second].map(({ pushRegistrationId }) => pushRegistrationId).sort();
    expect(await getProfile(g.server, { id: second.user.id })).toMatchObject({ id: person.id, installations: ids });
  });
});

describe('U4, U5, decision 1: identifiers', () => {
  test('an externalUserId has up to 256 characters', async () => {
    const [first, second] = [await makeInstallation(g.app), await makeInstallation(g.app)];
    const longest = '🙂'.repeat(256);
    expect(
      await makeUser(g.server, { installation: first.id, userIdentity: { externalUserId: longest } }),
    ).toMatchObject({ externalUserId: longest });
    const before = await countRows(g);
    expect(
      await personalize(g.server, { installation: second.id, userIdentity: { externalUserId: `${longest}!` } }),
    ).toEqual(expect.objectContaining({ code: 'VALUE_INVALID', path: ['userIdentity', 'externalUserId'] }));
    expect(await countRows(g)).toEqual(before);
  });

  test.each(['null', 'NULL', 'nUlL'])('the externalUserId %j means that there is none', async (externalUserId) => {
    const [alone, named] = [await makeInstallation(g.app), await makeInstallation(g.app)];
    expect(await personalize(g.server, { installation: alone.id, userIdentity: { externalUserId } })).toEqual(
      refusal('USER_IDENTITY_INVALID', ['userIdentity']),
    );
    const userIdentity = { externalUserId, emails: [newEmail()] };
    expect(await makeUser(g.server, { installation: named.id, userIdentity })).toMatchObject({ externalUserId: null });
  });

  test('once set, an externalUserId never changes', async () => {
    const email = newEmail();
    const person = await makePerson(g, { emails: [email] });
    const before = await countRows(g);
    expect(
      await personalize(g.server, {
        installation: person.installation.id,
        userIdentity: { externalUserId: randomUUID(), emails: [email] },
        forceDepersonalize: true,
      }),
    ).toEqual(refusal('IDENTIFIER_IMMUTABLE', ['userIdentity', 'externalUserId']));
    expect(await countRows(g)).toEqual(before);
    expect(await findProfile(g.server, { email })).toMatchObject({ externalUserId: person.externalUserId });
  });

  test('a user without an externalUserId gets one by personalizing', async () => {
    const [email, externalUserId] = [newEmail(), randomUUID()];
    const installation = await makeInstallation(g.app);
    await makeUser(g.server, { installation: installation.id, userIdentity: { emails: [email] } });
    await makeUser(g.server, { installation: installation.id, userIdentity: { emails: [email], externalUserId } });
    expect(await findProfile(g.server, { externalUserId })).toMatchObject({ emails: [email] });
  });

  test('an externalUserId that is an e-mail address is that e-mail recipient too', async () => {
    const installation = await makeInstallation(g.app);
    const externalUserId = `Cleo.${randomUUID()}@Example.com`;
    const user = await makeUser(g.server, { installation: installation.id, userIdentity: { externalUserId } });
    expect(user).toMatchObject({ externalUserId });
    const email = externalUserId.toLowerCase();
    expect(await findProfile(g.server, { email })).toMatchObject({ id: user.id, emails: [email] });
  });

  test('phones with and without "+" are one phone, stored with it', async () => {
    const installation = await makeInstallation(g.app);
    const userIdentity = { phones: ['38516419710', '+38516419710', '+31123456789'] };
    const user = await makeUser(g.server, { installation: installation.id, userIdentity });
    expect(await findProfile(g.server, { phone: '38516419710' })).toMatchObject({
      id: user.id,
      phones: ['+31123456789', '+38516419710'],
    });
  });

  test.each([
    ['PHONE_INVALID', { phones: ['+38516419710', '+1'] }, ['userIdentity', 'phones', '1']],
    ['PHONE_INVALID', { phones: ['0038516419710'] }, ['userIdentity', 'phones', '0']],
    ['PHONE_INVALID', { phones: ['+385 1 6419 710'] }, ['userIdentity', 'phones', '0']],
    ['PHONE_INVALID', { phones: ['+99999999999'] }, ['userIdentity', 'phones', '0']],
    ['PHONE_INVALID', { phones: ['1'.repeat(51)] }, ['userIdentity', 'phones', '0']],
    ['EMAIL_INVALID', { emails: ['a@example.com', 'nobody'] }, ['userIdentity', 'emails', '1']],
    ['EMAIL_INVALID', { emails: ['a@b@c'] }, ['userIdentity', 'emails', '0']],
    ['EMAIL_INVALID', { emails: ['a..b@example.com'] }, ['userIdentity', 'emails', '0']],
    ['EMAIL_INVALID', { emails: ['a@localhost'] }, ['userIdentity', 'emails', '0']],
    ['EMAIL_INVALID', { emails: [`${'a'.repeat(60)}@${'b.'.repeat(100)}com`] }, ['userIdentity', 'emails', '0']],
    ['USER_IDENTITY_INVALID', {}, ['userIdentity']],
    ['USER_IDENTITY_INVALID', { emails: [], phones: [] }, ['userIdentity']],
    [
      'IDENTIFIER_LIMIT_EXCEEDED',
      { emails: Array.from({ length: 101 }, (_, n) => `n${n}@example.com`) },
      ['userIdentity', 'emails'],
    ],
  ])('%s, with the path, and nothing is written: %j', async (code, userIdentity, path) => {
    const installation = await makeInstallation(g.app);
    const before = await countRows(g);
    expect(await personalize(g.server, { installation: installation.id, userIdentity })).toEqual(refusal(code, path));
    expect(await countRows(g)).toEqual(before);
  });

  test('a user has at most 100 e-mail addresses, however they come together', async () => {
    const person = await makePerson(g, { emails: Array.from({ length: 99 }, newEmail) });
    const add = (count: number) =>
      personalize(g.server, {
        installation: person.installation.id,
        userIdentity: { externalUserId: person.externalUserId, emails: Array.from({ length: count }, newEmail) },
      });
    expect(await add(2)).toEqual(refusal('IDENTIFIER_LIMIT_EXCEEDED', ['userIdentity', 'emails']));
    expect(await add(1)).toMatchObject({ user: { id: person.id } });
  });

  test('identifiers that name nobody are dropped and told', async () => {
    const installation = await makeInstallation(g.app);
    const email = newEmail();
    const result = await personalize(g.server, {
      installation: installation.id,
      userIdentity: { externalUserId: 'undefined', emails: [email] },
    });
    expect(result).toMatchObject({ droppedIdentifiers: ['undefined'], user: { externalUserId: null } });
    for (const externalUserId of ['', '0', '000-000', '-1', 'Anonymous']) {
      expect(await personalize(g.server, { installation: installation.id, userIdentity: { externalUserId } })).toEqual(
        refusal('USER_IDENTITY_INVALID', ['userIdentity']),
      );
    }
  });
});

describe('U8, decision 1: what is refused', () => {
  test('an identity that names two users is ambiguous, also where one of them has another externalUserId', async () => {
    const [email, phone] = [newEmail(), newPhone()];
    const [first, second] = [await makePerson(g, { emails: [email] }), await makePerson(g, { phones: [phone] })];
    const installation = await makeInstallation(g.app);
    const before = await countRows(g);
    for (const userIdentity of [
      { emails: [email], phones: [phone] },
      { externalUserId: randomUUID(), emails: [email], phones: [phone] },
      { externalUserId: first.externalUserId, phones: [phone] },
    ]) {
      expect(await personalize(g.server, { installation: installation.id, userIdentity })).toEqual(
        refusal('AMBIGUOUS_PERSONALIZE_CANDIDATES', ['userIdentity']),
      );
    }
    expect(await countRows(g)).toEqual(before);
    expect((await getProfile(g.server, { phone })).id).toBe(second.id);
  });

  test.each([
    ['a customer', { keepAsLead: false }],
    ['a lead with an identifier', { keepAsLead: true }],
  ])('an installation of %s goes to nobody else unasked', async (_, options) => {
    const person = await makePerson(g, options);
    const another = await makePerson(g);
    const before = await countRows(g);
    for (const externalUserId of [another.externalUserId, randomUUID()]) {
      expect(
        await personalize(g.server, { installation: person.installation.id, userIdentity: { externalUserId } }),
      ).toEqual(refusal('PERSONALIZATION_IMPOSSIBLE', ['installation']));
    }
    expect(await countRows(g)).toEqual(before);
    expect(await findProfile(g.server, { pushRegistrationId: person.installation.id })).toMatchObject({
      id: person.id,
    });
  });

  test('forced, it goes to the other person, and the first one keeps everything else', async () => {
    const email = newEmail();
    const [person, another] = [await makePerson(g, { emails: [email] }), await makePerson(g)];
    const result = await personalize(g.server, {
      installation: person.installation.id,
      userIdentity: { externalUserId: another.externalUserId },
      forceDepersonalize: true,
    });
    expect(result).toMatchObject({ user: { id: another.id }, mergeRecord: null });
    expect(await findProfile(g.server, { email })).toMatchObject({
      id: person.id,
      type: 'CUSTOMER',
      installations: [],
    });
  });

  test('forced to a new name, a fresh user comes out that has nothing of the first one', async () => {
    const person = await makePerson(g, { emails: [newEmail()] });
    const externalUserId = randomUUID();
    const user = await makeUser(g.server, {
      installation: person.installation.id,
      userIdentity: { externalUserId },
      forceDepersonalize: true,
    });
    expect(user.id).not.toBe(person.id);
    expect(await findProfile(g.server, { externalUserId })).toMatchObject({
      emails: [],
      installations: [person.installation.pushRegistrationId],
    });
  });

  test('an unknown installation is NO_REGISTRATION, and nobody comes into being', async () => {
    const before = await countRows(g);
    for (const installation of [randomUUID(), 'nonsense', null]) {
      expect(await personalize(g.server, { installation, userIdentity: { externalUserId: randomUUID() } })).toEqual(
        refusal('NO_REGISTRATION', ['installation']),
      );
    }
    expect(await countRows(g)).toEqual(before);
  });

  test('client credentials attach no installation to a user', async () => {
    const person = await makePerson(g);
    const { id, token } = await makeInstallation(g.app);
    const before = await countRows(g);
    const input = { installation: id, userIdentity: { externalUserId: person.externalUserId } };
    expect(await personalize(g.app.as(token), input)).toEqual(refusal('USER_DATA_RESTRICTED', ['userIdentity']));
    const document = `mutation($input: PersonalizeInput!) { personalize(input: $input) { __typename } }`;
    expect((await g.app.send(document, { input })).body.errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
    expect((await g.nobody.send(document, { input })).body.errors).toMatchObject([
      { extensions: { code: 'UNAUTHENTICATED' } },
    ]);
    expect(await countRows(g)).toEqual(before);
    expect(await registerInstallation(g.app.as(token), { pushRegistrationId: id })).toMatchObject({
      installation: { user: { type: 'LEAD' } },
    });
  });
});

describe('U7: attributes', () => {
  test('they replace existing values one by one, null removes, and tags replace the set', async () => {
    const person = await makePerson(g);
    const write = (userAttributes: object) =>
      makeUser(g.server, {
        installation: person.installation.id,
        userIdentity: { externalUserId: person.externalUserId },
        userAttributes,
      });
    await write({ firstName: 'Ann', lastName: 'Smith', birthday: '1968-02-10', tags: ['b', 'a', 'b'] });
    expect(await getProfile(g.server, { id: person.id })).toMatchObject({
      ...{ firstName: 'Ann', lastName: 'Smith', birthday: '1968-02-10', tags: ['a', 'b'] },
    });
    await write({ firstName: 'Anna', lastName: null, tags: ['c'] });
    expect(await getProfile(g.server, { id: person.id })).toMatchObject({
      ...{ firstName: 'Anna', lastName: null, birthday: '1968-02-10', tags: ['c'] },
    });
  });

  test.each([
    [{ firstName: 'x'.repeat(256) }, ['firstName']],
    [{ middleName: 'x'.repeat(51) }, ['middleName']],
    [{ lastName: 'x'.repeat(256) }, ['lastName']],
    [{ preferredLanguage: 'no language' }, ['preferredLanguage']],
    [{ preferredLanguage: `en-x${'-abcdefgh'.repeat(12)}` }, ['preferredLanguage']],
    [{ birthday: '0000-01-01' }, ['birthday']],
    [{ timeZone: 'Mars/Olympus' }, ['timeZone']],
    [{ country: 'XX' }, ['country']],
    [{ country: 'UK' }, ['country']],
    [{ country: 'ZZ' }, ['country']],
    [{ pictureUrl: 'javascript:alert(1)' }, ['pictureUrl']],
    [{ tags: ['fine', ''] }, ['tags', '1']],
    [{ tags: ['x'.repeat(257)] }, ['tags', '0']],
  ])('a bad one is ATTRIBUTE_INVALID, and the installation stays where it is: %j', async (userAttributes, path) => {
    const installation = await makeInstallation(g.app);
    const before = await countRows(g);
    expect(
      await personalize(g.server, {
        installation: installation.id,
        userIdentity: { emails: [newEmail()] },
        userAttributes,
      }),
    ).toEqual(refusal('ATTRIBUTE_INVALID', ['userAttributes', ...path]));
    expect(await countRows(g)).toEqual(before);
  });
});
