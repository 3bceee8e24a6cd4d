import { describe, expect, test } from 'vitest';
import { fcmAddress, newEmail, newPhone } from '../support/addresses.ts';
import { useApp } from '../support/app.ts';
import { updateInstallation } from '../support/installation-operations.ts';
import { insertNotification } from '../support/log-events.ts';
import { makeInstallation, makeUser } from '../support/operations.ts';
import { findProfile, makePerson, mergeUsers } from '../support/people.ts';
import { consentOf, getRecipient, removeRecipient, updateRecipient } from '../support/recipients.ts';
import { globalIdOf, localIdOf } from '../support/send-operations.ts';

// No worker: what is queued stays so.
const g = useApp({ role: 'gateway' });

/** A person with one recipient of each channel. */
async function makeReachable() {
  const [email, phone] = [newEmail(), newPhone()];
  return { ...(await makePerson(g, { emails: [email], phones: [phone] })), email, phone };
}

const channels = ['PUSH', 'EMAIL', 'SMS', 'IN_APP'] as const;

describe('updateRecipient', () => {
  test.each(channels)('keeps who said when that a %s recipient opts out, and how to write to it', async (channel) => {
    const { id } = await makeReachable();
    const before = await getRecipient(g.server, { id, channel });
    expect(before).toMatchObject({ isSubscribed: true, consentAt: null, language: null, region: null });
    const details = { language: 'PT-br', region: 'São Paulo' };
    const told = await updateRecipient(g.server, { recipient: before.id, isSubscribed: false, ...details });
    const after = { language: 'pt-BR', region: 'São Paulo', isSubscribed: false, consentAt: expect.any(String) };
    expect(told).toEqual({ __typename: 'UpdateRecipientPayload', recipient: { ...before, ...after } });
    expect(await getRecipient(g.server, { id, channel })).toMatchObject(after);
    expect(await consentOf(g, before.id)).toMatch(/^key:/);
  });

  test('leaves what is not given, and null removes', async () => {
    const { id } = await makeReachable();
    const recipient = (await getRecipient(g.server, { id, channel: 'EMAIL' })).id;
    await updateRecipient(g.server, { recipient, isSubscribed: false, language: 'en', region: 'Kent' });
    const { consentAt } = await getRecipient(g.server, { id, channel: 'EMAIL' });
    expect(await updateRecipient(g.server, { recipient, language: null, isSubscribed: null })).toMatchObject({
      recipient: { language: null, region: 'Kent', isSubscribed: false, consentAt },
    });
  });

  test('an installation says it for its own user: who it was is kept, and not told to it (U11: preferences)', async () => {
    const person = await makeReachable();
    const own = g.app.as(person.token);
    const recipient = await getRecipient(own, { id: person.id, channel: 'SMS' });
    expect(await updateRecipient(own, { recipient: recipient.id, isSubscribed: false })).toMatchObject({
      recipient: { isSubscribed: false },
    });
    expect(await consentOf(g, recipient.id)).toBe(`installation:${person.installation.pushRegistrationId}`);
  });

  test('to an installation, somebody else’s recipient is as good as missing', async () => {
    const [person, stranger] = [await makeReachable(), await makeReachable()];
    const { id: recipient } = await getRecipient(g.server, { id: stranger.id, channel: 'EMAIL' });
    const own = g.app.as(person.token);
    const refused = { __typename: 'NotFoundError', code: 'NOT_FOUND', path: ['recipient'] };
    expect(await updateRecipient(own, { recipient, isSubscribed: false })).toEqual(refused);
    const missing = globalIdOf('EmailRecipient', crypto.randomUUID());
    expect(await updateRecipient(own, { recipient: missing, isSubscribed: false })).toEqual(refused);
    expect(await getRecipient(g.server, { id: stranger.id, channel: 'EMAIL' })).toMatchObject({ isSubscribed: true });
  });

  test('the inbox of a merged user is the survivor’s', async () => {
    const [survivor, merged] = [await makeReachable(), await makeReachable()];
    const old = await getRecipient(g.server, { id: merged.id, channel: 'IN_APP' });
    await mergeUsers(g.server, { survivor: { id: survivor.id }, merged: { id: merged.id }, allowAlias: true });
    const present = await getRecipient(g.server, { id: survivor.id, channel: 'IN_APP' });
    expect(await updateRecipient(g.server, { recipient: old.id, isSubscribed: false })).toMatchObject({
      recipient: { id: present.id, isSubscribed: false },
    });
  });

  test('an opt-out of an inbox survives a merge at the same moment (decision 3)', async () => {
    for (let round = 0; round < 5; round += 1) {
      const [survivor, merged] = [await makePerson(g), await makePerson(g)];
      const { id: recipient } = await getRecipient(g.server, { id: merged.id, channel: 'IN_APP' });
      await Promise.all([
        updateRecipient(g.server, { recipient, isSubscribed: false }),
        mergeUsers(g.server, { survivor: { id: survivor.id }, merged: { id: merged.id }, allowAlias: true }),
      ]);
      expect(await getRecipient(g.server, { id: survivor.id, channel: 'IN_APP' })).toMatchObject({
        isSubscribed: false,
      });
    }
  });

  test.each([
    ['language', 'not a language'],
    ['region', 'x'.repeat(256)],
  ])('a %s that is none is refused, and nothing is written', async (field, value) => {
    const { id } = await makeReachable();
    const recipient = await getRecipient(g.server, { id, channel: 'EMAIL' });
    const input = { recipient: recipient.id, isSubscribed: false, [field]: value };
    expect(await updateRecipient(g.server, input)).toMatchObject({ code: 'VALUE_INVALID', path: [field] });
    expect(await getRecipient(g.server, { id, channel: 'EMAIL' })).toEqual(recipient);
  });
});

describe('removeRecipient', () => {
  test.each(['EMAIL', 'SMS'] as const)('takes the %s address and that it names the user', async (channel) => {
    const person = await makeReachable();
    const { id: recipient } = await getRecipient(g.server, { id: person.id, channel });
    const reference = channel === 'EMAIL' ? { email: person.email } : { phone: person.phone };
    const identity = channel === 'EMAIL' ? { emails: [person.email] } : { phones: [person.phone] };
    expect(await removeRecipient(g.server, recipient)).toMatchObject({ user: { id: person.id } });
    expect(await findProfile(g.server, reference)).toBeNull();
    // Somebody else may have it now.
    const other = await makePerson(g, identity);
    expect(await findProfile(g.server, reference)).toMatchObject({ id: other.id });
  });

  test('what is queued for the address ends as ADDRESS_GONE, other addresses’ messages stay', async () => {
    const person = await makeReachable();
    const notificationId = await insertNotification(g.pool);
    await g.pool.query(
      `insert into deliveries (id, notification_id, target_key, channel, user_id, recipient_id, status)
       select uuid_v7(), $1, id, channel, user_id, id, 'QUEUED' from recipients where user_id = $2`,
      [notificationId, localIdOf(person.id)],
    );
    await removeRecipient(g.server, (await getRecipient(g.server, { id: person.id, channel: 'EMAIL' })).id);
    const { rows } = await g.pool.query(
      'select channel, status, reason from deliveries where notification_id = $1 order by channel',
      [notificationId],
    );
    expect(rows).toEqual([
      { channel: 'PUSH', status: 'QUEUED', reason: null },
      { channel: 'EMAIL', status: 'DISCARDED', reason: 'ADDRESS_GONE' },
      { channel: 'SMS', status: 'QUEUED', reason: null },
      { channel: 'IN_APP', status: 'QUEUED', reason: null },
    ]);
  });

  test.each(['PUSH', 'IN_APP'] as const)('a %s recipient is not removed', async (channel) => {
    const { id } = await makeReachable();
    const recipient = await getRecipient(g.server, { id, channel });
    expect(await removeRecipient(g.server, recipient.id)).toMatchObject({ code: 'VALUE_INVALID', path: ['recipient'] });
    expect(await getRecipient(g.server, { id, channel })).toEqual(recipient);
  });

  test('what alone names a user is not removed', async () => {
    const installation = await makeInstallation(g.app);
    const { id } = await makeUser(g.server, { installation: installation.id, userIdentity: { emails: [newEmail()] } });
    const recipient = await getRecipient(g.server, { id, channel: 'EMAIL' });
    expect(await removeRecipient(g.server, recipient.id)).toMatchObject({
      code: 'STATE_CONFLICT',
      path: ['recipient'],
    });
    expect(await getRecipient(g.server, { id, channel: 'EMAIL' })).toEqual(recipient);
  });

  test('a repeat with the same key answers the same; without one there is nothing left to remove', async () => {
    const { id } = await makeReachable();
    const { id: recipient } = await getRecipient(g.server, { id, channel: 'EMAIL' });
    const first = await removeRecipient(g.server, recipient, 'remove-once');
    expect(await removeRecipient(g.server, recipient, 'remove-once')).toEqual(first);
    expect(await removeRecipient(g.server, recipient)).toMatchObject({ code: 'NOT_FOUND', path: ['recipient'] });
  });
});

describe('an opt-out', () => {
  /** A person whose e-mail address was opted out or not, and removed. */
  async function makeRemoved({ isSubscribed }: { isSubscribed: boolean | null }) {
    const person = await makeReachable();
    const { id: recipient } = await getRecipient(g.server, { id: person.id, channel: 'EMAIL' });
    await updateRecipient(g.server, { recipient, isSubscribed: false });
    if (isSubscribed !== null) await updateRecipient(g.server, { recipient, isSubscribed });
    await removeRecipient(g.server, recipient);
    return person;
  }

  test('survives that its address is removed and comes back, also at somebody else’s profile', async () => {
    const { email } = await makeRemoved({ isSubscribed: null });
    const other = await makePerson(g, { emails: [email], phones: [newPhone()] });
    expect(await getRecipient(g.server, { id: other.id, channel: 'EMAIL' })).toMatchObject({
      isSubscribed: false,
      consentAt: null,
    });
    expect(await getRecipient(g.server, { id: other.id, channel: 'SMS' })).toMatchObject({ isSubscribed: true });
    const { rows } = await g.pool.query('select suppressions::text as kept from suppressions');
    for (const { kept } of rows) expect(kept).not.toContain(email);
  });

  test('that was taken back before the address was removed is no more', async () => {
    const { email } = await makeRemoved({ isSubscribed: true });
    const other = await makePerson(g, { emails: [email] });
    expect(await getRecipient(g.server, { id: other.id, channel: 'EMAIL' })).toMatchObject({ isSubscribed: true });
  });

  test('ends when its person subscribes again, for good', async () => {
    const { id, externalUserId, email, installation } = await makeRemoved({ isSubscribed: null });
    const giveBack = () =>
      makeUser(g.server, { installation: installation.id, userIdentity: { externalUserId, emails: [email] } });
    await giveBack();
    const { id: recipient, isSubscribed } = await getRecipient(g.server, { id, channel: 'EMAIL' });
    expect(isSubscribed).toBe(false);
    await updateRecipient(g.server, { recipient, isSubscribed: true });
    await removeRecipient(g.server, recipient);
    await giveBack();
    expect(await getRecipient(g.server, { id, channel: 'EMAIL' })).toMatchObject({ isSubscribed: true });
  });

  test('of a push address holds for whichever installation registers with it, until its person subscribes again', async () => {
    const address = fcmAddress();
    const first = await makeInstallation(g.app, { platform: 'ANDROID', address });
    const { rows } = await g.pool.query<{ hash: Buffer }>(
      'select address_hash as hash from installations where id = $1',
      [first.pushRegistrationId],
    );
    await g.pool.query("insert into suppressions (channel, address_hash) values ('PUSH', $1)", [rows[0]?.hash]);
    const again = await makeInstallation(g.app, { platform: 'ANDROID', address });
    const push = await getRecipient(g.server, { id: again.user.id, channel: 'PUSH' });
    expect(push.isSubscribed).toBe(false);
    await updateRecipient(g.app.as(again.token), { recipient: push.id, isSubscribed: true });
    const third = await makeInstallation(g.app, { platform: 'ANDROID', address });
    expect(await getRecipient(g.server, { id: third.user.id, channel: 'PUSH' })).toMatchObject({ isSubscribed: true });
  });

  test.each([
    ['another installation took over', async () => undefined],
    ['its installation gave up', (token: string) => updateInstallation(g.app.as(token), { address: null })],
  ])('of a push address that %s survives for whoever has the address then', async (_, leave) => {
    const address = fcmAddress();
    const first = await makeInstallation(g.app, { platform: 'ANDROID', address });
    const { id: recipient } = await getRecipient(g.server, { id: first.user.id, channel: 'PUSH' });
    await updateRecipient(g.app.as(first.token), { recipient, isSubscribed: false });
    await leave(first.token);
    const next = await makeInstallation(g.app, { platform: 'ANDROID', address });
    const taken = await getRecipient(g.server, { id: next.user.id, channel: 'PUSH' });
    expect(taken).toMatchObject({ isSubscribed: false });
    await updateRecipient(g.app.as(next.token), { recipient: taken.id, isSubscribed: true });
    await makeInstallation(g.app.as(first.token), { platform: 'ANDROID', address });
    expect(await getRecipient(g.server, { id: first.user.id, channel: 'PUSH' })).toMatchObject({ isSubscribed: false });
  });

  test('of a push address that was given up ends when the person subscribes again before the address is back', async () => {
    const address = fcmAddress();
    const { id, token, user } = await makeInstallation(g.app, { platform: 'ANDROID', address });
    const own = g.app.as(token);
    const { id: recipient } = await getRecipient(own, { id: user.id, channel: 'PUSH' });
    await updateRecipient(own, { recipient, isSubscribed: false });
    await updateInstallation(own, { installation: id, address: null });
    await updateRecipient(own, { recipient, isSubscribed: true });
    await updateInstallation(own, { installation: id, address });
    expect(await getRecipient(own, { id: user.id, channel: 'PUSH' })).toMatchObject({ isSubscribed: true });
  });
});
