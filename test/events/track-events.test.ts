import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { forgetEvents } from '../../src/events/forget-events.ts';
import { sql } from '../../src/storage/database.ts';
import { useApp } from '../support/app.ts';
import { eraseUser } from '../support/erase-operations.ts';
import { depersonalize, makeInstallation, sendNotification } from '../support/operations.ts';
import { makePerson, mergeUsers } from '../support/people.ts';
import { localIdOf, toSend } from '../support/send-operations.ts';
import { track, trackEvents } from '../support/topics.ts';

const g = useApp({ role: 'gateway' });

const eventsOf = async (name: string) =>
  g.db.trackedEvent.findMany({ where: { name }, orderBy: { id: 'asc' }, omit: { id: true } });

const ago = (days: number) => new Date(Date.now() - days * 86_400_000).toISOString();

describe('trackEvents (rule A1)', () => {
  test('keeps what it is told of several users at once, with where and when', async () => {
    const [ann, bob, name] = [await makePerson(g), await makePerson(g), randomUUID()];
    const properties = { sku: 'A-7', amount: 19.9, isGift: false, parts: [{ of: null }] };
    const installation = bob.installation.pushRegistrationId;
    expect(
      await trackEvents(g.server, {
        events: [
          {
            user: { externalUserId: ann.externalUserId },
            name: ` ${name} `,
            properties,
            at: '2026-11-22T15:04:05.678Z',
          },
          { installation, name },
          { user: { id: ann.id }, installation: bob.installation.id, name },
        ],
      }),
    ).toMatchObject({
      accepted: 3,
      results: [0, 1, 2].map((place) => ({ __typename: 'TrackedEvent', place })),
    });
    const now = expect.any(Date);
    expect(await eventsOf(name)).toEqual([
      {
        ...{ userId: localIdOf(ann.id), installationId: null, name, properties },
        at: new Date('2026-11-22T15:04:05.678Z'),
      },
      { userId: localIdOf(bob.id), installationId: installation, name, properties: {}, at: now },
      { userId: localIdOf(ann.id), installationId: installation, name, properties: {}, at: now },
    ]);
  });

  test('tells in its place why one is refused, and keeps the others', async () => {
    const [ann, name] = [await makePerson(g), randomUUID()];
    const user = { id: ann.id };
    const result = await trackEvents(g.server, {
      events: [
        { user, name },
        { user: { externalUserId: randomUUID() }, name },
        { user: { email: 'no address' }, name },
        { user: { phone: '12' }, name },
        { name },
        { user, name: ' ' },
        { user, name: 'n'.repeat(257) },
        { user, name, properties: { text: 'x'.repeat(8_192) } },
        { user, name, at: new Date(Date.now() + 600_000).toISOString() },
        { user, name, at: ago(3_651) },
        { installation: randomUUID(), name },
        { user, installation: randomUUID(), name },
        { user, name, at: new Date(Date.now() + 60_000).toISOString() },
      ],
    });
    const refusal = (code: string, place: number, field: string) => ({ code, path: ['events', String(place), field] });
    expect(result).toMatchObject({
      accepted: 2,
      results: [
        { place: 0 },
        refusal('NOT_FOUND', 1, 'user'),
        { code: 'EMAIL_INVALID', path: ['events', '2', 'user', 'email'] },
        { code: 'PHONE_INVALID', path: ['events', '3', 'user', 'phone'] },
        refusal('VALUE_INVALID', 4, 'user'),
        refusal('VALUE_INVALID', 5, 'name'),
        refusal('VALUE_INVALID', 6, 'name'),
        refusal('LIMIT_EXCEEDED', 7, 'properties'),
        refusal('VALUE_INVALID', 8, 'at'),
        refusal('VALUE_INVALID', 9, 'at'),
        refusal('NO_REGISTRATION', 10, 'installation'),
        refusal('NO_REGISTRATION', 11, 'installation'),
        { place: 12 },
      ],
    });
    // A clock that is ahead says nothing of what is to come.
    const kept = await eventsOf(name);
    expect(kept.every(({ at }) => at.getTime() <= Date.now())).toBe(true);
  });

  test('takes 5,000 at once, and not one more', async () => {
    const [ann, name] = [await makePerson(g), randomUUID()];
    const events = Array.from({ length: 5_001 }, (_, place) => ({ user: { id: ann.id }, name, properties: { place } }));
    expect(await trackEvents(g.server, { events })).toMatchObject({ code: 'LIMIT_EXCEEDED', path: ['events'] });
    expect(await eventsOf(name)).toEqual([]);
    expect(await trackEvents(g.server, { events: events.slice(1) })).toMatchObject({ accepted: 5_000 });
    const kept = await eventsOf(name);
    expect(kept.map(({ properties }) => Object(properties).place)).toEqual(
      Array.from({ length: 5_000 }, (_, i) => i + 1),
    );
  });

  test('of a server key may come in a body of more than 1 MiB', async () => {
    const [ann, name] = [await makePerson(g), randomUUID()];
    const properties = { text: 'x'.repeat(8_000) };
    const events = Array.from({ length: 200 }, () => ({ user: { id: ann.id }, name, properties }));
    expect(await trackEvents(g.server, { events })).toMatchObject({ accepted: 200 });
  });

  test('repeated with its key keeps everything once, and tells the same', async () => {
    const [ann, name, idempotencyKey] = [await makePerson(g), randomUUID(), randomUUID()];
    const input = { events: [{ user: { id: ann.id }, name }, { name }], idempotencyKey };
    const [first, second] = await Promise.all([trackEvents(g.server, input), trackEvents(g.server, input)]);
    expect(first).toMatchObject({ accepted: 1, results: [{ place: 0 }, { code: 'VALUE_INVALID' }] });
    expect(second).toEqual(first);
    expect(await eventsOf(name)).toHaveLength(1);
    expect(await trackEvents(g.server, { ...input, events: [] })).toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
  });
});

describe('an installation', () => {
  test('tells of itself and its own user, and of nobody else', async () => {
    const [ann, bob, name] = [await makePerson(g), await makePerson(g), randomUUID()];
    const own = ann.installation.pushRegistrationId;
    const result = await trackEvents(g.app.as(ann.token), {
      events: [
        { name },
        { user: { externalUserId: ann.externalUserId }, installation: own, name },
        { user: { id: bob.id }, name },
        { user: { externalUserId: randomUUID() }, name },
        { installation: bob.installation.pushRegistrationId, name },
        { installation: randomUUID(), name },
      ],
    });
    const notFound = { code: 'NOT_FOUND' };
    const noRegistration = { code: 'NO_REGISTRATION' };
    expect(result).toMatchObject({
      accepted: 2,
      results: [{ place: 0 }, { place: 1 }, notFound, notFound, noRegistration, noRegistration],
    });
    expect((await eventsOf(name)).map(({ userId, installationId }) => [userId, installationId])).toEqual([
      [localIdOf(ann.id), own],
      [localIdOf(ann.id), own],
    ]);
  });

  test('that was logged out tells of its new lead', async () => {
    const [ann, name] = [await makePerson(g), randomUUID()];
    await depersonalize(g.server, ann.installation.pushRegistrationId);
    await trackEvents(g.app.as(ann.token), { events: [{ name }] });
    const [event] = await eventsOf(name);
    expect(event?.userId).not.toBe(localIdOf(ann.id));
  });
});

test('an event of who is merged or erased while it is told is kept for the survivor, or for nobody', async () => {
  const [survivor, name] = [await makePerson(g), randomUUID()];
  for (let round = 0; round < 10; round += 1) {
    const merged = await makePerson(g);
    const [told] = await Promise.all([
      trackEvents(g.server, { events: [{ user: { id: merged.id }, name }] }),
      mergeUsers(g.server, { survivor: { id: survivor.id }, merged: { id: merged.id }, allowAlias: true }),
    ]);
    expect(told).toMatchObject({ accepted: 1 });
  }
  const { body } = await g.server.send(
    'query($filter: AudienceFilter!) { previewSegment(filter: $filter) { sample { id } } }',
    {
      filter: { event: { name, count: 10 } },
    },
  );
  expect(body.data).toEqual({ previewSegment: { sample: [{ id: survivor.id }] } });
  const [told] = await Promise.all([
    trackEvents(g.server, { events: [{ user: { id: survivor.id }, name }] }),
    eraseUser(g.server, { id: survivor.id }),
  ]);
  expect(told).toMatchObject({ __typename: 'TrackEventsPayload' });
  expect(await eventsOf(name)).toEqual([]);
});

describe('rule M5: the caller’s event travels with the send', () => {
  const send = (...input: Parameters<typeof toSend>) => sendNotification(g.server, toSend(...input));

  test('and is tracked for each user that it names one by one, in the same transaction', async () => {
    const [ann, bob, name] = [await makePerson(g), await makePerson(g), randomUUID()];
    const { installation } = await makePerson(g);
    const properties = { order: 'A-7' };
    const target = {
      users: [{ id: ann.id }, { externalUserId: ann.externalUserId }, { id: bob.id }, { externalUserId: randomUUID() }],
      installations: [installation.pushRegistrationId],
    };
    const idempotencyKey = randomUUID();
    const sent = await send(target, { event: { name, properties }, idempotencyKey });
    await send(target, { event: { name, properties }, idempotencyKey });
    const kept = await eventsOf(name);
    expect(kept.map(({ userId }) => userId).sort()).toEqual([ann.id, bob.id].map(localIdOf).sort());
    expect(kept.map((event) => event.properties)).toEqual([properties, properties]);
    if (sent?.__typename !== 'SendNotificationPayload') throw new Error('It was refused.');
    const { body } = await g.server.send('query($id: ID!) { notification(id: $id) { event { name properties } } }', {
      id: sent.notification?.id,
    });
    expect(body.data).toEqual({ notification: { event: { name, properties } } });
  });

  test('or not at all, where nothing is sent', async () => {
    const [ann, name] = [await makePerson(g), randomUUID()];
    const target = { users: [{ id: ann.id }], segments: [randomUUID()] };
    expect(await send(target, { event: { name } })).toMatchObject({ code: 'NOT_FOUND' });
    expect(await send({ filter: { tag: 'vip' } }, { event: { name } })).toMatchObject({
      code: 'VALUE_INVALID',
      path: ['event'],
    });
    expect(await send({ users: [{ id: ann.id }] }, { event: { name: '' } })).toMatchObject({
      code: 'VALUE_INVALID',
      path: ['event', 'name'],
    });
    expect(await eventsOf(name)).toEqual([]);
    expect(await eventsOf('')).toEqual([]);
  });

  test('and goes with the only user that it is about (decision 10)', async () => {
    const [ann, bob, mark] = [await makePerson(g), await makePerson(g), `mark-${randomUUID()}`];
    const event = { name: 'purchase', properties: { mark } };
    const own = [{ id: ann.id }, { externalUserId: ann.externalUserId }, { pushRegistrationId: ann.installation.id }];
    for (const user of own) await send({ users: [user] }, { event });
    await send({ users: [{ id: ann.id }, { id: bob.id }] }, { event });
    await eraseUser(g.server, { id: ann.id });
    const found = await g.db.notification.findMany({
      where: { event: { path: ['properties', 'mark'], equals: mark } },
    });
    // It is what Bob did too.
    expect(found).toHaveLength(1);
  });
});

test('events are forgotten when they are kept no longer, by when they came', async () => {
  const [ann, name] = [await makePerson(g), randomUUID()];
  await track(g.server, { id: ann.id }, name, { at: ago(500) });
  await track(g.server, { id: ann.id }, name, { at: ago(1) });
  const forget = () => forgetEvents(g.db, { keptDays: 400, signal: new AbortController().signal });
  await forget();
  expect(await eventsOf(name)).toHaveLength(2);
  await g.pool.query(sql`
    update tracked_events set id = (
      select rpad(lpad(to_hex((extract(epoch from now() - interval '401 days') * 1000)::bigint), 12, '0'), 32, '7')::uuid
    ) where name = ${name} and at < now() - interval '10 days'`);
  await forget();
  expect(await eventsOf(name)).toMatchObject([{ at: expect.any(Date) }]);
});

test('a person of whom nothing is known tells its events by its push registration id', async () => {
  const [lead, name] = [await makeInstallation(g.app), randomUUID()];
  await track(g.server, { pushRegistrationId: lead.pushRegistrationId }, name);
  expect(await eventsOf(name)).toMatchObject([{ userId: localIdOf(lead.user.id), installationId: null }]);
});
