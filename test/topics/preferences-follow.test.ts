import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { fcmAddress } from '../support/addresses.ts';
import { useApp } from '../support/app.ts';
import { eraseUser } from '../support/erase-operations.ts';
import { depersonalize, makeInstallation, personalize } from '../support/operations.ts';
import { makeMerge, makePerson, unmergeUsers } from '../support/people.ts';
import { listMembers, makeDynamicSegment } from '../support/segments/operations.ts';
import { localIdOf } from '../support/send-operations.ts';
import { deleteTopic, makeTopic, say, track, wordsOn } from '../support/topics.ts';

// What is done to people, and what becomes of what they said of topics and of what they did.

const g = useApp({ role: 'gateway' });

/** Every row of preferences and events of users, as the database has it. */
async function rowsOf(...userIds: string[]) {
  const [preferences, events] = await Promise.all([
    g.db.topicPreference.findMany({
      where: { userId: { in: userIds.map(localIdOf) } },
      orderBy: [{ userId: 'asc' }, { topicId: 'asc' }, { channel: 'asc' }],
      omit: { id: true },
    }),
    g.db.trackedEvent.findMany({ where: { userId: { in: userIds.map(localIdOf) } }, orderBy: { id: 'asc' } }),
  ]);
  return { preferences, events };
}

/** Two people of whom the one has said yes, and the other no by e-mail, of the first topic; of the second the other says no. */
async function makeTwo() {
  const [survivor, merged] = [await makePerson(g), await makePerson(g)];
  const [topic, second, third] = [await makeTopic(g.server), await makeTopic(g.server), await makeTopic(g.server)];
  await say(g.server, { id: survivor.id }, { topic, isSubscribed: true });
  await say(g.server, { id: survivor.id }, { topic: third, channel: 'SMS', isSubscribed: false });
  await say(g.server, { id: merged.id }, { topic, channel: 'EMAIL', isSubscribed: false });
  await say(g.server, { id: merged.id }, { topic: second, isSubscribed: false });
  const merge = () => makeMerge(g.server, { survivor: { id: survivor.id }, merged: { id: merged.id } });
  return { survivor, merged, topic, second, third, merge };
}

describe('a merge (decision 3)', () => {
  test('unites what both have said of topics, and a no always wins', async () => {
    const { survivor, merged, topic, second, third, merge } = await makeTwo();
    await merge();
    for (const ref of [{ id: survivor.id }, { id: merged.id }]) {
      expect(await wordsOn(g.server, ref, topic)).toEqual(['ALL yes', 'EMAIL no']);
      expect(await wordsOn(g.server, ref, second)).toEqual(['ALL no']);
      expect(await wordsOn(g.server, ref, third)).toEqual(['SMS no']);
    }
    expect((await rowsOf(merged.id)).preferences).toEqual([]);
  });

  test('undone (decision 5) leaves every word and every event as it was', async () => {
    const { survivor, merged, merge } = await makeTwo();
    await track(g.server, { id: survivor.id }, 'login');
    await track(g.server, { id: merged.id }, 'purchase');
    const before = await rowsOf(survivor.id, merged.id);
    const record = await merge();
    expect(await rowsOf(survivor.id, merged.id)).not.toEqual(before);
    expect(await unmergeUsers(g.server, record)).toMatchObject({ leftBehind: [] });
    expect(await rowsOf(survivor.id, merged.id)).toEqual(before);
  });

  test('undone keeps what was said since with the survivor, and a no among it with both', async () => {
    const { survivor, merged, topic, second, third, merge } = await makeTwo();
    const [gone, fresh] = [await makeTopic(g.server), await makeTopic(g.server)];
    await say(g.server, { id: merged.id }, { topic: gone, isSubscribed: false });
    const record = await merge();
    await say(g.server, { id: survivor.id }, { topic, channel: 'PUSH', isSubscribed: false });
    await say(g.server, { id: survivor.id }, { topic: second, isSubscribed: true });
    await say(g.server, { id: survivor.id }, { topic: third, channel: 'EMAIL', isSubscribed: true });
    await say(g.server, { id: survivor.id }, { topic: fresh, isSubscribed: false });
    await deleteTopic(g.server, gone);
    const undone = await unmergeUsers(g.server, record);
    expect(undone).toMatchObject({
      leftBehind: expect.arrayContaining([
        { kind: 'TOPIC_PREFERENCE', name: localIdOf(topic), reason: 'CHANGED' },
        { kind: 'TOPIC_PREFERENCE', name: localIdOf(second), reason: 'CHANGED' },
        { kind: 'TOPIC_PREFERENCE', name: localIdOf(gone), reason: 'GONE' },
      ]),
    });
    const words = async (id: string) =>
      Promise.all([topic, second, third, fresh].map((each) => wordsOn(g.server, { id }, each)));
    expect(await words(survivor.id)).toEqual([
      ['ALL yes', 'PUSH no', 'EMAIL no'],
      ['ALL yes'],
      ['EMAIL yes', 'SMS no'],
      ['ALL no'],
    ]);
    expect(await words(merged.id)).toEqual([['PUSH no', 'EMAIL no'], ['ALL no'], [], ['ALL no']]);
  });

  test('of a lead that was absorbed takes what was said at the first prompt with it, and an undo gives it back', async () => {
    const [topic, person, lead] = [await makeTopic(g.server), await makePerson(g), await makeInstallation(g.app)];
    await say(g.app.as(lead.token), null, { topic, isSubscribed: false });
    const result = await personalize(g.server, {
      installation: lead.pushRegistrationId,
      userIdentity: { externalUserId: person.externalUserId },
    });
    expect(await wordsOn(g.server, { id: person.id }, topic)).toEqual(['ALL no']);
    const record = result?.__typename === 'PersonalizePayload' ? (result.mergeRecord?.id ?? '') : '';
    await unmergeUsers(g.server, record);
    expect(await wordsOn(g.server, { id: person.id }, topic)).toEqual([]);
    expect(await wordsOn(g.server, { id: lead.user.id }, topic)).toEqual(['ALL no']);
  });

  test('tells beforehand and afterwards of how many topics something moves', async () => {
    const { survivor, merged, merge } = await makeTwo();
    const { body } = await g.server.send(
      'query($survivor: UserRef!, $merged: UserRef!) { previewMerge(survivor: $survivor, merged: $merged, allowAlias: true) { outcome { moved { topicPreferences } } } }',
      { survivor: { id: survivor.id }, merged: { id: merged.id } },
    );
    expect(body.data).toEqual({ previewMerge: { outcome: { moved: { topicPreferences: 2 } } } });
    const record = await g.server.send('query($id: ID!) { mergeRecord(id: $id) { moved { topicPreferences } } }', {
      id: await merge(),
    });
    expect(record.body.data).toEqual({ mergeRecord: { moved: { topicPreferences: 2 } } });
  });
});

test('who is in a segment of topics and events follows a merge and its undo', async () => {
  const { survivor, merged, second, merge } = await makeTwo();
  const name = `event-${randomUUID()}`;
  await track(g.server, { id: merged.id }, name, { properties: { sku: 'A-7' } });
  await track(g.server, { id: survivor.id }, name);
  const people = [{ event: { name } }, { tag: 'nobody' }];
  const declined = await makeDynamicSegment(g.server, { all: [{ any: people }, { not: { topic: second } }] });
  const bought = await makeDynamicSegment(g.server, { event: { name, count: 2 } });
  const members = async () => [await listMembers(g.server, declined), await listMembers(g.server, bought)];
  expect(await members()).toEqual([[merged.id], []]);
  const record = await merge();
  expect(await members()).toEqual([[survivor.id], [survivor.id]]);
  await unmergeUsers(g.server, record);
  expect(await members()).toEqual([[merged.id], []]);
});

test('a depersonalize leaves words and events with the person, and the installation speaks for nobody else', async () => {
  const [topic, person] = [await makeTopic(g.server), await makePerson(g)];
  await say(g.app.as(person.token), null, { topic, isSubscribed: false });
  await track(g.server, { id: person.id }, 'login');
  const before = await rowsOf(person.id);
  await depersonalize(g.server, person.installation.pushRegistrationId);
  expect(await rowsOf(person.id)).toEqual(before);
  await say(g.app.as(person.token), null, { topic, isSubscribed: true });
  expect(await rowsOf(person.id)).toEqual(before);
});

test('an export tells what a person has said of topics, and has done, before a merge too (decision 10)', async () => {
  const { survivor, merged, topic, merge } = await makeTwo();
  await track(g.server, { id: merged.id }, 'purchase', { properties: { sku: 'A-7' } });
  await merge();
  await track(g.server, { id: survivor.id }, 'login');
  const { body } = await g.server.send('query($user: UserRef!) { exportUser(user: $user) }', {
    user: { id: survivor.id },
  });
  expect(body.data).toMatchObject({
    exportUser: {
      topicPreferences: expect.arrayContaining([
        expect.objectContaining({
          topic: expect.objectContaining({ id: localIdOf(topic) }),
          ...{ channel: 'EMAIL', isSubscribed: false, saidBy: expect.stringMatching(/^key:/) },
        }),
      ]),
      events: [
        { name: 'purchase', properties: { sku: 'A-7' }, userId: localIdOf(merged.id) },
        { name: 'login', userId: localIdOf(survivor.id) },
      ],
    },
  });
});

test('an erase leaves no word and no event, neither of who was merged into the person (decision 10)', async () => {
  const { survivor, merged, merge } = await makeTwo();
  await makeInstallation(g.app.as(survivor.token), { platform: 'ANDROID', address: fcmAddress() });
  await track(g.server, { id: merged.id }, 'purchase');
  await merge();
  await track(g.server, { id: survivor.id }, 'login');
  await eraseUser(g.server, { id: survivor.id });
  expect(await rowsOf(survivor.id, merged.id)).toEqual({ preferences: [], events: [] });
});
