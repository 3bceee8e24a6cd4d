import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { newEmail, newPhone } from '../../support/addresses.ts';
import { testRules, useApp } from '../../support/app.ts';
import { countRows, getProfile, makePerson } from '../../support/people.ts';
import { addRecipient, getRecipient, removeRecipient, updateRecipient } from '../../support/recipients.ts';
import { makeSavedUser, saveUser } from '../../support/save-operations.ts';

const blocked = 'nobody@example.com';
const blockedIdentifiers = new Set([...testRules.blockedIdentifiers, blocked]);
const g = useApp({ role: 'gateway', rules: { ...testRules, blockedIdentifiers } });

describe('U12: addresses are added to a profile with language and region', () => {
  test.each([
    ['EMAIL', () => ({ email: newEmail() })],
    ['SMS', () => ({ phone: newPhone() })],
  ] as const)('an address of channel %s', async (channel, newAddress) => {
    const { id, externalUserId } = await makePerson(g);
    const address = newAddress();
    const told = await addRecipient(g.server, { user: { externalUserId }, ...address, language: 'nl', region: 'NL' });
    expect(told).toMatchObject({
      recipient: { ...address, channel, language: 'nl', region: 'NL', isSubscribed: true, user: { id } },
    });
    // It names the user from now on.
    expect(await getProfile(g.server, address)).toMatchObject({ id });
  });

  test('of an address that the user has, what is given is written, and an opt-out stays', async () => {
    const [{ id }, email] = [await makePerson(g), newEmail()];
    await addRecipient(g.server, { user: { id }, email, language: 'nl', region: 'NL' });
    const { id: recipient } = await getRecipient(g.server, { id, channel: 'EMAIL' });
    await updateRecipient(g.server, { recipient, isSubscribed: false });
    expect(await addRecipient(g.server, { user: { id }, email: email.toUpperCase(), language: 'en' })).toMatchObject({
      recipient: { id: recipient, language: 'en', region: 'NL', isSubscribed: false },
    });
  });

  test('a user is made of a reference that names nobody, where that is asked for, with what the reference says', async () => {
    const [externalUserId, phone] = [randomUUID(), newPhone()];
    const input = { user: { externalUserId }, phone };
    const before = await countRows(g);
    expect(await addRecipient(g.server, input)).toMatchObject({ code: 'NOT_FOUND', path: ['user'] });
    expect(await countRows(g)).toEqual(before);
    expect(await addRecipient(g.server, { ...input, create: true })).toMatchObject({
      recipient: { phone, user: { type: 'CUSTOMER', externalUserId } },
    });
  });

  test('an externalUserId that is an e-mail address brings that recipient too (U5)', async () => {
    const [externalUserId, phone] = [newEmail(), newPhone()];
    await addRecipient(g.server, { user: { externalUserId }, phone, create: true });
    expect(await getProfile(g.server, { email: externalUserId })).toMatchObject({ externalUserId, phones: [phone] });
  });

  test('another user’s address is refused, and nothing is told of that user', async () => {
    const [other, email] = [await makePerson(g), newEmail()];
    await addRecipient(g.server, { user: { id: other.id }, email });
    const { id } = await makePerson(g);
    const before = await countRows(g);
    const told = await addRecipient(g.server, { user: { id }, email });
    expect(told).toMatchObject({ code: 'USER_MERGE_INTERRUPTED', path: ['email'] });
    expect(JSON.stringify(told)).not.toContain(other.externalUserId);
    expect(await countRows(g)).toEqual(before);
  });

  test.each([
    [{ email: blocked }, { code: 'IDENTIFIER_BLOCKED', path: ['email'] }],
    [{ email: 'no address' }, { code: 'EMAIL_INVALID', path: ['email'] }],
    [{ phone: '12' }, { code: 'PHONE_INVALID', path: ['phone'] }],
    [
      { email: 'a@example.com', phone: '+31123456789' },
      { code: 'VALUE_INVALID', path: ['email'] },
    ],
    [{}, { code: 'VALUE_INVALID', path: ['email'] }],
    [
      { email: 'a@example.com', language: 'not a language' },
      { code: 'VALUE_INVALID', path: ['language'] },
    ],
  ])('%j is refused, and nothing is written', async (input, refusal) => {
    const { id } = await makePerson(g);
    const before = await countRows(g);
    expect(await addRecipient(g.server, { user: { id }, ...input })).toMatchObject(refusal);
    expect(await countRows(g)).toEqual(before);
  });

  test('a user has at most 100 addresses of a kind', async () => {
    const { id } = await makePerson(g, { emails: Array.from({ length: 100 }, () => newEmail()) });
    expect(await addRecipient(g.server, { user: { id }, email: newEmail() })).toMatchObject({
      code: 'IDENTIFIER_LIMIT_EXCEEDED',
      path: ['email'],
    });
  });
});

describe('an opt-out survives that its address is removed and added again', () => {
  test.each(['removeRecipient', 'saveUser'] as const)('removed by %s', async (by) => {
    const email = newEmail();
    const { id, externalUserId } = await makeSavedUser(g.server, {
      user: { externalUserId: randomUUID() },
      emails: [email],
    });
    if (externalUserId === null) throw new Error('It was given one.');
    const { id: recipient } = await getRecipient(g.server, { id, channel: 'EMAIL' });
    await updateRecipient(g.server, { recipient, isSubscribed: false });
    if (by === 'removeRecipient') await removeRecipient(g.server, recipient);
    else await saveUser(g.server, { user: { externalUserId }, emails: null });
    const { id: other } = await makePerson(g);
    expect(await addRecipient(g.server, { user: { id: other }, email })).toMatchObject({
      recipient: { isSubscribed: false, consentAt: null },
    });
  });

  test('added by saveUser', async () => {
    const [{ id }, email] = [await makePerson(g), newEmail()];
    await addRecipient(g.server, { user: { id }, email });
    const { id: recipient } = await getRecipient(g.server, { id, channel: 'EMAIL' });
    await updateRecipient(g.server, { recipient, isSubscribed: false });
    await removeRecipient(g.server, recipient);
    const saved = await makeSavedUser(g.server, { user: { email }, emails: [newEmail()] });
    const { recipients } = await getProfile(g.server, { id: saved.id });
    const of = recipients.map((node) =>
      node.__typename === 'EmailRecipient' ? [node.email === email, node.isSubscribed] : null,
    );
    expect(of).toContainEqual([true, false]);
    expect(of).toContainEqual([false, true]);
  });
});
