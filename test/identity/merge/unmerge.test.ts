import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { sql } from '../../../src/storage/database.ts';
import { newEmail, newPhone } from '../../support/addresses.ts';
import { testKeys, useApp } from '../../support/app.ts';
import { customAttributesOf, makeAttribute } from '../../support/attributes.ts';
import { insertNotification } from '../../support/log-events.ts';
import { depersonalize, makeInstallation, makeUser, personalize } from '../../support/operations.ts';
import {
  findProfile,
  getProfile,
  makeMerge,
  makePerson,
  makePrimary,
  optOut,
  unmergeUsers,
} from '../../support/people.ts';
import { saveUser } from '../../support/save-operations.ts';
import { localIdOf, makeSegment } from '../../support/send-operations.ts';

// Without a worker: what is queued stays so.
const g = useApp({ role: 'gateway' });

/** Every row of users, as the database has it. */
async function rowsOf(...globalIds: string[]) {
  const ids = globalIds.map(localIdOf);
  const { rows } = await g.pool.query(sql`
    select
      (select jsonb_agg(u order by id) from users u where id = any(${ids}::uuid[])) as users,
      (select jsonb_agg(i order by kind, value) from identifiers i where user_id = any(${ids}::uuid[])) as identifiers,
      (select jsonb_agg(c order by kind, value) from identifier_claims c where user_id = any(${ids}::uuid[])) as claims,
      (select jsonb_agg(i order by id) from installations i where user_id = any(${ids}::uuid[])) as installations,
      (select jsonb_agg(r order by id) from recipients r where user_id = any(${ids}::uuid[])) as recipients,
      (select jsonb_agg(m order by segment_id, user_id) from segment_members m where user_id = any(${ids}::uuid[])) as members
  `);
  return rows[0];
}

const setCustom = (id: string, values: object) =>
  g.db.user.update({ where: { id: localIdOf(id) }, data: { customAttributes: values } });

/** Someone with a value of everything that can move, and somebody who was merged into them. */
async function makeRich(attributes: Record<string, unknown>) {
  const [email, phone] = [newEmail(), newPhone()];
  const person = await makePerson(g, { emails: [email], phones: [phone] });
  const { externalUserId, installation } = person;
  await makeUser(g.server, {
    installation: installation.id,
    userIdentity: { externalUserId },
    userAttributes: { gender: 'OTHER', tags: ['both'], ...attributes },
  });
  const tombstone = await makePerson(g);
  await makeMerge(g.server, { survivor: { id: person.id }, merged: { id: tombstone.id } });
  await makePrimary(g, installation.pushRegistrationId);
  return { ...person, email, phone, tombstone };
}

/** Two such people, who share a segment; each is in another one too. */
async function makeTwo() {
  const survivor = await makeRich({ firstName: 'Ann', tags: ['both', 'own'] });
  const merged = await makeRich({
    firstName: 'Anna',
    lastName: 'Smith',
    birthday: '1968-02-10',
    tags: ['both', 'new'],
  });
  await setCustom(survivor.id, { plan: 'basic', height: '1.7' });
  await setCustom(merged.id, { plan: 'pro', size: 'M' });
  await makeSegment(g.server, [survivor.id, merged.id]);
  await makeSegment(g.server, [survivor.id]);
  const segment = await makeSegment(g.server, [merged.id]);
  await optOut(g, { externalUserId: merged.externalUserId, channel: 'IN_APP' });
  return { survivor, merged, segment, ids: [survivor.id, merged.id, merged.tombstone.id] };
}

describe('an undone merge (decision 5)', () => {
  test('leaves every row of both users as it was', async () => {
    const { survivor, merged, ids } = await makeTwo();
    const before = await rowsOf(...ids);
    const record = await makeMerge(g.server, {
      survivor: { id: survivor.id },
      merged: { id: merged.id },
      overrides: { attributes: ['FIRST_NAME'], customAttributes: ['plan'] },
    });
    expect(await rowsOf(...ids)).not.toEqual(before);
    expect(await unmergeUsers(g.server, record)).toMatchObject({
      survivor: { id: survivor.id },
      restored: { id: merged.id, externalUserId: merged.externalUserId },
      leftBehind: [],
    });
    expect(await rowsOf(...ids)).toEqual(before);
    expect(await findProfile(g.server, { id: merged.tombstone.id })).toMatchObject({ id: merged.id });
  });

  test('of a lead that was absorbed gives it its installation and its claims back', async () => {
    await g.db.app.updateMany({ data: { userRegistration: 'OPEN' } });
    const person = await makePerson(g);
    const { id: installation, token, user } = await makeInstallation(g.app);
    await personalize(g.app.as(token), { userIdentity: { emails: [newEmail()] }, userAttributes: { lastName: 'Roe' } });
    await makePrimary(g, localIdOf(installation));
    const before = await rowsOf(user.id, person.id);
    const result = await personalize(g.server, {
      installation,
      userIdentity: { externalUserId: person.externalUserId },
    });
    if (result?.__typename !== 'PersonalizePayload' || !result.mergeRecord) throw new Error('Nobody was absorbed.');
    expect(await findProfile(g.server, { id: user.id })).toMatchObject({ id: person.id, lastName: 'Roe' });
    expect(await unmergeUsers(g.server, result.mergeRecord.id)).toMatchObject({
      restored: { id: user.id },
      leftBehind: [],
    });
    expect(await rowsOf(user.id, person.id)).toEqual(before);
    await g.db.app.updateMany({ data: { userRegistration: 'SERVER_ONLY' } });
  });

  test('keeps what was changed since with the survivor, and tells what was left behind', async () => {
    const { survivor, merged, segment } = await makeTwo();
    const { email, phone } = merged;
    const record = await makeMerge(g.server, { survivor: { id: survivor.id }, merged: { id: merged.id } });
    await makeUser(g.server, {
      installation: survivor.installation.id,
      userIdentity: { externalUserId: survivor.externalUserId },
      userAttributes: { lastName: 'Jones', tags: ['later', 'new'] },
    });
    await setCustom(survivor.id, { plan: 'basic', size: 'L' });
    await depersonalize(g.server, merged.installation.id);
    await g.db.segmentMember.deleteMany({ where: { segmentId: localIdOf(segment) } });
    await g.db.recipient.deleteMany({ where: { address: phone } });
    await g.db.identifier.deleteMany({ where: { value: phone } });
    const inbox = await g.db.recipient.findFirstOrThrow({
      where: { userId: localIdOf(survivor.id), channel: 'IN_APP' },
    });
    await g.db.recipient.update({
      where: { id: inbox.id },
      data: { isSubscribed: true, consentAt: new Date(), consentBy: 'key:test' },
    });

    const undone = await unmergeUsers(g.server, record);
    if (undone?.__typename !== 'UnmergeUsersPayload') throw new Error('It was refused.');
    const told = undone.leftBehind.map(({ kind, name, reason }) => `${kind} ${name} ${reason}`).sort();
    expect(told).toEqual(
      [
        `IDENTIFIER ${phone} GONE`,
        `INSTALLATION ${merged.installation.pushRegistrationId} ELSEWHERE`,
        `SEGMENT ${localIdOf(segment)} GONE`,
        'ATTRIBUTE lastName CHANGED',
        'CUSTOM_ATTRIBUTE size CHANGED',
        `INBOX_CONSENT ${inbox.id} CHANGED`,
      ].sort(),
    );
    expect(await getProfile(g.server, { id: survivor.id })).toMatchObject({ lastName: 'Jones', tags: ['later'] });
    const restored = await getProfile(g.server, { id: merged.id });
    expect(restored).toMatchObject({ lastName: 'Smith', firstName: 'Anna', emails: [email], phones: [] });
    expect(restored.recipients.filter(({ __typename }) => __typename === 'InAppRecipient')).toMatchObject([
      { isSubscribed: false },
    ]);
  });
});

test('an undone merge leaves an installation with the survivor that has left since and come back as the survivor', async () => {
  const { survivor, merged } = await makeTwo();
  const record = await makeMerge(g.server, { survivor: { id: survivor.id }, merged: { id: merged.id } });
  const comesAs = (externalUserId: string | null) =>
    makeUser(g.server, {
      installation: merged.installation.id,
      userIdentity: { externalUserId },
      forceDepersonalize: true,
    });
  await comesAs(randomUUID());
  await comesAs(survivor.externalUserId);
  expect(await unmergeUsers(g.server, record)).toMatchObject({
    leftBehind: [{ kind: 'INSTALLATION', name: merged.installation.pushRegistrationId, reason: 'CHANGED' }],
  });
  const row = await g.db.installation.findUniqueOrThrow({ where: { id: merged.installation.pushRegistrationId } });
  expect(row.userId).toBe(localIdOf(survivor.id));
});

test('an undone merge brings no value of an attribute back that was defined anew since, with another type', async () => {
  const name = await makeAttribute(g.server, { type: 'STRING' });
  const [survivor, merged] = [await makePerson(g), await makePerson(g)];
  await setCustom(survivor.id, { [name]: 'text' });
  await setCustom(merged.id, { [name]: '2' });
  const record = await makeMerge(g.server, {
    survivor: { id: survivor.id },
    merged: { id: merged.id },
    overrides: { customAttributes: [name] },
  });
  // As `removeAttributeDefinition` and its job leave it.
  await setCustom(survivor.id, {});
  await setCustom(merged.id, {});
  await g.db.attributeDefinition.deleteMany({ where: { name } });
  await makeAttribute(g.server, { name, type: 'NUMBER' });
  await saveUser(g.server, { user: { id: survivor.id }, userAttributes: { customAttributes: { [name]: 2 } } });
  expect(await unmergeUsers(g.server, record)).toMatchObject({
    leftBehind: [{ kind: 'CUSTOM_ATTRIBUTE', name, reason: 'CHANGED' }],
  });
  expect(await customAttributesOf(g.server, { id: survivor.id })).toEqual({ [name]: 2 });
});

test('whom an undone merge has left without a name is absorbed by nobody (decision 2)', async () => {
  const installation = await makeInstallation(g.app);
  const survivor = await makeUser(g.server, {
    installation: installation.id,
    userIdentity: { emails: [newEmail()] },
    userAttributes: { firstName: 'Ann' },
  });
  const [merged, stranger] = [await makePerson(g), await makePerson(g)];
  const record = await makeMerge(g.server, { survivor: { id: survivor.id }, merged: { id: merged.id } });
  await saveUser(g.server, { user: { id: survivor.id }, emails: null });
  await unmergeUsers(g.server, record);
  const comes = { installation: installation.id, userIdentity: { externalUserId: stranger.externalUserId } };
  expect(await personalize(g.server, comes)).toMatchObject({ code: 'PERSONALIZATION_IMPOSSIBLE' });
  await makeUser(g.server, { ...comes, forceDepersonalize: true });
  expect(await getProfile(g.server, { id: survivor.id })).toMatchObject({ id: survivor.id, firstName: 'Ann' });
  expect(await getProfile(g.server, { id: stranger.id })).toMatchObject({ firstName: null });
});

/** Two people, the one merged into the other. */
async function makeMerged() {
  const [survivor, merged] = [
    await makePerson(g, { emails: [newEmail()] }),
    await makePerson(g, { emails: [newEmail()] }),
  ];
  const record = await makeMerge(g.server, { survivor: { id: survivor.id }, merged: { id: merged.id } });
  return { survivor, merged, record };
}

describe('an undo', () => {
  test('is of the newest merge first, absorbed leads among them', async () => {
    const { survivor, merged, record } = await makeMerged();
    const absorbed = await personalize(g.server, {
      installation: (await makeInstallation(g.app)).id,
      userIdentity: { externalUserId: survivor.externalUserId },
    });
    if (absorbed?.__typename !== 'PersonalizePayload' || !absorbed.mergeRecord) throw new Error('Nobody was absorbed.');
    const before = await rowsOf(survivor.id, merged.id);
    expect(await unmergeUsers(g.server, record)).toMatchObject({
      code: 'STATE_CONFLICT',
      message: expect.stringContaining(localIdOf(absorbed.mergeRecord.id)),
      path: ['mergeRecord'],
    });
    expect(await rowsOf(survivor.id, merged.id)).toEqual(before);
    expect(await unmergeUsers(g.server, absorbed.mergeRecord.id)).toMatchObject({ survivor: { id: survivor.id } });
    expect(await unmergeUsers(g.server, record)).toMatchObject({ restored: { id: merged.id } });
  });

  test('of a survivor that was itself merged since comes after that one’s', async () => {
    const { survivor, merged, record } = await makeMerged();
    const third = await makePerson(g);
    const later = await makeMerge(g.server, { survivor: { id: third.id }, merged: { id: survivor.id } });
    expect(await unmergeUsers(g.server, record)).toMatchObject({ code: 'STATE_CONFLICT', path: ['mergeRecord'] });
    expect(await unmergeUsers(g.server, later)).toMatchObject({ restored: { id: survivor.id } });
    expect(await findProfile(g.server, { id: merged.id })).toMatchObject({ id: survivor.id });
    expect(await unmergeUsers(g.server, record)).toMatchObject({ restored: { id: merged.id } });
  });

  test('is done once; a repeat with its key tells the same', async () => {
    const { merged, record } = await makeMerged();
    await depersonalize(g.server, merged.installation.id);
    const key = randomUUID();
    const first = await unmergeUsers(g.server, record, key);
    expect(first).toMatchObject({
      restored: { id: merged.id, wasMerged: false },
      leftBehind: [{ kind: 'INSTALLATION' }],
      mergeRecord: { id: record, undoneAt: expect.any(String), undoneBy: expect.stringMatching(/^key:/) },
    });
    expect(await unmergeUsers(g.server, record, key)).toEqual(first);
    expect(await unmergeUsers(g.server, record)).toMatchObject({ code: 'STATE_CONFLICT', path: ['mergeRecord'] });
  });

  test('of what is no record, or of an earlier version’s, is refused', async () => {
    expect(await unmergeUsers(g.server, randomUUID())).toMatchObject({ code: 'NOT_FOUND', path: ['mergeRecord'] });
    const { survivor, merged, record } = await makeMerged();
    const kept = {
      identifiers: [{ kind: 'EMAIL', value: 'a@example.com' }],
      installations: [],
      recipients: [],
      segments: [],
    };
    await g.db.mergeRecord.update({ where: { id: localIdOf(record) }, data: { moved: kept } });
    expect(await unmergeUsers(g.server, record)).toMatchObject({ code: 'STATE_CONFLICT' });
    expect(await findProfile(g.server, { id: merged.id })).toMatchObject({ id: survivor.id });
    const { body } = await g.server.send('query($id: ID!) { mergeRecord(id: $id) { moved { identifiers tags } } }', {
      id: record,
    });
    expect(body.data).toEqual({ mergeRecord: { moved: { identifiers: 1, tags: 0 } } });
  });

  test('lets an opt-out of the one inbox count for both', async () => {
    const { survivor, merged, record } = await makeMerged();
    await optOut(g, { externalUserId: survivor.externalUserId, channel: 'IN_APP' });
    expect(await unmergeUsers(g.server, record)).toMatchObject({ leftBehind: [] });
    const inboxes = await g.db.recipient.findMany({
      where: { channel: 'IN_APP', userId: { in: [survivor.id, merged.id].map(localIdOf) } },
    });
    expect(inboxes.map(({ isSubscribed }) => isSubscribed)).toEqual([false, false]);
  });

  test('leaves an address that was taken away and given anew with the survivor', async () => {
    const email = newEmail();
    const [survivor, merged] = [await makePerson(g), await makePerson(g, { emails: [email] })];
    const record = await makeMerge(g.server, { survivor: { id: survivor.id }, merged: { id: merged.id } });
    const recipient = await g.db.recipient.findFirstOrThrow({ where: { address: email } });
    await g.db.recipient.update({ where: { id: recipient.id }, data: { id: randomUUID() } });
    expect(await unmergeUsers(g.server, record)).toMatchObject({
      leftBehind: [{ kind: 'IDENTIFIER', name: email, reason: 'CHANGED' }],
    });
    expect(await findProfile(g.server, { email })).toMatchObject({ id: survivor.id, emails: [email] });
  });

  test('gives an installation back as the primary one that it was, unless another of that user was made so since', async () => {
    const [survivor, merged] = [await makePerson(g), await makePerson(g)];
    const second = await makeInstallation(g.app);
    await makeUser(g.server, { installation: second.id, userIdentity: { externalUserId: merged.externalUserId } });
    for (const { pushRegistrationId } of [survivor.installation, merged.installation])
      await makePrimary(g, pushRegistrationId);
    const input = { survivor: { id: survivor.id }, merged: { id: merged.id } };
    const record = await makeMerge(g.server, input);
    await g.pool.query('update installations set is_primary_device = id = $2 where user_id = $1', [
      localIdOf(survivor.id),
      second.pushRegistrationId,
    ]);
    await unmergeUsers(g.server, record);
    expect(await getProfile(g.server, { id: merged.id })).toMatchObject({
      primaryInstallations: [second.pushRegistrationId],
    });
    expect(await getProfile(g.server, { id: survivor.id })).toMatchObject({ primaryInstallations: [] });
  });

  test('calls off what is queued for the one person at an address of the other, and nothing else', async () => {
    const [survivor, merged] = [await makePerson(g), await makePerson(g, { emails: [newEmail()] })];
    const notificationId = await insertNotification(g.pool);
    /** Queues something for a user at each address of a person, as person-targeted or for the address itself. */
    const queue = async (user: string, person: { externalUserId: string }, isBroadcast = false) => {
      const { recipients } = await getProfile(g.server, { externalUserId: person.externalUserId });
      const ids = recipients.map(({ id }) => localIdOf(id));
      const { rows } = await g.pool.query<{ id: string }>(sql`
        insert into deliveries (id, notification_id, target_key, channel, user_id, recipient_id, is_broadcast, status)
        select uuid_v7(), ${notificationId}::uuid, gen_random_uuid(), channel, ${localIdOf(user)}::uuid, id, ${isBroadcast}, 'QUEUED'
        from recipients where id = any(${ids}::uuid[]) and channel <> 'IN_APP'
        returning id`);
      return rows.map(({ id }) => id);
    };
    const before = [...(await queue(merged.id, merged)), ...(await queue(survivor.id, survivor))];
    const record = await makeMerge(g.server, { survivor: { id: survivor.id }, merged: { id: merged.id } });
    const [push] = await g.db.recipient.findMany({
      where: { installationId: survivor.installation.pushRegistrationId },
    });
    const since = await queue(survivor.id, survivor);
    const broadcast = await queue(survivor.id, survivor, true);
    await unmergeUsers(g.server, record);
    const fates = await g.db.delivery.findMany({ where: { notificationId } });
    const calledOff = fates.filter(({ status }) => status === 'CANCELLED');
    expect(calledOff.map(({ id, reason }) => ({ id, reason }))).toEqual(
      fates
        .filter(({ id, recipientId }) => since.includes(id) && recipientId !== push?.id)
        .map(({ id }) => ({ id, reason: 'DEPERSONALIZED' })),
    );
    expect(calledOff).toHaveLength(2);
    expect(fates).toHaveLength([...before, ...since, ...broadcast].length);
  });
});

test('only a server key undoes a merge', async () => {
  const { merged, record } = await makeMerged();
  const document = `mutation($input: UnmergeUsersInput!) { unmergeUsers(input: $input) { __typename } }`;
  for (const client of [g.app, g.app.as(merged.token)]) {
    const { body } = await client.send(document, { input: { mergeRecord: record } });
    expect(body.errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
  }
  expect(await unmergeUsers(g.server.as(testKeys.serverKey), record)).toMatchObject({ restored: { id: merged.id } });
});
