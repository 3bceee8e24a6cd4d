import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { useGatewayAndWorker } from '../support/gateway-and-worker.ts';
import { makeInstallation, makeNotification, settledDeliveries } from '../support/operations.ts';
import { deleteSegment, makeDynamicSegment } from '../support/segments/operations.ts';
import { globalIdOf, makePerson, toSend } from '../support/send-operations.ts';
import { createTopic, deleteTopic, listTopics, makeTopic, say, updateTopic, wordsOn } from '../support/topics.ts';

const g = useGatewayAndWorker();
const missing = globalIdOf('Topic', randomUUID());

test('topics are told in their order, to clients too (rule M8)', async () => {
  const [last, first] = [await makeTopic(g.server, { position: 7 }), await makeTopic(g.server, { position: -1 })];
  const behind = await makeTopic(g.server, { description: 'What is new', isSubscribedByDefault: false });
  const { token } = await makeInstallation(g.app);
  for (const client of [g.server, g.app, g.app.as(token)]) {
    expect((await listTopics(client)).map(({ id }) => id)).toEqual([first, last, behind]);
  }
  expect((await listTopics(g.app)).at(-1)).toMatchObject({
    description: 'What is new',
    isSubscribedByDefault: false,
    position: 8,
  });
});

test('a topic is changed field by field, and its name is nobody else’s', async () => {
  const name = randomUUID();
  const topic = await makeTopic(g.server, { name, description: 'Before' });
  expect(await createTopic(g.server, { name: ` ${name} ` })).toMatchObject({ code: 'NAME_TAKEN', path: ['name'] });
  const renamed = `News ${name}`;
  expect(await updateTopic(g.server, { topic, name: renamed, isSubscribedByDefault: false })).toMatchObject({
    topic: { name: renamed, description: 'Before', isSubscribedByDefault: false },
  });
  expect(await updateTopic(g.server, { topic, description: null, position: 3 })).toMatchObject({
    topic: { name: renamed, description: null, isSubscribedByDefault: false, position: 3 },
  });
  const other = await makeTopic(g.server);
  expect(await updateTopic(g.server, { topic: other, name: renamed })).toMatchObject({ code: 'NAME_TAKEN' });
  expect(await updateTopic(g.server, { topic: other, name: ' ' })).toMatchObject({ code: 'VALUE_INVALID' });
  expect(await updateTopic(g.server, { topic: missing, name: 'x' })).toMatchObject({
    code: 'NOT_FOUND',
    path: ['topic'],
  });
});

test('there are 100 topics at most, whoever makes them at once', async () => {
  const made = await Promise.all(Array.from({ length: 101 }, () => createTopic(g.server)));
  expect((await listTopics(g.server)).length).toBe(100);
  expect(made.at(-1)).toMatchObject({ code: 'LIMIT_EXCEEDED' });
  await g.pool.query('delete from topics');
});

describe('a topic that is deleted', () => {
  test('takes with it what was said of it', async () => {
    const [topic, person] = [await makeTopic(g.server), await makePerson(g.server)];
    await say(g.server, { id: person.id }, { topic, isSubscribed: false });
    expect(await deleteTopic(g.server, topic)).toEqual({ __typename: 'DeleteTopicPayload', deletedTopicId: topic });
    expect(await wordsOn(g.server, { id: person.id }, topic)).toEqual([]);
    expect(await deleteTopic(g.server, topic)).toMatchObject({ code: 'NOT_FOUND', path: ['topic'] });
  });

  test('is in nobody’s filter', async () => {
    const topic = await makeTopic(g.server);
    const segment = await makeDynamicSegment(g.server, { any: [{ tag: 'vip' }, { not: { topic } }] });
    expect(await deleteTopic(g.server, topic)).toMatchObject({
      code: 'STATE_CONFLICT',
      path: ['topic'],
      message: expect.stringMatching(/^The segment .* uses this topic[.]$/),
    });
    await deleteSegment(g.server, segment);
    expect(await deleteTopic(g.server, topic)).toMatchObject({ deletedTopicId: topic });
  });

  test.each([
    ['what it is about', (topic: string) => toSend({ users: [{ externalUserId: 'nobody' }] }, { topic })],
    ['whom it is for', (topic: string) => toSend({ topic })],
    ['whom it is for, by a filter', (topic: string) => toSend({ filter: { all: [{ topic }, { tag: 'none' }] } })],
  ])('is of no notification that is not sent yet: %s', async (_, send) => {
    const topic = await makeTopic(g.server);
    const notification = await makeNotification(g.server, send(topic));
    expect(await deleteTopic(g.server, topic)).toMatchObject({ code: 'STATE_CONFLICT' });
    const worker = await g.startWorker();
    await settledDeliveries(g.server, notification);
    await worker.stop();
    expect(await deleteTopic(g.server, topic)).toMatchObject({ deletedTopicId: topic });
    const { body } = await g.server.send(
      'query($id: ID!) { notification(id: $id) { topic { id } target { topic { id } } } }',
      { id: notification },
    );
    expect(body.data).toEqual({ notification: { topic: null, target: { topic: null } } });
  });
});
