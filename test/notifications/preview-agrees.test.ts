import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { sql } from '../../src/storage/database.ts';
import type { AudienceFilter, SendNotificationInput } from '../generated/graphql.ts';
import { fcmAddress, newEmail, newPhone } from '../support/addresses.ts';
import { countMade, previewAudience, toLines } from '../support/audience-preview.ts';
import { useGatewayAndWorker } from '../support/gateway-and-worker.ts';
import { makeApp } from '../support/make-app.ts';
import { makeInstallation, makeNotification, personalize } from '../support/operations.ts';
import { createRandom, type Random } from '../support/random.ts';
import { makeDynamicSegment } from '../support/segments/operations.ts';
import { globalIdOf, localIdOf, makePerson, makeSegment, toSend } from '../support/send-operations.ts';
import { makeTopic, say } from '../support/topics.ts';
import { until } from '../support/until.ts';

const g = useGatewayAndWorker();

const platforms = ['WEB', 'IOS', 'ANDROID'] as const;
const channels = ['PUSH', 'EMAIL', 'SMS', 'WHATSAPP', 'IN_APP'] as const;

/** Some of several. */
const someOf = <Item>(random: Random, items: readonly Item[], max: number): Item[] =>
  random.shuffle(items).slice(0, random.integer(0, max));

/** People of two apps, with and without each kind of address, of whom some want, or can get, nothing. */
async function makeWorld(random: Random) {
  const other = await makeApp(g);
  const [tag, wanted, unwanted] = [
    randomUUID(),
    await makeTopic(g.server),
    await makeTopic(g.server, { isSubscribedByDefault: false }),
  ];
  const people: { id: string; externalUserId: string }[] = [];
  const installations: string[] = [];
  for (const _ of Array(10)) {
    const emails = Array.from({ length: random.integer(0, 2) }, () => newEmail());
    const phones = Array.from({ length: random.integer(0, 2) }, () => newPhone());
    const person = await makePerson(g.server, { emails, phones });
    const externalUserId = person.externalUserId ?? '';
    people.push({ id: person.id, externalUserId });
    installations.push(person.installation.pushRegistrationId);
    for (const _ of Array(random.integer(0, 2))) {
      const { pushRegistrationId } = await makeInstallation(g.app, {
        platform: 'ANDROID',
        address: fcmAddress(),
      });
      await personalize(g.server, { installation: pushRegistrationId, userIdentity: { externalUserId } });
      installations.push(pushRegistrationId);
    }
    if (random.chance(0.5))
      await say(
        g.server,
        { id: person.id },
        {
          topic: random.pick([wanted, unwanted]),
          channel: random.pick([null, ...channels]),
          isSubscribed: random.chance(0.5),
        },
      );
    const day = () => new Date(Date.UTC(2026, 0, random.integer(1, 28)));
    await g.pool.query(sql`
      update users set tags = ${random.chance(0.5) ? [tag] : []}::text[], preferred_channel = ${random.pick([null, ...channels])}::channel
      where id = ${localIdOf(person.id)}::uuid`);
    for (const id of await idsOf('recipients', person.id)) {
      await g.pool.query(sql`
        update recipients set is_subscribed = ${random.chance(0.8)}, created_at = ${day()}::timestamptz,
          retired_at = ${random.chance(0.1) ? day() : null}::timestamptz where id = ${id}::uuid`);
    }
    for (const [index, id] of (await idsOf('installations', person.id)).entries()) {
      await g.pool.query(sql`
        update installations set platform = ${random.pick(platforms)}::platform, subscribed_at = ${day()}::timestamptz,
          push_status = ${random.chance(0.7) ? 'ALLOWED' : random.pick(['ASK', 'BLOCKED'])}::push_status,
          is_push_registration_enabled = ${random.chance(0.9)}, is_primary_device = ${index === 0 && random.chance(0.5)},
          last_seen_at = ${day()}::timestamptz,
          app_id = case when ${random.chance(0.3)} then ${other.id}::uuid else app_id end
        where id = ${id}::uuid`);
    }
  }
  const ids = () => someOf(random, people, 6).map(({ id }) => id);
  const segments = [
    await makeSegment(g.server, ids()),
    await makeSegment(g.server, ids()),
    await makeDynamicSegment(g.server, { installation: { platform: ['IOS'] } }),
    await makeDynamicSegment(g.server, { tag }),
  ];
  return { tag, topics: [wanted, unwanted], apps: [other.id], people, installations, segments };
}

async function idsOf(table: 'recipients' | 'installations', user: string): Promise<string[]> {
  const { rows } = await g.pool.query<{ id: string }>(
    `select id from ${table} where user_id = '${localIdOf(user)}' order by id`,
  );
  return rows.map(({ id }) => id);
}

type World = Awaited<ReturnType<typeof makeWorld>>;

/** What somebody may ask of a send and of a preview. */
function makeRequest(random: Random, world: World): SendNotificationInput {
  const { tag, topics, people, installations, segments } = world;
  const everyone = random.chance(0.15);
  const filters: AudienceFilter[] = [
    { tag },
    { installation: { platform: [random.pick(platforms)] } },
    { any: [{ tag }, { installation: { platform: [random.pick(platforms)] } }] },
    { not: { tag } },
  ];
  const named = {
    users: random.chance(0.6)
      ? [
          ...someOf(random, people, 4).map(({ id, externalUserId }) =>
            random.chance(0.5) ? { id } : { externalUserId },
          ),
          ...someOf(random, ['nobody', 'nobody', 'noone'], 3).map((externalUserId) => ({ externalUserId })),
        ]
      : [],
    installations: random.chance(0.5) ? someOf(random, [...installations, randomUUID()], 4) : [],
    segments: someOf(random, segments, 2),
    filter: random.chance(0.4) ? random.pick(filters) : null,
    topic: random.chance(0.2) ? random.pick(topics) : null,
  };
  const isNobody =
    [named.users, named.installations, named.segments].every(({ length }) => length === 0) &&
    !named.filter &&
    !named.topic;
  const isEveryone = everyone || isNobody;
  const asked = random.chance(0.6) ? random.shuffle(channels).slice(0, random.integer(1, 4)) : null;
  const needsPush = asked !== null && !isEveryone && named.installations.length > 0 && !asked.includes('PUSH');
  return {
    target: {
      ...(isEveryone ? { everyone: true } : named),
      excludeSegments: random.chance(0.3) ? [random.pick(segments)] : [],
      limit: random.chance(0.3) ? random.integer(1, 8) : null,
    },
    channels: needsPush ? [...asked, 'PUSH'] : asked,
    orchestration: random.pick([null, 'ALL', 'PREFERRED', 'FALLBACK']),
    topic: random.chance(0.4) ? random.pick(topics) : null,
    purpose: random.pick([null, null, 'MARKETING', 'TRANSACTIONAL']),
    targetOnlyPrimaryDevices: random.chance(0.2),
    onePerUser: random.chance(0.4),
    apps: random.chance(0.15) ? world.apps.map((id) => globalIdOf('App', id)) : null,
    subscribedFrom: random.chance(0.2) ? '2026-01-08T00:00:00Z' : null,
    subscribedTo: random.chance(0.2) ? '2026-01-20T00:00:00Z' : null,
  };
}

test('a preview counts what a fan-out makes, whatever is asked (rule N7)', async () => {
  const seed = Date.now() % 2 ** 31;
  const random = createRandom(seed);
  const world = await makeWorld(random);
  const asked: { request: SendNotificationInput; told: string[]; notification: string }[] = [];
  for (const _ of Array(24)) {
    const request = makeRequest(random, world);
    const { target, ...rest } = request;
    const preview = await previewAudience(g.server, request);
    asked.push({
      request,
      told: toLines(preview),
      notification: await makeNotification(g.server, toSend(target, rest)),
    });
  }
  await g.startWorker();
  await until(async () => (await g.db.notification.count({ where: { fanOutFinishedAt: null } })) === 0);
  const differing = [];
  for (const { request, told, notification } of asked) {
    const made = await countMade(g.pool, notification);
    if (made.join() !== told.join()) differing.push({ seed, request: JSON.stringify(request), told, made });
  }
  expect(differing).toEqual([]);
});
