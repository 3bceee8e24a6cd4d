import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { graphql } from '../../generated/gql.ts';
import type { PreviewMergeQueryVariables } from '../../generated/graphql.ts';
import { newEmail, newPhone } from '../../support/addresses.ts';
import { useApp } from '../../support/app.ts';
import { makeUser } from '../../support/operations.ts';
import { countRows, getProfile, makeMerge, makePerson, mergeUsers, optOut } from '../../support/people.ts';
import { localIdOf, makeSegment } from '../../support/send-operations.ts';

const g = useApp({ role: 'gateway' });

const Preview = graphql(`
  query PreviewMerge($survivor: UserRef!, $merged: UserRef!, $allowAlias: Boolean! = false, $overrides: MergeOverridesInput) {
    previewMerge(survivor: $survivor, merged: $merged, allowAlias: $allowAlias, overrides: $overrides) {
      refusal { code message path }
      survivor { id }
      merged { id }
      outcome {
        attributes { name isCustom value source }
        tags { name source }
        identifiers { kind value isAlias source }
        moved { identifiers installations recipients segments tombstones attributes tags }
        optOuts { channel address source }
      }
    }
  }
`);

const preview = async (variables: PreviewMergeQueryVariables) => (await g.server.run(Preview, variables)).previewMerge;

async function makeSomebody(userAttributes: object, customAttributes: object) {
  const [email, phone] = [newEmail(), newPhone()];
  const person = await makePerson(g, { emails: [email], phones: [phone] });
  const { externalUserId, installation } = person;
  await makeUser(g.server, { installation: installation.id, userIdentity: { externalUserId }, userAttributes });
  await g.db.user.update({ where: { id: localIdOf(person.id) }, data: { customAttributes } });
  return { ...person, email, phone };
}

test('a preview tells what the merge then does, and writes nothing (decision 5)', async () => {
  const survivor = await makeSomebody({ firstName: 'Ann', tags: ['a', 'b'] }, { plan: 'basic', seats: '3' });
  const merged = await makeSomebody(
    { firstName: 'Anna', lastName: 'Smith', birthday: '1968-02-10', tags: ['b', 'c'] },
    { plan: 'pro', vip: true, seats: '4' },
  );
  await makeSegment(g.server, [merged.id]);
  await optOut(g, { externalUserId: merged.externalUserId, channel: 'IN_APP' });
  await optOut(g, { externalUserId: survivor.externalUserId, channel: 'EMAIL' });
  const input = {
    survivor: { id: survivor.id },
    merged: { id: merged.id },
    allowAlias: true,
    overrides: { attributes: ['FIRST_NAME' as const], customAttributes: ['plan'] },
  };
  const before = await countRows(g);
  const told = await preview(input);
  expect(await countRows(g)).toEqual(before);
  expect(told).toEqual({
    ...{ refusal: null, survivor: { id: survivor.id }, merged: { id: merged.id } },
    outcome: {
      attributes: [
        { name: 'firstName', isCustom: false, value: 'Anna', source: 'MERGED' },
        { name: 'lastName', isCustom: false, value: 'Smith', source: 'MERGED' },
        { name: 'birthday', isCustom: false, value: '1968-02-10', source: 'MERGED' },
        { name: 'plan', isCustom: true, value: 'pro', source: 'MERGED' },
        { name: 'seats', isCustom: true, value: '3', source: 'SURVIVOR' },
        { name: 'vip', isCustom: true, value: 'true', source: 'MERGED' },
      ],
      tags: [
        { name: 'a', source: 'SURVIVOR' },
        { name: 'b', source: 'BOTH' },
        { name: 'c', source: 'MERGED' },
      ],
      identifiers: expect.arrayContaining([
        { kind: 'EXTERNAL_USER_ID', value: survivor.externalUserId, isAlias: false, source: 'SURVIVOR' },
        { kind: 'EXTERNAL_USER_ID', value: merged.externalUserId, isAlias: true, source: 'MERGED' },
        { kind: 'EMAIL', value: merged.email, isAlias: false, source: 'MERGED' },
      ]),
      moved: { identifiers: 3, installations: 1, recipients: 3, segments: 1, tombstones: 0, attributes: 5, tags: 1 },
      optOuts: [
        { channel: 'EMAIL', address: survivor.email, source: 'SURVIVOR' },
        { channel: 'IN_APP', address: null, source: 'MERGED' },
      ],
    },
  });

  const record = await makeMerge(g.server, input);
  expect(await getProfile(g.server, { id: survivor.id })).toMatchObject({
    ...{ firstName: 'Anna', lastName: 'Smith', birthday: '1968-02-10', tags: ['a', 'b', 'c'] },
    emails: [survivor.email, merged.email].sort(),
  });
  const { body } = await g.server.send(
    'query($id: ID!) { mergeRecord(id: $id) { moved { identifiers installations recipients segments tombstones attributes tags } } }',
    { id: record },
  );
  expect(body.data).toEqual({ mergeRecord: { moved: told.outcome?.moved } });
});

test('a preview says why a merge would be refused, as the merge does', async () => {
  const [ann, bob] = [await makePerson(g), await makePerson(g)];
  const refused = [
    { survivor: { id: ann.id }, merged: { id: bob.id } },
    { survivor: { id: ann.id }, merged: { externalUserId: ann.externalUserId } },
    { survivor: { id: ann.id }, merged: { externalUserId: randomUUID() } },
    { survivor: { email: 'nobody' }, merged: { id: bob.id } },
  ];
  const codes = [];
  for (const input of refused) {
    const { refusal, outcome } = await preview({ ...input, allowAlias: false });
    expect(outcome).toBeNull();
    expect(await mergeUsers(g.server, input)).toMatchObject({ ...refusal });
    codes.push(refusal?.code);
  }
  expect(codes).toEqual(['MERGE_CONFLICT', 'MERGE_CONFLICT', 'NOT_FOUND', 'EMAIL_INVALID']);
});
