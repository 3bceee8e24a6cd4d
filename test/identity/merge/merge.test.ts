import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { graphql } from '../../generated/gql.ts';
import { newEmail, newPhone } from '../../support/addresses.ts';
import { useApp } from '../../support/app.ts';
import { insertDeliveries, insertNotification } from '../../support/log-events.ts';
import { makeInstallation, makeUser } from '../../support/operations.ts';
import {
  countRows,
  findProfile,
  getProfile,
  makeMerge,
  makePerson,
  makePrimary,
  mergeUsers,
  optOut,
  unmergeUsers,
} from '../../support/people.ts';
import { globalIdOf } from '../../support/send-operations.ts';

const g = useApp({ role: 'gateway' });

const NodeOf = graphql(`query NodeOf($id: ID!) { node(id: $id) { __typename id } }`);
const MergeRecords = graphql(`
  query MergeRecords($ref: UserRef!) {
    user(ref: $ref) { mergeRecords { totalCount nodes { id mutation survivor { id } } } }
  }
`);

const localId = (globalId: string) => Buffer.from(globalId, 'base64').toString().replace(/^\w+:/, '');

/** Someone without an external user id. */
async function makeNameless(input: { emails?: string[]; phones?: string[]; userAttributes?: object }) {
  const { userAttributes, ...userIdentity } = input;
  const installation = await makeInstallation(g.app);
  const user = await makeUser(g.server, {
    installation: installation.id,
    userIdentity,
    userAttributes: userAttributes ?? {},
  });
  return { ...user, installation };
}

test('the survivor’s values win, blanks are filled, and tags, addresses and installations are united', async () => {
  const [a, b, phone] = [newEmail(), newEmail(), newPhone()];
  const survivor = await makeNameless({ emails: [a], userAttributes: { firstName: 'Ann', tags: ['x', 'y'] } });
  const merged = await makeNameless({
    emails: [b],
    phones: [phone],
    userAttributes: { firstName: 'Anna', lastName: 'Smith', tags: ['y', 'z'] },
  });
  expect(await mergeUsers(g.server, { survivor: { email: a }, merged: { phone } })).toMatchObject({
    user: { id: survivor.id, tags: ['x', 'y', 'z'] },
  });
  expect(await getProfile(g.server, { email: b })).toMatchObject({
    ...{ id: survivor.id, type: 'CUSTOMER', firstName: 'Ann', lastName: 'Smith' },
    ...{ emails: [a, b].sort(), phones: [phone] },
    installations: [survivor.installation.pushRegistrationId, merged.installation.pushRegistrationId].sort(),
  });
});

test('the merged user’s id redirects, as a node and as a reference, and it is not listed', async () => {
  const [survivor, merged] = [await makePerson(g), await makeNameless({ emails: [newEmail()] })];
  await mergeUsers(g.server, { survivor: { id: survivor.id }, merged: { id: merged.id } });
  expect((await g.server.run(NodeOf, { id: merged.id })).node).toEqual({ __typename: 'User', id: survivor.id });
  expect(await findProfile(g.server, { id: merged.id })).toMatchObject({ id: survivor.id });
  const all = await g.server.send('{ users(last: 100) { nodes { id } } }');
  expect(JSON.stringify(all.body)).toContain(survivor.id);
  expect(JSON.stringify(all.body)).not.toContain(merged.id);
});

test('there are no chains: who was merged into a merged user points to the last survivor', async () => {
  const people = [
    await makePerson(g),
    await makeNameless({ emails: [newEmail()] }),
    await makeNameless({ emails: [newEmail()] }),
  ];
  const [last, middle, first] = people.map(({ id }) => ({ id }));
  if (!last || !middle || !first) throw new Error('Three people were made.');
  await mergeUsers(g.server, { survivor: middle, merged: first });
  await mergeUsers(g.server, { survivor: last, merged: middle });
  const { rows } = await g.pool.query('select merged_into_id as target from users where id = any($1)', [
    [middle, first].map(({ id }) => localId(id)),
  ]);
  expect(rows).toEqual([{ target: localId(last.id) }, { target: localId(last.id) }]);
  expect(await findProfile(g.server, first)).toMatchObject({ id: last.id });
});

test('a merge by the merged user’s old id is a merge of its survivor', async () => {
  const [survivor, merged, third] = [
    await makePerson(g),
    await makeNameless({ emails: [newEmail()] }),
    await makeNameless({ emails: [newEmail()] }),
  ];
  await mergeUsers(g.server, { survivor: { id: survivor.id }, merged: { id: merged.id } });
  expect(await mergeUsers(g.server, { survivor: { id: merged.id }, merged: { id: third.id } })).toMatchObject({
    user: { id: survivor.id },
  });
  expect(await mergeUsers(g.server, { survivor: { id: survivor.id }, merged: { id: third.id } })).toMatchObject({
    code: 'MERGE_CONFLICT',
    path: ['merged'],
  });
});

test.each(['survivor', 'merged'] as const)('an opt-out of the %s wins, by inbox and by address', async (who) => {
  const people = {
    survivor: await makePerson(g, { emails: [newEmail()] }),
    merged: await makePerson(g, { emails: [newEmail()] }),
  };
  const { externalUserId } = people[who];
  await optOut(g, { externalUserId, channel: 'IN_APP' });
  await optOut(g, { externalUserId, channel: 'EMAIL' });
  await mergeUsers(g.server, {
    survivor: { id: people.survivor.id },
    merged: { id: people.merged.id },
    allowAlias: true,
  });
  const { recipients } = await getProfile(g.server, { externalUserId });
  const isSubscribed = (type: string) =>
    recipients
      .filter(({ __typename }) => __typename === type)
      .map((node) => node.isSubscribed)
      .sort();
  expect(isSubscribed('InAppRecipient')).toEqual([false]);
  expect(isSubscribed('EmailRecipient')).toEqual([false, true]);
});

test('two external user ids are a conflict unless one becomes an alias, which goes on resolving and is not shown', async () => {
  const [survivor, merged] = [await makePerson(g), await makePerson(g)];
  const input = { survivor: { id: survivor.id }, merged: { id: merged.id } };
  const before = await countRows(g);
  expect(await mergeUsers(g.server, input)).toMatchObject({ code: 'MERGE_CONFLICT', path: ['allowAlias'] });
  expect(await countRows(g)).toEqual(before);
  await mergeUsers(g.server, { ...input, allowAlias: true });
  expect(await findProfile(g.server, { externalUserId: merged.externalUserId })).toMatchObject({
    id: survivor.id,
    externalUserId: survivor.externalUserId,
  });
});

test('who personalizes with an alias is the survivor', async () => {
  const [survivor, merged] = [await makePerson(g), await makePerson(g)];
  await mergeUsers(g.server, { survivor: { id: survivor.id }, merged: { id: merged.id }, allowAlias: true });
  const { id } = await makeInstallation(g.app);
  expect(
    await makeUser(g.server, { installation: id, userIdentity: { externalUserId: merged.externalUserId } }),
  ).toMatchObject({
    id: survivor.id,
    externalUserId: survivor.externalUserId,
  });
});

test('the merged user’s external user id becomes the survivor’s, who had none', async () => {
  const [survivor, merged] = [await makeNameless({ emails: [newEmail()] }), await makePerson(g)];
  expect(await mergeUsers(g.server, { survivor: { id: survivor.id }, merged: { id: merged.id } })).toMatchObject({
    user: { id: survivor.id, externalUserId: merged.externalUserId },
  });
});

test('a customer is never merged into a lead; a lead is merged into a customer', async () => {
  const [customer, lead] = [await makePerson(g), await makeInstallation(g.app)];
  const before = await countRows(g);
  expect(await mergeUsers(g.server, { survivor: { id: lead.user.id }, merged: { id: customer.id } })).toMatchObject({
    code: 'MERGE_CONFLICT',
    path: ['survivor'],
  });
  expect(await countRows(g)).toEqual(before);
  expect(await mergeUsers(g.server, { survivor: { id: customer.id }, merged: { id: lead.user.id } })).toMatchObject({
    user: { id: customer.id, type: 'CUSTOMER' },
  });
});

test('a user is not merged with itself, by whatever two names, nor with nobody', async () => {
  const email = newEmail();
  const person = await makePerson(g, { emails: [email] });
  expect(await mergeUsers(g.server, { survivor: { id: person.id }, merged: { email } })).toMatchObject({
    code: 'MERGE_CONFLICT',
    path: ['merged'],
  });
  const nobody = { externalUserId: randomUUID() };
  expect(await mergeUsers(g.server, { survivor: { id: person.id }, merged: nobody })).toMatchObject({
    code: 'NOT_FOUND',
    path: ['merged'],
  });
  expect(await mergeUsers(g.server, { survivor: nobody, merged: { id: person.id } })).toMatchObject({
    code: 'NOT_FOUND',
    path: ['survivor'],
  });
});

test('a user who would have more than 100 e-mail addresses is not made', async () => {
  const [survivor, merged] = [
    await makePerson(g, { emails: Array.from({ length: 60 }, newEmail) }),
    await makeNameless({ emails: Array.from({ length: 41 }, newEmail) }),
  ];
  expect(await mergeUsers(g.server, { survivor: { id: survivor.id }, merged: { id: merged.id } })).toMatchObject({
    code: 'IDENTIFIER_LIMIT_EXCEEDED',
    path: ['merged'],
  });
});

test('of two primary installations of one app, the survivor’s stays; an only one stays', async () => {
  const [survivor, merged, third] = [
    await makePerson(g),
    await makeNameless({ emails: [newEmail()] }),
    await makeNameless({ emails: [newEmail()] }),
  ];
  await makePrimary(g, survivor.installation.pushRegistrationId);
  await makePrimary(g, merged.installation.pushRegistrationId);
  await mergeUsers(g.server, { survivor: { id: third.id }, merged: { id: merged.id } });
  expect(await findProfile(g.server, { id: third.id })).toMatchObject({
    primaryInstallations: [merged.installation.pushRegistrationId],
  });
  await mergeUsers(g.server, { survivor: { id: survivor.id }, merged: { id: third.id } });
  expect(await findProfile(g.server, { id: third.id })).toMatchObject({
    id: survivor.id,
    primaryInstallations: [survivor.installation.pushRegistrationId],
  });
});

test('overrides say for which attributes the merged user’s value wins; custom attributes are united as others (decision 3)', async () => {
  const survivor = await makeNameless({
    emails: [newEmail()],
    userAttributes: { firstName: 'Ann', lastName: 'Smith' },
  });
  const merged = await makeNameless({ emails: [newEmail()], userAttributes: { firstName: 'Anna', lastName: 'Roe' } });
  const setCustom = (id: string, customAttributes: object) =>
    g.db.user.update({ where: { id: localId(id) }, data: { customAttributes } });
  await setCustom(survivor.id, { plan: 'basic', size: 'L' });
  await setCustom(merged.id, { plan: 'pro', size: 'M', pet: 'cat' });
  await mergeUsers(g.server, {
    survivor: { id: survivor.id },
    merged: { id: merged.id },
    // Of what the merged user has no value of, the survivor's stays.
    overrides: { attributes: ['FIRST_NAME', 'TIME_ZONE'], customAttributes: ['plan', 'nothing'] },
  });
  const { customAttributes, ...user } = await g.db.user.findUniqueOrThrow({ where: { id: localId(survivor.id) } });
  expect(user).toMatchObject({ firstName: 'Anna', lastName: 'Smith', timeZone: null });
  expect(customAttributes).toEqual({ plan: 'pro', size: 'L', pet: 'cat' });
});

test('an opt-out of the inbox goes on the survivor’s with its time and with who said it (decision 3)', async () => {
  const [survivor, merged] = [await makePerson(g), await makePerson(g)];
  const inboxOf = (id: string) =>
    g.db.recipient.findFirstOrThrow({ where: { userId: localId(id), channel: 'IN_APP' } });
  const consent = { isSubscribed: false, consentAt: new Date('2026-11-01T10:00:00Z'), consentBy: 'key:somebody' };
  await g.db.recipient.update({ where: { id: (await inboxOf(merged.id)).id }, data: consent });
  await g.db.recipient.update({
    where: { id: (await inboxOf(survivor.id)).id },
    data: { consentAt: new Date(), consentBy: 'key:later' },
  });
  await mergeUsers(g.server, { survivor: { id: survivor.id }, merged: { id: merged.id }, allowAlias: true });
  expect(await inboxOf(survivor.id)).toMatchObject(consent);
});

test('into one user so many are merged a day; what was undone, or absorbed, does not count (decision 6)', async () => {
  const survivor = await makePerson(g);
  const merge = async () => ({
    survivor: { id: survivor.id },
    merged: { id: (await makeNameless({ emails: [newEmail()] })).id },
  });
  const record = await makeMerge(g.server, await merge());
  // As many as there may be but one, from the same day, and some that are no merges, or older.
  await g.pool.query(
    `insert into merge_records (id, survivor_id, merged_id, actor, reason, before, moved, created_at)
     select gen_random_uuid(), survivor_id, merged_id, actor, kind, before, moved, at
     from merge_records, (values ('mergeUsers', now() - interval '23 hours'), ('personalize', now()), ('mergeUsers', now() - interval '25 hours')) as other (kind, at),
       generate_series(1, 98)
     where id = $1`,
    [localId(record)],
  );
  const hundredth = await makeMerge(g.server, await merge());
  expect(await mergeUsers(g.server, await merge())).toMatchObject({ code: 'MERGE_LIMIT_EXCEEDED', path: ['survivor'] });
  await unmergeUsers(g.server, hundredth);
  expect(await mergeUsers(g.server, await merge())).toMatchObject({ user: { id: survivor.id } });
});

const ByOldIds = graphql(`
  query ByOldIds($ids: [ID!]!, $user: UserRef!, $record: ID!) {
    nodes(ids: $ids) { __typename id }
    deliveries(user: $user) { nodes { id user { id } } }
    user(ref: $user) {
      id wasMerged externalUserId externalUserIdAliases
      mergeRecords { nodes { id mergedUserId survivor { id } } }
    }
    mergeRecord(id: $record) {
      mutation actor createdAt undoneAt undoneBy mergedUserId survivor { id } leftBehind { kind }
      moved { identifiers installations recipients segments tombstones attributes tags }
    }
  }
`);

test('a tombstone redirects everywhere: by id, identifier and device, in recipients, deliveries and merge records (decision 4)', async () => {
  const [email, notificationId] = [newEmail(), await insertNotification(g.pool)];
  const [survivor, merged] = [await makePerson(g), await makePerson(g, { emails: [email] })];
  const tombstone = await makePerson(g);
  const earlier = await makeMerge(g.server, { survivor: { id: merged.id }, merged: { id: tombstone.id } });
  const { recipients } = await getProfile(g.server, { id: merged.id });
  const [delivery = ''] = await insertDeliveries(g.pool, { notificationId, userId: localId(merged.id) });
  const record = await makeMerge(g.server, { survivor: { id: survivor.id }, merged: { id: merged.id } });

  const references = [
    { id: merged.id },
    { id: tombstone.id },
    { externalUserId: merged.externalUserId },
    { email },
    { pushRegistrationId: merged.installation.pushRegistrationId },
  ];
  for (const ref of references) expect(await findProfile(g.server, ref)).toMatchObject({ id: survivor.id });
  const ids = [merged.id, ...recipients.map(({ id }) => id)];
  const told = await g.server.run(ByOldIds, { ids, user: { id: merged.id }, record });
  const { recipients: united } = await getProfile(g.server, { id: survivor.id });
  const [inbox] = united.filter(({ __typename }) => __typename === 'InAppRecipient');
  expect(told.nodes.map((node) => node?.id)).toEqual([
    survivor.id,
    ...recipients.map((one) => (one.__typename === 'InAppRecipient' ? inbox?.id : one.id)),
  ]);
  expect(told.deliveries.nodes).toEqual([{ id: globalIdOf('Delivery', delivery), user: { id: survivor.id } }]);
  expect(told.user).toEqual({
    ...{ id: survivor.id, wasMerged: true, externalUserId: survivor.externalUserId },
    externalUserIdAliases: expect.arrayContaining([merged.externalUserId, tombstone.externalUserId]),
    mergeRecords: {
      nodes: expect.arrayContaining([
        { id: record, mergedUserId: merged.id, survivor: { id: survivor.id } },
        { id: earlier, mergedUserId: tombstone.id, survivor: { id: survivor.id } },
      ]),
    },
  });
  expect(told.mergeRecord).toMatchObject({
    ...{
      mutation: 'mergeUsers',
      actor: expect.stringMatching(/^key:/),
      undoneAt: null,
      undoneBy: null,
      leftBehind: [],
    },
    ...{ mergedUserId: merged.id, survivor: { id: survivor.id } },
    // Its installation and the one of who had been merged into it before, and the address.
    moved: { identifiers: 3, installations: 2, recipients: 3, segments: 0, tombstones: 1, attributes: 0, tags: 0 },
  });
});

test('who has only absorbed leads was not merged', async () => {
  const person = await makePerson(g);
  const { id: installation, user } = await makeInstallation(g.app);
  await makeUser(g.server, { installation, userIdentity: { externalUserId: person.externalUserId } });
  const { body } = await g.server.send('query($id: ID!) { user(ref: { id: $id }) { id wasMerged } }', { id: user.id });
  expect(body.data).toEqual({ user: { id: person.id, wasMerged: false } });
});

test('what was merged into a user is recorded, by merges and by absorbed leads', async () => {
  const [survivor, merged] = [await makePerson(g), await makeNameless({ emails: [newEmail()] })];
  const second = await makeInstallation(g.app);
  await makeUser(g.server, { installation: second.id, userIdentity: { externalUserId: survivor.externalUserId } });
  await mergeUsers(g.server, { survivor: { id: survivor.id }, merged: { id: merged.id } });
  const { user } = await g.server.run(MergeRecords, { ref: { id: survivor.id } });
  expect(user?.mergeRecords).toMatchObject({
    totalCount: 2,
    nodes: [
      { mutation: 'personalize', survivor: { id: survivor.id } },
      { mutation: 'mergeUsers', survivor: { id: survivor.id } },
    ],
  });
});

test('merges in both directions at once, of a ring of users, end in one user without an error or a cycle', async () => {
  const people = await Promise.all(Array.from({ length: 8 }, () => makeNameless({ emails: [newEmail()] })));
  const pairs = people.flatMap(({ id }, index) => {
    const next = people[(index + 1) % people.length]?.id ?? id;
    return [
      { survivor: { id }, merged: { id: next } },
      { survivor: { id: next }, merged: { id } },
    ];
  });
  const results = await Promise.all(pairs.map((pair) => mergeUsers(g.server, pair)));
  const kinds = results.map((result) => result?.__typename);
  expect(kinds.filter((kind) => kind === 'MergeUsersPayload')).toHaveLength(people.length - 1);
  expect(kinds.filter((kind) => kind === 'MergeConflictError')).toHaveLength(pairs.length - people.length + 1);
  const { rows } = await g.pool.query(
    'select merged_into_id as target, count(*)::int as count from users where id = any($1) group by merged_into_id order by count',
    [people.map(({ id }) => localId(id))],
  );
  expect(rows).toEqual([
    { target: null, count: 1 },
    { target: expect.any(String), count: people.length - 1 },
  ]);
});

test('only a server key merges', async () => {
  const [survivor, merged] = [await makePerson(g), await makeNameless({ emails: [newEmail()] })];
  const document = `mutation($input: MergeUsersInput!) { mergeUsers(input: $input) { __typename } }`;
  const input = { survivor: { id: survivor.id }, merged: { id: merged.id } };
  for (const client of [g.app, g.app.as(survivor.token)]) {
    expect((await client.send(document, { input })).body.errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
  }
  expect((await findProfile(g.server, { id: merged.id }))?.id).toBe(merged.id);
});
