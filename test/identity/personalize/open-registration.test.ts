import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { fcmAddress, newEmail, newPhone } from '../../support/addresses.ts';
import { useApp } from '../../support/app.ts';
import { insertNotification } from '../../support/log-events.ts';
import {
  depersonalize,
  makeInstallation,
  makeNotification,
  makeUser,
  personalize,
  settledDeliveries,
} from '../../support/operations.ts';
import { countRows, findProfile, getProfile, makePerson, mergeUsers } from '../../support/people.ts';
import { localIdOf } from '../../support/send-operations.ts';
import { claimsOf, makeApp, makeSigner, type RegisteringApp } from '../../support/user-registration.ts';

const g = useApp();

const signer = makeSigner('HS256');
let open: RegisteringApp;

beforeAll(async () => {
  open = await makeApp(g.server, { userRegistration: 'OPEN', userTokenKeys: [signer.key] });
});

/** An installation of the open app, and itself as a caller. */
async function makeClient() {
  const installation = await makeInstallation(open.client, { platform: 'ANDROID', address: fcmAddress() });
  return { ...installation, client: g.app.as(installation.token) };
}

/** A client that has claimed to be somebody. */
async function makeClaimant(userIdentity: { externalUserId?: string; emails?: string[]; phones?: string[] }) {
  const claimant = await makeClient();
  const user = await makeUser(claimant.client, {
    userIdentity,
    userAttributes: { firstName: 'Claimed', tags: ['vip'] },
  });
  return { ...claimant, lead: claimant.user, user };
}

const profileOf = ({ pushRegistrationId }: { pushRegistrationId: string }) =>
  getProfile(g.server, { pushRegistrationId });

/** Whose claim of a value there is, by their ids. */
async function claimantsOf(value: string): Promise<string[]> {
  const { rows } = await g.pool.query<{ user_id: string }>('select user_id from identifier_claims where value = $1', [
    value,
  ]);
  return rows.map((row) => row.user_id);
}

const refusal = (code: string, path: readonly string[]) => expect.objectContaining({ code, path });

describe('U11: under OPEN, what a client claims', () => {
  test('is kept with its own user, who stays a lead without a name', async () => {
    const externalUserId = randomUUID();
    const { user, lead, ...claimant } = await makeClaimant({ externalUserId });
    expect(user).toMatchObject({
      id: lead.id,
      type: 'LEAD',
      externalUserId: null,
      firstName: 'Claimed',
      tags: ['vip'],
    });
    expect((await profileOf(claimant)).id).toBe(user.id);
    expect(await claimantsOf(externalUserId)).toEqual([localIdOf(user.id)]);
  });

  test('never shares a user', async () => {
    const userIdentity = { externalUserId: randomUUID(), emails: [newEmail()] };
    const [first, second] = [await makeClaimant(userIdentity), await makeClaimant(userIdentity)];
    expect(second.user.id).not.toBe(first.user.id);
    expect((await profileOf(first)).installations).toEqual([first.pushRegistrationId]);
  });

  test('resolves no call of a server', async () => {
    const [externalUserId, email, phone] = [randomUUID(), newEmail(), newPhone()];
    await makeClaimant({ externalUserId, emails: [email], phones: [phone] });
    const refs = [{ externalUserId }, { email }, { phone }];
    for (const ref of refs) expect(await findProfile(g.server, ref)).toBeNull();
    const person = await makePerson(g);
    for (const merged of refs) {
      expect(await mergeUsers(g.server, { survivor: { id: person.id }, merged })).toEqual(
        refusal('NOT_FOUND', ['merged']),
      );
    }
    const sent = await makeNotification(g.server, { content: { body: 'a' }, target: { users: refs } });
    const { deliveries } = await settledDeliveries(g.server, sent);
    expect(deliveries.nodes).toHaveLength(3);
    for (const delivery of deliveries.nodes) expect(delivery).toMatchObject({ reason: 'UNKNOWN_USER', user: null });
  });

  test('makes no address a recipient, also not one that is in an externalUserId', async () => {
    const { user } = await makeClaimant({ externalUserId: newEmail(), emails: [newEmail()], phones: [newPhone()] });
    const { recipients } = await getProfile(g.server, { id: user.id });
    expect(recipients.map(({ __typename }) => __typename).sort()).toEqual(['InAppRecipient', 'PushRecipient']);
    const target = { users: [{ id: user.id }] };
    const sent = await makeNotification(g.server, {
      content: { title: 'a', body: 'b' },
      channels: ['EMAIL', 'SMS'],
      target,
    });
    const { deliveries } = await settledDeliveries(g.server, sent);
    const isDiscarded = { status: 'DISCARDED', reason: 'NO_ADDRESS', recipient: null };
    expect(deliveries.nodes).toMatchObject([isDiscarded, isDiscarded]);
  });

  test('is answered alike whether or not somebody is called so, and takes nothing of theirs', async () => {
    const email = newEmail();
    const person = await makePerson(g, { emails: [email] });
    const before = await getProfile(g.server, { id: person.id });
    const told = await Promise.all(
      [
        { externalUserId: person.externalUserId, emails: [email] },
        { externalUserId: randomUUID(), emails: [newEmail()] },
      ].map(async (userIdentity) => {
        const { client, user, pushRegistrationId } = await makeClient();
        const answers = [
          await personalize(client, { userIdentity, keepAsLead: false }),
          await personalize(client, { userIdentity: { emails: userIdentity.emails } }),
          await personalize(client, { userIdentity: { externalUserId: randomUUID() } }),
          await findProfile(client, { externalUserId: userIdentity.externalUserId }),
          await depersonalize(client),
        ];
        const own = [user.id, pushRegistrationId];
        const text = own.reduce((json, id) => json.replaceAll(id, 'own'), JSON.stringify(answers));
        // The fresh lead of the last answer.
        return text.replace(/"user":\{"id":"[^"]{20,}"/, '"user":{"id":"fresh"');
      }),
    );
    expect(told[0]).toBe(told[1]);
    expect(await getProfile(g.server, { id: person.id })).toEqual(before);
  });

  test('has the same form as a name', async () => {
    const { client } = await makeClient();
    const before = await countRows(g);
    for (const [userIdentity, code, path] of [
      [{}, 'USER_IDENTITY_INVALID', []],
      [{ externalUserId: 'undefined' }, 'USER_IDENTITY_INVALID', []],
      [{ emails: ['nobody'] }, 'EMAIL_INVALID', ['emails', '0']],
      [{ emails: Array.from({ length: 101 }, newEmail) }, 'IDENTIFIER_LIMIT_EXCEEDED', ['emails']],
    ] as const) {
      const identity = 'emails' in userIdentity ? { emails: [...userIdentity.emails] } : userIdentity;
      expect(await personalize(client, { userIdentity: identity })).toEqual(refusal(code, ['userIdentity', ...path]));
    }
    expect(await countRows(g)).toEqual(before);
    const userIdentity = { externalUserId: 'anonymous', emails: [newEmail()] };
    expect(await personalize(client, { userIdentity })).toMatchObject({ droppedIdentifiers: ['anonymous'] });
  });

  test('again, or more of the same person, is the same user; they are at most 100 addresses however they come', async () => {
    const [email, more] = [newEmail(), newEmail()];
    const { client, user } = await makeClaimant({ emails: [email] });
    const claim = (emails: string[]) => personalize(client, { userIdentity: { emails } });
    expect(await claim([email, more])).toMatchObject({ user: { id: user.id } });
    expect(await claimantsOf(more)).toHaveLength(1);
    expect(await claim([email, ...Array.from({ length: 99 }, newEmail)])).toEqual(
      refusal('IDENTIFIER_LIMIT_EXCEEDED', ['userIdentity', 'emails']),
    );
  });

  test('another person has to be forced, and is a fresh lead without anything of the first', async () => {
    const [first, second] = [randomUUID(), randomUUID()];
    const { client, user, pushRegistrationId } = await makeClaimant({ externalUserId: first });
    const userIdentity = { externalUserId: second };
    expect(await personalize(client, { userIdentity })).toEqual(
      refusal('PERSONALIZATION_IMPOSSIBLE', ['installation']),
    );
    const now = await makeUser(client, { userIdentity, forceDepersonalize: true });
    expect(now).toMatchObject({ type: 'LEAD', firstName: null, tags: [] });
    expect(now.id).not.toBe(user.id);
    expect(await claimantsOf(first)).toEqual([]);
    expect((await profileOf({ pushRegistrationId })).id).toBe(now.id);
  });

  test('ends with a logout, which leaves a fresh lead', async () => {
    const externalUserId = randomUUID();
    const claimant = await makeClaimant({ externalUserId });
    await depersonalize(claimant.client);
    expect(await profileOf(claimant)).toMatchObject({ firstName: null, tags: [], installations: [expect.any(String)] });
    expect((await profileOf(claimant)).id).not.toBe(claimant.user.id);
    expect(await claimantsOf(externalUserId)).toEqual([]);
  });

  test('of one whom the server has named: the same person succeeds, what is more is a claim, another is refused', async () => {
    const { client, id } = await makeClient();
    const [externalUserId, email] = [randomUUID(), newEmail()];
    const user = await makeUser(g.server, { installation: id, userIdentity: { externalUserId } });
    const claim = (userIdentity: object) => personalize(client, { userIdentity });
    expect(await claim({ externalUserId, emails: [email] })).toMatchObject({ user: { id: user.id } });
    expect(await getProfile(g.server, { externalUserId })).toMatchObject({ type: 'CUSTOMER', emails: [] });
    expect(await claimantsOf(externalUserId)).toEqual([]);
    expect(await claimantsOf(email)).toHaveLength(1);
    expect(await claim({ externalUserId: randomUUID() })).toEqual(
      refusal('PERSONALIZATION_IMPOSSIBLE', ['installation']),
    );
    expect(await claim({ externalUserId: randomUUID(), emails: [email] })).toEqual(
      refusal('IDENTIFIER_IMMUTABLE', ['userIdentity', 'externalUserId']),
    );
  });
});

describe('U11: who is verified to be called so', () => {
  const byServer = (installation: string, externalUserId: string) =>
    personalize(g.server, { installation, userIdentity: { externalUserId } });

  test.each([
    'a server key',
    'a signed token',
  ])('takes the name over by %s, and claimants lose their installations', async (by) => {
    const [externalUserId, email] = [randomUUID(), newEmail()];
    const claimants = [await makeClaimant({ externalUserId, emails: [email] }), await makeClaimant({ externalUserId })];
    const { client, id } = await makeClient();
    const userToken = signer.sign(claimsOf(open, externalUserId));
    const result = await (by === 'a server key'
      ? byServer(id, externalUserId)
      : personalize(client, { userIdentity: {}, userToken }));
    expect(result).toMatchObject({ user: { type: 'CUSTOMER', externalUserId, firstName: null, tags: [] } });
    expect(await claimantsOf(externalUserId)).toEqual([]);
    // The lead that the installation had before has no claim either.
    expect(await claimantsOf(email)).toEqual([]);
    for (const claimant of claimants) {
      const profile = await profileOf(claimant);
      expect(profile).toMatchObject({
        type: 'LEAD',
        firstName: null,
        tags: [],
        installations: [claimant.pushRegistrationId],
      });
      expect(profile.recipients.map(({ __typename }) => __typename).sort()).toEqual([
        'InAppRecipient',
        'PushRecipient',
      ]);
      expect(profile.id).not.toBe(claimant.user.id);
      expect(await findProfile(claimant.client, { externalUserId })).toBeNull();
      expect(await findProfile(claimant.client, { id: profile.id })).not.toBeNull();
    }
    expect(new Set([...(await Promise.all(claimants.map(profileOf))).map(({ id: user }) => user)]).size).toBe(2);
  });

  test('takes it again from whoever claims it later', async () => {
    const { externalUserId, installation, id } = await makePerson(g);
    const claimant = await makeClaimant({ externalUserId });
    expect(await byServer(installation.id, externalUserId)).toMatchObject({ user: { id } });
    expect((await profileOf(claimant)).id).not.toBe(claimant.user.id);
    expect(await claimantsOf(externalUserId)).toEqual([]);
  });

  test('ends what is queued for the claimant as a person, not what is for its installation', async () => {
    const externalUserId = randomUUID();
    const claimant = await makeClaimant({ externalUserId });
    const notificationId = await insertNotification(g.pool);
    for (const isBroadcast of [true, false]) {
      await g.pool.query(
        `insert into deliveries (id, notification_id, target_key, channel, user_id, recipient_id, status, is_broadcast, next_attempt_at)
         select uuid_v7(), $1, gen_random_uuid(), 'PUSH', user_id, id, 'QUEUED', $3, now() + interval '1 day'
         from recipients where installation_id = $2`,
        [notificationId, claimant.pushRegistrationId, isBroadcast],
      );
    }
    await byServer((await makeClient()).id, externalUserId);
    const { rows } = await g.pool.query(
      'select is_broadcast, status, reason from deliveries where notification_id = $1 order by is_broadcast',
      [notificationId],
    );
    expect(rows).toEqual([
      { is_broadcast: false, status: 'CANCELLED', reason: 'DEPERSONALIZED' },
      { is_broadcast: true, status: 'QUEUED', reason: null },
    ]);
  });

  test('is its claimant, if its installation is the one: it becomes a customer as it is', async () => {
    const [externalUserId, email] = [randomUUID(), newEmail()];
    const claimant = await makeClaimant({ externalUserId, emails: [email] });
    expect(await byServer(claimant.id, externalUserId)).toMatchObject({
      user: { id: claimant.user.id, type: 'CUSTOMER', externalUserId, firstName: 'Claimed', tags: ['vip'] },
    });
    expect(await claimantsOf(externalUserId)).toEqual([]);
    // Of this nobody has said that it is so.
    expect(await claimantsOf(email)).toEqual([localIdOf(claimant.user.id)]);
    expect(await findProfile(g.server, { email })).toBeNull();
  });

  test('absorbs its claimant, if somebody is called so already', async () => {
    const person = await makePerson(g);
    const claimant = await makeClaimant({ externalUserId: person.externalUserId, emails: [newEmail()] });
    expect(await byServer(claimant.id, person.externalUserId)).toMatchObject({
      user: { id: person.id, firstName: 'Claimed' },
      mergeRecord: { mutation: 'personalize' },
    });
    expect(await getProfile(g.server, { id: claimant.user.id })).toMatchObject({ id: person.id, emails: [] });
  });

  test.each([
    'is new',
    'is known',
  ])('another person, who %s, needs no force against a claim, and gets nothing of the claimant', async (who) => {
    const claimed = randomUUID();
    const claimant = await makeClaimant({ externalUserId: claimed });
    const externalUserId = who === 'is new' ? randomUUID() : (await makePerson(g)).externalUserId;
    expect(await byServer(claimant.id, externalUserId)).toMatchObject({
      user: { type: 'CUSTOMER', externalUserId, firstName: null, tags: [] },
      mergeRecord: null,
    });
    expect(await getProfile(g.server, { externalUserId })).toMatchObject({
      installations: expect.arrayContaining([claimant.pushRegistrationId]),
    });
    expect(await claimantsOf(claimed)).toEqual([]);
  });

  test('a named user keeps its installations when somebody else is verified to have an address that it claimed', async () => {
    const { client, id, pushRegistrationId } = await makeClient();
    const [externalUserId, email] = [randomUUID(), newEmail()];
    await byServer(id, externalUserId);
    await makeUser(client, { userIdentity: { externalUserId, emails: [email] } });
    await makePerson(g, { emails: [email] });
    expect(await claimantsOf(email)).toEqual([]);
    expect(await getProfile(g.server, { externalUserId })).toMatchObject({ installations: [pushRegistrationId] });
  });

  test('a claim goes with a merge, and names the survivor no more than before', async () => {
    const [externalUserId, kept] = [randomUUID(), newEmail()];
    const person = await makePerson(g, { emails: [kept] });
    const claimant = await makeClaimant({ externalUserId, emails: [kept] });
    await mergeUsers(g.server, { survivor: { id: person.id }, merged: { id: claimant.user.id } });
    expect(await claimantsOf(externalUserId)).toEqual([localIdOf(person.id)]);
    expect(await claimantsOf(kept)).toEqual([]);
    expect(await findProfile(g.server, { externalUserId })).toBeNull();
    await byServer((await makeClient()).id, externalUserId);
    expect((await profileOf(claimant)).id).toBe(person.id);
  });

  test('a bad token under OPEN is refused, and claims nothing', async () => {
    const { client } = await makeClient();
    const externalUserId = randomUUID();
    const userToken = makeSigner('HS256').sign(claimsOf(open, externalUserId));
    expect(await personalize(client, { userIdentity: { externalUserId }, userToken })).toEqual(
      refusal('TOKEN_INVALID', ['userToken']),
    );
    expect(await claimantsOf(externalUserId)).toEqual([]);
  });
});

test('U11: a claim and a server’s word at once: the server’s user is called so, and the claimant is not that user', async () => {
  for (let round = 0; round < 30; round += 1) {
    const [claimant, person] = await Promise.all([makeClient(), makeClient()]);
    const userIdentity = { externalUserId: randomUUID() };
    const [claimed, named] = await Promise.all([
      makeUser(claimant.client, { userIdentity }),
      makeUser(g.server, { installation: person.id, userIdentity }),
    ]);
    expect(await findProfile(g.server, userIdentity)).toMatchObject({
      ...{ id: named.id, type: 'CUSTOMER', installations: [person.pushRegistrationId] },
    });
    const now = await profileOf(claimant);
    expect(now).toMatchObject({ type: 'LEAD', installations: [claimant.pushRegistrationId] });
    expect(now.id).not.toBe(named.id);
    // Taken over, or made after it and still nothing but a claim; in either case the server's next word ends it.
    const isTakenOver = now.id !== claimed.id;
    expect(await claimantsOf(userIdentity.externalUserId)).toEqual(isTakenOver ? [] : [localIdOf(claimed.id)]);
    await makeUser(g.server, { installation: person.id, userIdentity });
    expect(await claimantsOf(userIdentity.externalUserId)).toEqual([]);
    expect((await profileOf(claimant)).id).not.toBe(claimed.id);
  }
});
