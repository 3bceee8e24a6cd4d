import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { UserRef } from '../generated/graphql.ts';
import { fcmAddress, newEmail, newPhone } from '../support/addresses.ts';
import { useApp } from '../support/app.ts';
import { customAttributesOf, makeAttribute } from '../support/attributes.ts';
import { depersonalize, makeInstallation, makeUser } from '../support/operations.ts';
import { countRows, findProfile, getProfile, makePerson, mergeUsers, optOut } from '../support/people.ts';
import { makeSavedUser, saveUser } from '../support/save-operations.ts';
import { makeApp } from '../support/user-registration.ts';

const g = useApp({ role: 'gateway' });

const refusal = (code: string, path: readonly string[]) => expect.objectContaining({ code, path });

describe('U9: saveUser', () => {
  test('makes a customer of an identifier that nobody has, when it may, and says so', async () => {
    const [externalUserId, email, phone] = [randomUUID(), newEmail(), newPhone()];
    const result = await saveUser(g.server, {
      user: { externalUserId },
      create: true,
      emails: [email],
      phones: [phone],
      userAttributes: { firstName: 'Ada', birthday: '1815-12-10', tags: ['vip'] },
    });
    expect(result).toMatchObject({
      created: true,
      user: { type: 'CUSTOMER', externalUserId, firstName: 'Ada', birthday: '1815-12-10', tags: ['vip'] },
    });
    expect(await getProfile(g.server, { email })).toMatchObject({ externalUserId, emails: [email], phones: [phone] });
    expect(await saveUser(g.server, { user: { phone }, create: true })).toMatchObject({ created: false });
  });

  test.each([
    ['an e-mail address', () => ({ email: newEmail() })],
    ['a phone', () => ({ phone: newPhone() })],
  ])('makes a customer of %s alone', async (_, reference) => {
    const ref = reference();
    const user = await makeSavedUser(g.server, { user: ref });
    expect(user).toMatchObject({ type: 'CUSTOMER', externalUserId: null });
    expect(await findProfile(g.server, ref)).toMatchObject({ id: user.id });
  });

  test('an externalUserId that is an e-mail address makes that recipient too (U5)', async () => {
    const email = newEmail();
    const { id } = await makeSavedUser(g.server, { user: { externalUserId: email } });
    expect(await getProfile(g.server, { email })).toMatchObject({ id, externalUserId: email, emails: [email] });
  });

  test.each([
    ['without `create`', { externalUserId: 'nobody' }, false],
    ['by an id', { id: Buffer.from(`User:${randomUUID()}`).toString('base64') }, true],
    ['by an installation', { pushRegistrationId: randomUUID() }, true],
  ])('makes nobody %s', async (_, user, create) => {
    const before = await countRows(g);
    expect(await saveUser(g.server, { user, create })).toEqual(refusal('NOT_FOUND', ['user']));
    expect(await countRows(g)).toEqual(before);
  });

  test('null removes a value, what is absent stays, and tags are replaced', async () => {
    const user = { externalUserId: randomUUID() };
    await makeSavedUser(g.server, { user, userAttributes: { firstName: 'Ada', lastName: 'King', tags: ['a', 'b'] } });
    const result = await saveUser(g.server, { user, userAttributes: { firstName: null, tags: ['c'] } });
    expect(result).toMatchObject({ user: { firstName: null, lastName: 'King', tags: ['c'] } });
    expect(await saveUser(g.server, { user })).toMatchObject({ user: { lastName: 'King', tags: ['c'] } });
  });

  test('OVERRIDE removes absent custom attributes too', async () => {
    const [kept, gone] = [
      await makeAttribute(g.server, { type: 'NUMBER' }),
      await makeAttribute(g.server, { type: 'STRING' }),
    ];
    const user = { externalUserId: randomUUID() };
    const write = (mode: 'MERGE' | 'OVERRIDE', customAttributes: Record<string, unknown>) =>
      saveUser(g.server, { user, create: true, mode, userAttributes: { customAttributes } });
    await write('MERGE', { [kept]: '1.50', [gone]: 'a' });
    await write('MERGE', { [kept]: 2 });
    expect(await customAttributesOf(g.server, user)).toEqual({ [kept]: 2, [gone]: 'a' });
    await write('OVERRIDE', { [kept]: '3.0' });
    expect(await customAttributesOf(g.server, user)).toEqual({ [kept]: 3 });
    expect(await write('OVERRIDE', { [kept]: 'many' })).toEqual(
      refusal('ATTRIBUTE_INVALID', ['userAttributes', 'customAttributes', kept]),
    );
    await write('MERGE', { [kept]: null });
    expect(await customAttributesOf(g.server, user)).toEqual({});
  });

  test('OVERRIDE removes absent attributes too, and no tag, identifier or opt-out', async () => {
    const [user, email] = [{ externalUserId: randomUUID() }, newEmail()];
    await makeSavedUser(g.server, { user, emails: [email], userAttributes: { firstName: 'Ada', tags: ['a'] } });
    await optOut(g, { ...user, channel: 'EMAIL' });
    await saveUser(g.server, { user, mode: 'OVERRIDE', userAttributes: { lastName: 'King' } });
    const profile = await getProfile(g.server, user);
    expect(profile).toMatchObject({ firstName: null, lastName: 'King', tags: ['a'], emails: [email] });
    expect(profile.recipients).toContainEqual(expect.objectContaining({ email, isSubscribed: false }));
  });

  test('addresses are added, and null removes them all', async () => {
    const [user, first, second] = [{ externalUserId: randomUUID() }, newEmail(), newEmail()];
    await makeSavedUser(g.server, { user, emails: [first], phones: [newPhone()] });
    await saveUser(g.server, { user, emails: [second, second.toUpperCase(), first] });
    expect(await getProfile(g.server, user)).toMatchObject({ emails: [first, second].sort() });
    await saveUser(g.server, { user, emails: null });
    expect(await getProfile(g.server, user)).toMatchObject({ emails: [], phones: [expect.any(String)] });
    expect(await findProfile(g.server, { email: first })).toBeNull();
    await makeSavedUser(g.server, { user: { email: first } });
  });

  test('what a user is called by alone is not removed', async () => {
    const email = newEmail();
    const { id } = await makeSavedUser(g.server, { user: { email } });
    expect(await saveUser(g.server, { user: { id }, emails: null })).toEqual(refusal('STATE_CONFLICT', ['emails']));
    expect(await saveUser(g.server, { user: { id }, emails: null, externalUserId: randomUUID() })).toMatchObject({
      user: { id },
    });
    expect(await findProfile(g.server, { email })).toBeNull();
  });

  test.each([
    ['an external user id', 'externalUserId', (taken: string) => ({ externalUserId: taken })],
    ['an e-mail address', 'emails', (taken: string) => ({ emails: [newEmail(), `${taken}@example.com`] })],
  ])('%s of another user interrupts it, and tells the kind and nothing of the other', async (_, path, given) => {
    const taken = randomUUID();
    const other = await makeSavedUser(g.server, { user: { externalUserId: taken }, emails: [`${taken}@example.com`] });
    const user = await makeSavedUser(g.server, { user: { phone: newPhone() } });
    const before = [await countRows(g), await getProfile(g.server, { id: user.id })];
    const result = await saveUser(g.server, {
      user: { id: user.id },
      ...given(taken),
      userAttributes: { firstName: 'No' },
    });
    expect(result).toEqual(refusal('USER_MERGE_INTERRUPTED', [path]));
    expect(JSON.stringify(result)).not.toMatch(new RegExp(`${taken}|${other.id}`));
    expect([await countRows(g), await getProfile(g.server, { id: user.id })]).toEqual(before);
  });

  test.each([
    ['another', 'another'],
    ['null', null],
    ['"NULL"', 'NULL'],
  ])('an external user id never changes: %s is refused (U4)', async (_, externalUserId) => {
    const user = { externalUserId: randomUUID() };
    await makeSavedUser(g.server, { user });
    expect(await saveUser(g.server, { user, externalUserId })).toEqual(
      refusal('IDENTIFIER_IMMUTABLE', ['externalUserId']),
    );
  });

  test('an external user id can be set once, and its alias is a name too', async () => {
    const [email, externalUserId] = [newEmail(), randomUUID()];
    await makeSavedUser(g.server, { user: { email }, externalUserId: null });
    expect(await saveUser(g.server, { user: { email }, externalUserId })).toMatchObject({ user: { externalUserId } });
    const other = await makePerson(g);
    await mergeUsers(g.server, { survivor: { externalUserId }, merged: { id: other.id }, allowAlias: true });
    const again = await saveUser(g.server, { user: { email }, externalUserId: other.externalUserId });
    expect(again).toMatchObject({ user: { externalUserId } });
  });

  test.each([
    ['what names nobody', { externalUserId: 'Anonymous' }, 'IDENTIFIER_BLOCKED', ['externalUserId']],
    ['zeros', { externalUserId: '0000' }, 'IDENTIFIER_BLOCKED', ['externalUserId']],
    ['no e-mail address', { emails: ['a@example.com', 'ada'] }, 'EMAIL_INVALID', ['emails', '1']],
    ['no phone', { phones: ['12'] }, 'PHONE_INVALID', ['phones', '0']],
    ['too long an id', { externalUserId: 'x'.repeat(257) }, 'VALUE_INVALID', ['externalUserId']],
    [
      'a country that there is not',
      { userAttributes: { country: 'XX' } },
      'ATTRIBUTE_INVALID',
      ['userAttributes', 'country'],
    ],
  ])('%s is refused and writes nothing', async (_, given, code, path) => {
    const user = { externalUserId: randomUUID() };
    const before = await countRows(g);
    expect(await saveUser(g.server, { user, create: true, ...given })).toEqual(refusal(code, path));
    expect(await countRows(g)).toEqual(before);
  });

  test('nobody is made of a reference that names nobody', async () => {
    expect(await saveUser(g.server, { user: { externalUserId: 'undefined' }, create: true })).toEqual(
      refusal('IDENTIFIER_BLOCKED', ['user', 'externalUserId']),
    );
  });

  test('the 101st address of a kind is too many (decision 6)', async () => {
    const user = { externalUserId: randomUUID() };
    await makeSavedUser(g.server, { user, emails: Array.from({ length: 100 }, () => newEmail()) });
    expect(await saveUser(g.server, { user, emails: [newEmail()] })).toEqual(
      refusal('IDENTIFIER_LIMIT_EXCEEDED', ['emails']),
    );
  });

  test('never makes a customer of a lead, and writes to a merged user’s survivor', async () => {
    const { user: lead } = await makeInstallation(g.app);
    expect(await saveUser(g.server, { user: { id: lead.id }, emails: [newEmail()] })).toMatchObject({
      user: { id: lead.id, type: 'LEAD' },
    });
    const survivor = await makePerson(g);
    await mergeUsers(g.server, { survivor: { id: survivor.id }, merged: { id: lead.id }, allowAlias: true });
    expect(await saveUser(g.server, { user: { id: lead.id }, userAttributes: { firstName: 'Ada' } })).toMatchObject({
      user: { id: survivor.id, firstName: 'Ada' },
    });
  });

  test('a repeat with the same idempotency key answers the same, also that the user was made', async () => {
    const input = { user: { externalUserId: randomUUID() }, create: true, idempotencyKey: randomUUID() };
    const first = await saveUser(g.server, input);
    expect(first).toMatchObject({ created: true });
    expect(await saveUser(g.server, input)).toEqual(first);
    expect(await saveUser(g.server, { ...input, mode: 'OVERRIDE' })).toEqual(
      refusal('IDEMPOTENCY_KEY_REUSED', ['idempotencyKey']),
    );
  });

  test('of many that make one user at once, one makes it and the others write to it', async () => {
    const [externalUserId, email] = [randomUUID(), newEmail()];
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        saveUser(g.server, {
          user: index % 2 ? { externalUserId } : { email },
          create: true,
          externalUserId,
          emails: [email],
        }),
      ),
    );
    const made = results.flatMap((result) => (result?.__typename === 'SaveUserPayload' ? [result] : []));
    expect(new Set(made.map(({ user }) => user.id)).size).toBe(1);
    expect([made.length, made.filter(({ created }) => created).length]).toEqual([20, 1]);
  });

  test('a server’s word takes an identifier over from who only claims it (U11)', async () => {
    const open = await makeApp(g.server, { userRegistration: 'OPEN' });
    const claimant = await makeInstallation(open.client, { platform: 'ANDROID', address: fcmAddress() });
    const externalUserId = randomUUID();
    const claimed = await makeUser(g.app.as(claimant.token), { userIdentity: { externalUserId } });
    const user = await makeSavedUser(g.server, { user: { externalUserId } });
    expect(user.id).not.toBe(claimed.id);
    const { id: leadId } = await getProfile(g.server, { pushRegistrationId: claimant.pushRegistrationId });
    expect([claimed.id, user.id]).not.toContain(leadId);
  });
});

describe('U11: an installation, under SERVER_ONLY,', () => {
  test('writes its own user’s attributes', async () => {
    const { id, token } = await makePerson(g);
    expect(
      await saveUser(g.server.as(token), { user: { id }, userAttributes: { preferredLanguage: 'nl' } }),
    ).toMatchObject({ created: false, user: { id } });
  });

  test.each([
    ['an external user id', { externalUserId: 'me' }, ['externalUserId']],
    ['e-mail addresses', { emails: [newEmail()] }, ['emails']],
    ['no e-mail addresses', { emails: null }, ['emails']],
    ['phones', { phones: [newPhone()] }, ['phones']],
    ['tags', { userAttributes: { tags: ['vip'] } }, ['userAttributes', 'tags']],
    ['a new user', { create: true }, ['create']],
  ])('does not write %s', async (_, given, path) => {
    const { id, token } = await makePerson(g);
    expect(await saveUser(g.server.as(token), { user: { id }, ...given })).toEqual(
      refusal('USER_DATA_RESTRICTED', path),
    );
  });

  test('does not find another’s user, nor its own of before', async () => {
    const [own, other] = [await makePerson(g), await makePerson(g)];
    const client = g.server.as(own.token);
    const save = (ref: { externalUserId: string }) =>
      saveUser(client, { user: ref, userAttributes: { firstName: 'Mine' } });
    expect(await save({ externalUserId: other.externalUserId })).toEqual(refusal('NOT_FOUND', ['user']));
    expect(await save({ externalUserId: own.externalUserId })).toMatchObject({ user: { firstName: 'Mine' } });
    await depersonalize(client);
    expect(await save({ externalUserId: own.externalUserId })).toEqual(refusal('NOT_FOUND', ['user']));
    expect(await getProfile(g.server, { id: other.id })).toMatchObject({ firstName: null });
  });

  test.each([
    ['an attribute that nobody has defined', { [randomUUID()]: 1 }],
    ['too many attributes', Object.fromEntries(Array.from({ length: 501 }, (_, index) => [`name ${index}`, 1]))],
  ])('does not learn by %s whether there is such a user', async (_, customAttributes) => {
    const [own, other] = [await makePerson(g), await makePerson(g, { emails: [newEmail()] })];
    const save = (user: UserRef) => saveUser(g.server.as(own.token), { user, userAttributes: { customAttributes } });
    expect(await save({ externalUserId: other.externalUserId })).toEqual(refusal('NOT_FOUND', ['user']));
    expect(await save({ externalUserId: randomUUID() })).toEqual(refusal('NOT_FOUND', ['user']));
    expect(await save({ id: own.id })).not.toEqual(refusal('NOT_FOUND', ['user']));
  });

  test('of an app that is SIGNED may tag its user', async () => {
    const app = await makeApp(g.server, { userRegistration: 'SIGNED' });
    const { user, token } = await makeInstallation(app.client);
    expect(
      await saveUser(g.app.as(token), { user: { id: user.id }, userAttributes: { tags: ['news'] } }),
    ).toMatchObject({ user: { tags: ['news'] } });
  });
});
