import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { sql } from '../../src/storage/database.ts';
import { fcmAddress } from '../support/addresses.ts';
import { useApp } from '../support/app.ts';
import { eraseUser } from '../support/erase-operations.ts';
import { depersonalize, makeInstallation, makeUser } from '../support/operations.ts';
import { mergeUsers, unmergeUsers } from '../support/people.ts';
import { listMembers, makeDynamicSegment } from '../support/segments/operations.ts';
import { localIdOf, makeSegment } from '../support/send-operations.ts';

// What is done to people, and which segments they are in afterwards: static ones by hand, dynamic ones by what they are.

const g = useApp({ role: 'gateway' });

/** A person with a tag who can be reached by push. */
async function makeReachable(tag: string) {
  const installation = await makeInstallation(g.server, { platform: 'ANDROID', address: fcmAddress() });
  const externalUserId = randomUUID();
  const user = await makeUser(g.server, {
    installation: installation.pushRegistrationId,
    userIdentity: { externalUserId },
    userAttributes: { tags: [tag] },
  });
  return { id: user.id, externalUserId, installation };
}

/** Two people, and segments that tell them apart; `members` of all of them. */
async function makeScene() {
  const [one, other] = [randomUUID(), randomUUID()];
  const [survivor, merged] = [await makeReachable(one), await makeReachable(other)];
  const segments = {
    hand: await makeSegment(g.server, [merged.id]),
    tagged: await makeDynamicSegment(g.server, {
      all: [{ tag: other }, { not: { inSegment: await makeSegment(g.server, [survivor.id]) } }],
    }),
    reachable: await makeDynamicSegment(g.server, {
      all: [{ any: [{ tag: one }, { tag: other }] }, { isPushReachable: true }],
    }),
    installed: await makeDynamicSegment(g.server, {
      all: [{ tag: other }, { installation: { platform: ['ANDROID'] } }],
    }),
  };
  const members = async () =>
    Object.fromEntries(
      await Promise.all(
        Object.entries(segments).map(async ([name, id]) => [name, await listMembers(g.server, id)] as const),
      ),
    );
  return { survivor, merged, members };
}

test('a merge leaves every membership with the survivor, and an unmerge gives each back', async () => {
  const { survivor, merged, members } = await makeScene();
  const before = await members();
  const all = [survivor.id, merged.id].sort();
  expect(before).toEqual({ hand: [merged.id], tagged: [merged.id], reachable: all, installed: [merged.id] });
  const result = await mergeUsers(g.server, {
    survivor: { id: survivor.id },
    merged: { id: merged.id },
    allowAlias: true,
  });
  // The survivor is in the segment whose members "tagged" leaves out.
  expect(await members()).toEqual({
    hand: [survivor.id],
    tagged: [],
    reachable: [survivor.id],
    installed: [survivor.id],
  });
  const record = result?.__typename === 'MergeUsersPayload' ? (result.mergeRecord?.id ?? '') : '';
  expect(await unmergeUsers(g.server, record)).toMatchObject({ __typename: 'UnmergeUsersPayload' });
  expect(await members()).toEqual(before);
});

test('a depersonalize takes a person out of what holds by the installation, and nothing else', async () => {
  const { survivor, merged, members } = await makeScene();
  await depersonalize(g.server, merged.installation.pushRegistrationId);
  expect(await members()).toEqual({
    hand: [merged.id],
    tagged: [merged.id],
    reachable: [survivor.id],
    installed: [],
  });
});

test('an erased user is in no segment', async () => {
  const { survivor, merged, members } = await makeScene();
  await eraseUser(g.server, { id: merged.id });
  expect(await members()).toEqual({ hand: [], tagged: [], reachable: [survivor.id], installed: [] });
  const { rowCount } = await g.pool.query(
    sql`select from segment_members where user_id = ${localIdOf(merged.id)}::uuid`,
  );
  expect(rowCount).toBe(0);
});
