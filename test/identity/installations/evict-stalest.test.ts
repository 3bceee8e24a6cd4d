import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { fcmAddress } from '../../support/addresses.ts';
import { testRules, useApp } from '../../support/app.ts';
import { importInstallations } from '../../support/installation-operations.ts';
import { makeInstallation, makeUser, personalize } from '../../support/operations.ts';
import { getProfile, mergeUsers } from '../../support/people.ts';
import { endsOfPushes, queuePushes } from '../../support/queued-pushes.ts';

const installationsPerUserMax = 3;
const g = useApp({ rules: { ...testRules, installationsPerUserMax } });

/** An installation that was seen so many minutes ago, logged in as a person if one is named. */
async function makeSeen(minutesAgo: number, externalUserId?: string): Promise<string> {
  const { pushRegistrationId: id } = await makeInstallation(g.app);
  await g.db.installation.update({ where: { id }, data: { lastSeenAt: new Date(Date.now() - minutesAgo * 60_000) } });
  if (externalUserId) await makeUser(g.server, { installation: id, userIdentity: { externalUserId } });
  return id;
}

/** Somebody with as many installations as a user may have; the first one was seen least lately. */
async function makeFull() {
  const externalUserId = randomUUID();
  const installations: string[] = [];
  for (const minutesAgo of [30, 20, 10]) installations.push(await makeSeen(minutesAgo, externalUserId));
  const [stalest = ''] = installations;
  return { externalUserId, stalest, rest: installations.slice(1) };
}

const installationsOf = async (externalUserId: string) =>
  (await getProfile(g.server, { externalUserId })).installations;

test('one installation too many logs the one that was seen least lately out, as a logout does (decision 6)', async () => {
  const { externalUserId, stalest, rest } = await makeFull();
  const queued = await queuePushes(g, stalest);
  const fresh = await makeSeen(0, externalUserId);
  expect(await installationsOf(externalUserId)).toEqual([...rest, fresh].sort());
  expect(await getProfile(g.server, { pushRegistrationId: stalest })).toMatchObject({
    ...{ type: 'LEAD', externalUserId: null },
    installations: [stalest],
  });
  expect(await endsOfPushes(g, queued)).toEqual([
    ['CANCELLED', 'DEPERSONALIZED'],
    ['QUEUED', null],
  ]);
});

test('it is never the one that logs in, however long ago it was seen', async () => {
  const { externalUserId, rest } = await makeFull();
  const old = await makeSeen(10_000, externalUserId);
  expect(await installationsOf(externalUserId)).toEqual([...rest, old].sort());
});

test('it is so also when the installation comes from somebody else; of two seen at once the first by id goes', async () => {
  const { externalUserId, stalest, rest } = await makeFull();
  const [next = ''] = rest;
  const lastSeenAt = new Date(Date.now() - 3_600_000);
  await g.db.installation.updateMany({ where: { id: { in: [stalest, next] } }, data: { lastSeenAt } });
  const comes = await makeSeen(0, randomUUID());
  const userIdentity = { externalUserId };
  await makeUser(g.server, { installation: comes, userIdentity, forceDepersonalize: true });
  const [first = '', second = ''] = [stalest, next].sort();
  const left = await installationsOf(externalUserId);
  expect([left.includes(comes), left.includes(second), left.includes(first)]).toEqual([true, true, false]);
});

test('who logs in again as the same person logs nobody out', async () => {
  const { externalUserId, stalest, rest } = await makeFull();
  await makeUser(g.server, { installation: stalest, userIdentity: { externalUserId } });
  expect(await installationsOf(externalUserId)).toEqual([stalest, ...rest].sort());
});

test('a merge logs nobody out, as it can be undone; the next login makes up for it', async () => {
  const [survivor, merged] = [await makeFull(), await makeFull()];
  const { externalUserId } = survivor;
  await mergeUsers(g.server, {
    survivor: { externalUserId },
    merged: { externalUserId: merged.externalUserId },
    allowAlias: true,
  });
  expect(await installationsOf(externalUserId)).toHaveLength(6);
  const fresh = await makeSeen(0, externalUserId);
  const left = await installationsOf(externalUserId);
  expect(left).toHaveLength(installationsPerUserMax);
  expect(left).toContain(fresh);
});

test('an import evicts what was seen least lately too', async () => {
  const { externalUserId, stalest, rest } = await makeFull();
  const one = { user: { externalUserId }, platform: 'ANDROID' as const, address: fcmAddress() };
  await importInstallations(g.server, [{ ...one, subscribedAt: '2020-01-01T00:00:00Z' }]);
  const left = await installationsOf(externalUserId);
  expect(left).toHaveLength(installationsPerUserMax);
  expect(left).toEqual(expect.arrayContaining(rest));
  expect(left).not.toContain(stalest);
});

test('however many log in at once, none is refused and no more stay than may be', async () => {
  const externalUserId = randomUUID();
  const installations = await Promise.all(Array.from({ length: 12 }, () => makeSeen(0)));
  const results = await Promise.all(
    installations.map((installation) => personalize(g.server, { installation, userIdentity: { externalUserId } })),
  );
  expect(results.map((result) => result?.__typename)).toEqual(installations.map(() => 'PersonalizePayload'));
  expect(await installationsOf(externalUserId)).toHaveLength(installationsPerUserMax);
});
