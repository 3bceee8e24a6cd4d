import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { sql } from '../../src/storage/database.ts';
import type { SendNotificationInput } from '../generated/graphql.ts';
import { fcmAddress, newEmail } from '../support/addresses.ts';
import { countMade, previewAudience, toLines } from '../support/audience-preview.ts';
import { useGatewayAndWorker } from '../support/gateway-and-worker.ts';
import { makeInstallation, makeNotification, sendNotification, settledDeliveries } from '../support/operations.ts';
import { localIdOf, makePerson, makeSegment, toSend } from '../support/send-operations.ts';

const g = useGatewayAndWorker();

/** People with every fate that a recipient may have. */
async function makeCrowd() {
  const tag = randomUUID();
  const people = await Promise.all(
    Array.from({ length: 6 }, () => makePerson(g.server, { emails: [newEmail(), newEmail()] })),
  );
  const ids = people.map(({ id }) => localIdOf(id));
  await g.pool.query(sql`update users set tags = ${[tag]}::text[] where id = any(${ids}::uuid[])`);
  await g.pool.query(
    sql`update recipients set is_subscribed = false where channel = 'EMAIL' and user_id = ${ids[0]}::uuid`,
  );
  await g.pool.query(sql`update installations set push_status = 'BLOCKED' where user_id = ${ids[1]}::uuid`);
  await g.pool.query(
    sql`update installations set is_push_registration_enabled = false where user_id = ${ids[2]}::uuid`,
  );
  return { tag, people };
}

test('a preview counts by channel what a fan-out makes then, and why who is left out (rule N7)', async () => {
  const { tag, people } = await makeCrowd();
  const [first, second, third] = people.map(({ id }) => id);
  const other = await makeInstallation(g.app);
  const target = {
    filter: { tag },
    users: [{ id: second ?? '' }, { externalUserId: 'nobody' }],
    installations: [people[2]?.installation.pushRegistrationId ?? '', other.pushRegistrationId, randomUUID()],
    excludeSegments: [await makeSegment(g.server, [first ?? ''])],
  };
  const before = await g.db.delivery.count();
  for (const [channels, onePerUser] of [
    [['PUSH', 'EMAIL', 'SMS'], false],
    [null, false],
    [['PUSH', 'EMAIL'], true],
  ] as const) {
    const preview = await previewAudience(g.server, { target, channels: channels ? [...channels] : null, onePerUser });
    expect(preview).toMatchObject({ users: 5, unknownUsers: 1 });
    expect(await g.db.delivery.count()).toBe(before);
    const notification = await makeNotification(
      g.server,
      toSend(target, { channels: channels ? [...channels] : null, onePerUser }),
    );
    const worker = await g.startWorker();
    const { progress } = await settledDeliveries(g.server, notification);
    await worker.stop();
    expect(preview.total).toBe(progress.total);
    expect(toLines(preview)).toEqual(await countMade(g.pool, notification));
    await g.pool.query(sql`truncate deliveries`);
  }
  expect(third).toBeDefined();
});

test('a preview obeys the limit, named users first', async () => {
  const { tag, people } = await makeCrowd();
  const target = { filter: { tag }, users: [{ id: people[5]?.id ?? '' }], limit: 3 };
  expect(await previewAudience(g.server, { target, channels: ['EMAIL'] })).toMatchObject({ users: 3, total: 6 });
});

test('a preview of nobody is refused, and one of everyone counts all', async () => {
  const { body } = await g.server.send('query { previewAudience(target: {}) { total } }');
  expect(body.errors?.[0]?.extensions).toMatchObject({ reason: 'TARGET_EMPTY', inputPath: ['target'] });
  const { rows } = await g.pool.query<{ count: number }>(sql`
    select count(*)::int as count from users where merged_into_id is null`);
  expect(await previewAudience(g.server, { target: { everyone: true }, channels: ['SMS'] })).toMatchObject({
    users: rows[0]?.count,
  });
});

test.each<[string, Partial<SendNotificationInput>, string, string[]]>([
  [
    'a topic that there is not',
    { topic: 'VG9waWM6MDAwMDAwMDAtMDAwMC03MDAwLTgwMDAtMDAwMDAwMDAwMDAw' },
    'NOT_FOUND',
    ['topic'],
  ],
  ['no channel', { channels: [] }, 'VALUE_INVALID', ['channels']],
  ['installations by another channel than push', { channels: ['EMAIL'] }, 'VALUE_INVALID', ['channels']],
])('a preview of %s is refused as the send would be', async (_, rest, reason, inputPath) => {
  const { pushRegistrationId } = await makeInstallation(g.app);
  const variables = { target: { installations: [pushRegistrationId] }, ...rest };
  const { body } = await g.server.send(
    `query($target: NotificationTargetInput!, $channels: [Channel!], $topic: ID) {
      previewAudience(target: $target, channels: $channels, topic: $topic) { total }
    }`,
    variables,
  );
  expect(body.errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', reason, inputPath } }]);
  const sent = await sendNotification(g.server, toSend(variables.target, rest));
  expect(sent).toMatchObject({ code: reason, path: inputPath });
});

test('a preview counts a reference that names nobody once, and nothing more of who is sent to by an installation already', async () => {
  const { id, installation } = await makePerson(g.server, { emails: [newEmail()] });
  const installations = [installation.pushRegistrationId];
  const nobody = { externalUserId: 'nobody' };
  const twice = await previewAudience(g.server, { target: { users: [nobody, nobody] } });
  expect(twice).toMatchObject({ unknownUsers: 1, total: 1 });
  const first = await previewAudience(g.server, {
    target: { users: [{ id }], installations },
    orchestration: 'PREFERRED',
  });
  expect(toLines(first)).toEqual(['PUSH 1']);
  const second = await makeInstallation(g.app, { platform: 'ANDROID', address: fcmAddress() });
  await g.pool.query(sql`
    update installations set user_id = ${localIdOf(id)}::uuid where id = ${second.pushRegistrationId}::uuid`);
  await g.pool.query(sql`
    update recipients set user_id = ${localIdOf(id)}::uuid where installation_id = ${second.pushRegistrationId}::uuid`);
  const request = { target: { users: [{ id }], installations }, channels: ['PUSH' as const] };
  expect(toLines(await previewAudience(g.server, request))).toEqual(['PUSH 2']);
  expect(toLines(await previewAudience(g.server, { ...request, onePerUser: true }))).toEqual(['PUSH 1']);
});
