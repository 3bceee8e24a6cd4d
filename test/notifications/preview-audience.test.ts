import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { sql } from '../../src/storage/database.ts';
import { graphql } from '../generated/gql.ts';
import type { PreviewOfAudienceQueryVariables } from '../generated/graphql.ts';
import { newEmail } from '../support/addresses.ts';
import { useGatewayAndWorker } from '../support/gateway-and-worker.ts';
import { makeInstallation, makeNotification, settledDeliveries } from '../support/operations.ts';
import { localIdOf, makePerson, makeSegment, toSend } from '../support/send-operations.ts';

const g = useGatewayAndWorker();

const Preview = graphql(`
  query PreviewOfAudience($target: NotificationTargetInput!, $channels: [Channel!], $onePerUser: Boolean) {
    previewAudience(target: $target, channels: $channels, onePerUser: $onePerUser) {
      users unknownUsers total countedAt channels { channel reachable leftOut { reason count } }
    }
  }
`);
const previewOf = async (variables: PreviewOfAudienceQueryVariables) =>
  (await g.server.run(Preview, variables)).previewAudience;

/** As a preview tells it, from what a fan-out has made. */
async function countMade(notification: string) {
  const { rows } = await g.pool.query<{ line: string }>(sql`
    select concat_ws(' ', channel, reason, count(*)) as line from deliveries
    where notification_id = ${localIdOf(notification)}::uuid group by channel, reason`);
  return rows.map(({ line }) => line).sort();
}

const toLines = ({ channels }: NonNullable<Awaited<ReturnType<typeof previewOf>>>) =>
  channels
    .flatMap(({ channel, reachable, leftOut }) => [
      ...(reachable > 0 ? [`${channel} ${reachable}`] : []),
      ...leftOut.map(({ reason, count }) => `${channel} ${reason} ${count}`),
    ])
    .sort();

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
    const preview = await previewOf({ target, channels: channels ? [...channels] : null, onePerUser });
    expect(preview).toMatchObject({ users: 5, unknownUsers: 1 });
    expect(await g.db.delivery.count()).toBe(before);
    const notification = await makeNotification(
      g.server,
      toSend(target, { channels: channels ? [...channels] : null, onePerUser }),
    );
    const worker = await g.startWorker();
    const { progress } = await settledDeliveries(g.server, notification);
    await worker.stop();
    expect(preview?.total).toBe(progress.total);
    const made = (await countMade(notification)).filter((line) => !line.startsWith('UNKNOWN_USER'));
    expect(toLines(preview as never)).toEqual(made);
    await g.pool.query(sql`truncate deliveries`);
  }
  expect(third).toBeDefined();
});

test('a preview obeys the limit, named users first', async () => {
  const { tag, people } = await makeCrowd();
  const target = { filter: { tag }, users: [{ id: people[5]?.id ?? '' }], limit: 3 };
  expect(await previewOf({ target, channels: ['EMAIL'] })).toMatchObject({ users: 3, total: 6 });
});

test('a preview of nobody is refused, and one of everyone counts all', async () => {
  const { body } = await g.server.send('query { previewAudience(target: {}) { total } }');
  expect(body.errors?.[0]?.extensions).toMatchObject({ reason: 'TARGET_EMPTY', inputPath: ['target'] });
  const { rows } = await g.pool.query<{ count: number }>(sql`
    select count(*)::int as count from users where merged_into_id is null`);
  expect(await previewOf({ target: { everyone: true }, channels: ['SMS'] })).toMatchObject({ users: rows[0]?.count });
});
