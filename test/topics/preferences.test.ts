import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { newEmail, newPhone } from '../support/addresses.ts';
import { useGatewayAndWorker } from '../support/gateway-and-worker.ts';
import { makeNotification, settledDeliveries } from '../support/operations.ts';
import { getRecipient, updateRecipient } from '../support/recipients.ts';
import { globalIdOf, localIdOf, makePerson, mergeUsers, toSend } from '../support/send-operations.ts';
import { makeTopic, say, setTopicPreferences, updateTopic, wordsOn } from '../support/topics.ts';
import { until } from '../support/until.ts';

const g = useGatewayAndWorker();

const makeReachable = () => makePerson(g.server, { emails: [newEmail()], phones: [newPhone()] });

/** What becomes of a notification once it was sent: `<channel> <status> <reason>`, sorted. */
async function fatesOf(notification: string): Promise<string[]> {
  const { deliveries } = await settledDeliveries(g.server, notification);
  return deliveries.nodes.map(({ channel, status, reason }) => [channel, status, reason].join(' ').trim()).sort();
}

async function send(...input: Parameters<typeof toSend>): Promise<string[]> {
  const notification = await makeNotification(g.server, toSend(...input));
  const worker = await g.startWorker();
  const fates = await fatesOf(notification);
  await worker.stop();
  return fates;
}

describe('rule M8: preferences', () => {
  test('of a topic are obeyed by channel, what was said of all where nothing was said of one', async () => {
    const [topic, person] = [await makeTopic(g.server), await makeReachable()];
    await say(g.server, { id: person.id }, { topic, isSubscribed: false });
    await say(g.server, { id: person.id }, { topic, channel: 'EMAIL', isSubscribed: true });
    expect(await send({ users: [{ id: person.id }] }, { topic })).toEqual([
      'EMAIL SENT',
      'IN_APP DISCARDED TOPIC_OPTED_OUT',
      'PUSH DISCARDED TOPIC_OPTED_OUT',
      'SMS DISCARDED TOPIC_OPTED_OUT',
    ]);
  });

  test('are told apart for two channels to the same phone', async () => {
    const [topic, person] = [await makeTopic(g.server), await makeReachable()];
    await say(g.server, { id: person.id }, { topic, channel: 'WHATSAPP', isSubscribed: false });
    expect(await send({ users: [{ id: person.id }] }, { topic, channels: ['SMS', 'WHATSAPP'] })).toEqual([
      'SMS SENT',
      'WHATSAPP DISCARDED TOPIC_OPTED_OUT',
    ]);
  });

  test('of which nothing was said are the topic’s default', async () => {
    const topic = await makeTopic(g.server, { isSubscribedByDefault: false });
    const [silent, keen] = [await makePerson(g.server), await makePerson(g.server)];
    await say(g.server, { id: keen.id }, { topic, channel: 'PUSH', isSubscribed: true });
    const toBoth = () => send({ users: [{ id: silent.id }, { id: keen.id }] }, { topic, channels: ['PUSH'] });
    expect(await toBoth()).toEqual(['PUSH DISCARDED TOPIC_OPTED_OUT', 'PUSH SENT']);
    await updateTopic(g.server, { topic, isSubscribedByDefault: true });
    expect(await toBoth()).toEqual(['PUSH SENT', 'PUSH SENT']);
  });

  test('come after the recipient’s opt-out, and TRANSACTIONAL passes over them only', async () => {
    const [topic, person] = [await makeTopic(g.server), await makeReachable()];
    await say(g.server, { id: person.id }, { topic, isSubscribed: false });
    const { id: recipient } = await getRecipient(g.server, { id: person.id, channel: 'EMAIL' });
    await updateRecipient(g.server, { recipient, isSubscribed: false });
    const target = { users: [{ id: person.id }] };
    const channels = ['EMAIL', 'SMS'] as const;
    const about = { topic, channels: [...channels] };
    expect(await send(target, about)).toEqual(['EMAIL DISCARDED OPTED_OUT', 'SMS DISCARDED TOPIC_OPTED_OUT']);
    expect(await send(target, { ...about, purpose: 'TRANSACTIONAL' })).toEqual([
      'EMAIL DISCARDED OPTED_OUT',
      'SMS SENT',
    ]);
  });

  test('make a message with a topic MARKETING, unless it says otherwise', async () => {
    const topic = await makeTopic(g.server);
    const target = { users: [{ externalUserId: randomUUID() }] };
    const purposeOf = async (rest: Parameters<typeof toSend>[1]) => {
      const id = await makeNotification(g.server, toSend(target, rest));
      return (await g.db.notification.findUniqueOrThrow({ where: { id: localIdOf(id) } })).purpose;
    };
    expect(await purposeOf({ topic })).toBe('MARKETING');
    expect(await purposeOf({ topic, purpose: 'TRANSACTIONAL' })).toBe('TRANSACTIONAL');
    expect(await purposeOf({})).toBe('TRANSACTIONAL');
  });

  test('are obeyed where an installation is meant itself, too', async () => {
    const [topic, person] = [await makeTopic(g.server), await makePerson(g.server)];
    await say(g.server, { id: person.id }, { topic, channel: 'PUSH', isSubscribed: false });
    const target = { installations: [person.installation.pushRegistrationId] };
    expect(await send(target, { topic })).toEqual(['PUSH DISCARDED TOPIC_OPTED_OUT']);
    expect(await send(target)).toEqual(['PUSH SENT']);
  });

  test.each([
    'says it',
    'is merged into who has said it',
  ])('count right before the send, of who %s when it is queued', async (how) => {
    const [topic, person, survivor] = [
      await makeTopic(g.server),
      await makePerson(g.server),
      await makePerson(g.server),
    ];
    await say(g.server, { id: survivor.id }, { topic, isSubscribed: false });
    await g.pool.query(`
        create or replace function put_off() returns trigger language plpgsql as
        $$ begin new.next_attempt_at = now() + interval '1 hour'; return new; end $$;
        create or replace trigger put_off before insert on deliveries for each row execute function put_off()`);
    const channels = ['PUSH', 'IN_APP'] as const;
    const notification = await makeNotification(
      g.server,
      toSend({ users: [{ id: person.id }] }, { topic, channels: [...channels] }),
    );
    const about = { notificationId: localIdOf(notification), status: 'QUEUED' as const };
    await g.startWorker();
    await until(async () => (await g.db.delivery.count({ where: about })) === 2);
    if (how === 'says it') await say(g.server, { id: person.id }, { topic, isSubscribed: false });
    else await mergeUsers(g.server, { survivor: survivor.id, merged: person.id });
    await g.pool.query(`drop trigger put_off on deliveries; update deliveries set next_attempt_at = now()`);
    expect(await fatesOf(notification)).toEqual(['IN_APP DISCARDED TOPIC_OPTED_OUT', 'PUSH DISCARDED TOPIC_OPTED_OUT']);
  });

  test('are an audience: a target is who is subscribed to its topic', async () => {
    const topic = await makeTopic(g.server, { isSubscribedByDefault: false });
    const people = await Promise.all([makePerson(g.server), makePerson(g.server), makePerson(g.server)]);
    const [keen, byEmail] = people.map(({ id }) => id);
    await say(g.server, { id: keen ?? '' }, { topic, isSubscribed: true });
    await say(g.server, { id: byEmail ?? '' }, { topic, channel: 'EMAIL', isSubscribed: true });
    const notification = await makeNotification(g.server, toSend({ topic }, { topic, channels: ['PUSH'] }));
    await g.startWorker();
    const { deliveries } = await settledDeliveries(g.server, notification);
    const told = deliveries.nodes.map(({ user, status, reason }) => `${user?.id} ${status} ${reason}`).sort();
    expect(told).toEqual([`${keen} SENT null`, `${byEmail} DISCARDED TOPIC_OPTED_OUT`].sort());
  });
});

describe('setTopicPreferences', () => {
  const missing = globalIdOf('Topic', randomUUID());

  test('is for an installation too, of its own user only, also where an app is SERVER_ONLY', async () => {
    const [topic, person, other] = [await makeTopic(g.server), await makePerson(g.server), await makePerson(g.server)];
    const client = g.app.as(person.installation.token);
    const preferences = [
      { topic, channel: 'SMS' as const, isSubscribed: false },
      { topic, channel: 'PUSH' as const, isSubscribed: true },
    ];
    expect(await setTopicPreferences(client, { preferences })).toMatchObject({
      user: { id: person.id, topicPreferences: [{ channel: 'PUSH' }, { channel: 'SMS', saidAt: expect.any(String) }] },
    });
    expect(await setTopicPreferences(client, { user: { id: person.id }, preferences })).toMatchObject({
      __typename: 'SetTopicPreferencesPayload',
    });
    for (const user of [{ id: other.id }, { externalUserId: randomUUID() }]) {
      expect(await setTopicPreferences(client, { user, preferences })).toMatchObject({
        code: 'NOT_FOUND',
        path: ['user'],
      });
    }
    expect(await wordsOn(g.server, { id: person.id }, topic)).toEqual(['PUSH yes', 'SMS no']);
    expect(await wordsOn(g.server, { id: other.id }, topic)).toEqual([]);
    const { saidBy } = await g.db.topicPreference.findFirstOrThrow({ where: { userId: localIdOf(person.id) } });
    expect(saidBy).toBe(`installation:${person.installation.pushRegistrationId}`);
  });

  test('writes all or nothing, and the last word counts', async () => {
    const [topic, person] = [await makeTopic(g.server), await makePerson(g.server)];
    const user = { id: person.id };
    const yes = { topic, isSubscribed: true };
    expect(
      await setTopicPreferences(g.server, { user, preferences: [yes, { topic: missing, isSubscribed: true }] }),
    ).toMatchObject({ code: 'NOT_FOUND', path: ['preferences', '1', 'topic'] });
    expect(await wordsOn(g.server, user, topic)).toEqual([]);
    await setTopicPreferences(g.server, { user, preferences: [yes, { ...yes, isSubscribed: false }] });
    expect(await wordsOn(g.server, user, topic)).toEqual(['ALL no']);
  });

  test('names somebody, and not too much at once', async () => {
    const topic = await makeTopic(g.server);
    const yes = { topic, isSubscribed: true };
    expect(await setTopicPreferences(g.server, { preferences: [yes] })).toMatchObject({
      code: 'VALUE_INVALID',
      path: ['user'],
    });
    const user = { externalUserId: randomUUID() };
    expect(await setTopicPreferences(g.server, { user, preferences: [yes] })).toMatchObject({ code: 'NOT_FOUND' });
    const preferences = Array.from({ length: 1_001 }, () => yes);
    expect(await setTopicPreferences(g.server, { user, preferences })).toMatchObject({
      code: 'LIMIT_EXCEEDED',
      path: ['preferences'],
    });
  });

  test('of one topic by many at once leaves one word for each channel', async () => {
    const [topic, person] = [await makeTopic(g.server), await makePerson(g.server)];
    const channels = [null, 'EMAIL', 'SMS'] as const;
    await Promise.all(
      Array.from({ length: 12 }, (_, index) =>
        say(
          g.server,
          { id: person.id },
          { topic, channel: channels[index % 3] ?? null, isSubscribed: index % 2 === 0 },
        ),
      ),
    );
    const rows = await g.db.topicPreference.findMany({ where: { userId: localIdOf(person.id) } });
    expect(new Set(rows.map(({ channel }) => channel)).size).toBe(rows.length);
  });
});
