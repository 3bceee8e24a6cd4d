import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { sql } from '../../../src/storage/database.ts';
import { fcmAddress } from '../../support/addresses.ts';
import { useApp } from '../../support/app.ts';
import { importedResults, importInstallations, stateOf } from '../../support/installation-operations.ts';
import { makeInstallation, makeNotification, settledDeliveries } from '../../support/operations.ts';
import { countRows, getProfile, makePerson } from '../../support/people.ts';
import { globalIdOf, localIdOf } from '../../support/send-operations.ts';

const g = useApp();

/** So many users without an installation; their external user ids. */
async function makeUsers(count: number): Promise<string[]> {
  const names = Array.from({ length: count }, () => randomUUID());
  await g.pool.query(sql`
    with made as (insert into users (id, type) select id, 'CUSTOMER' from unnest(${names}::uuid[]) as given (id)),
    inbox as (
      insert into recipients (id, channel, user_id)
      select uuid_v7(), 'IN_APP', id from unnest(${names}::uuid[]) as given (id)
    )
    insert into identifiers (kind, value, user_id)
    select 'EXTERNAL_USER_ID', id::text, id from unnest(${names}::uuid[]) as given (id)`);
  return names;
}

const subscriber = (externalUserId: string) => ({
  user: { externalUserId },
  platform: 'ANDROID' as const,
  address: fcmAddress(),
});

describe('U17: own ids are matched with subscribers of another push service', () => {
  test('of 100 ids 30 have subscribed: these get an installation, and a push to all reaches them; the rest have no address', async () => {
    const names = await makeUsers(100);
    const results = await importedResults(g.server, names.slice(0, 30).map(subscriber));
    expect(results.map(({ __typename }) => __typename)).toEqual(Array(30).fill('ImportedInstallation'));
    const notification = await makeNotification(g.server, {
      content: { body: 'Hello' },
      channels: ['PUSH'],
      target: { users: names.map((externalUserId) => ({ externalUserId })) },
    });
    const { deliveries, progress } = await settledDeliveries(g.server, notification);
    expect(progress).toMatchObject({ total: 100, sent: 30, discarded: 70 });
    const unreached = deliveries.nodes.filter(({ status }) => status === 'DISCARDED');
    expect(new Set(unreached.map(({ reason }) => reason))).toEqual(new Set(['NO_ADDRESS']));
  });

  test('each is answered in its place; one that names nobody, or is not well said, keeps no other one back', async () => {
    const [ann = '', bob = ''] = await makeUsers(2);
    const given = [
      subscriber(ann),
      subscriber(randomUUID()),
      { ...subscriber(bob), subscribedAt: new Date(Date.now() + 3_600_000).toISOString() },
      { ...subscriber(bob), address: { apns: { token: 'abc' } } },
      { ...subscriber(bob), pushStatus: 'SUSPENDED' as const },
      { ...subscriber(bob), language: 'no language' },
      { ...subscriber(bob), app: randomUUID() },
      { ...subscriber(bob), app: 'no id' },
      { ...subscriber(bob), user: { email: 'no address' } },
      { ...subscriber(bob), user: { phone: '1' } },
      subscriber(bob),
    ];
    const results = await importedResults(g.server, given);
    expect(results).toMatchObject([
      { isNew: true, installation: { user: { id: globalIdOf('User', ann) } } },
      { code: 'NOT_FOUND', path: ['installations', '1', 'user'] },
      { code: 'VALUE_INVALID', path: ['installations', '2', 'subscribedAt'] },
      { code: 'VALUE_INVALID', path: ['installations', '3', 'address'] },
      { code: 'VALUE_INVALID', path: ['installations', '4', 'pushStatus'] },
      { code: 'VALUE_INVALID', path: ['installations', '5', 'language'] },
      { code: 'NOT_FOUND', path: ['installations', '6', 'app'] },
      { code: 'NOT_FOUND', path: ['installations', '7', 'app'] },
      { code: 'EMAIL_INVALID', path: ['installations', '8', 'user', 'email'] },
      { code: 'PHONE_INVALID', path: ['installations', '9', 'user', 'phone'] },
      { isNew: true, installation: { user: { id: globalIdOf('User', bob) } } },
    ]);
  });

  test('what was known there is kept: since when it is subscribed, its status and language', async () => {
    const [ann = ''] = await makeUsers(1);
    const [subscribedAt, language, timeZone] = ['2021-03-04T05:06:07.000Z', 'pt-br', 'Europe/Zagreb'];
    const known = { subscribedAt, language, timeZone, pushStatus: 'BLOCKED' as const };
    const [first, second] = await importedResults(g.server, [{ ...subscriber(ann), ...known }, subscriber(ann)]);
    expect(first).toMatchObject({
      installation: {
        platform: 'ANDROID',
        pushStatus: 'BLOCKED',
        subscribedAt,
        lastSeenAt: subscribedAt,
        language: 'pt-BR',
      },
    });
    expect(second).toMatchObject({ installation: { pushStatus: 'ALLOWED', subscribedAt: expect.any(String) } });
  });

  test('it can be of any app', async () => {
    const [ann = ''] = await makeUsers(1);
    const { id } = await g.db.app.create({ data: { id: randomUUID(), name: randomUUID() } });
    await importedResults(g.server, [{ ...subscriber(ann), app: globalIdOf('App', id) }]);
    expect(await g.db.installation.findMany({ where: { userId: ann } })).toMatchObject([{ appId: id }]);
  });
});

describe('an address that is known', () => {
  test('is not doubled for the same user, within a call and over calls', async () => {
    const [ann = ''] = await makeUsers(1);
    const one = subscriber(ann);
    expect(await importedResults(g.server, [one, one])).toMatchObject([{ isNew: true }, { isNew: false }]);
    const before = await countRows(g);
    const [again] = await importedResults(g.server, [{ ...one, pushStatus: 'BLOCKED' }]);
    expect(again).toMatchObject({ isNew: false, installation: { pushStatus: 'ALLOWED' } });
    expect(await countRows(g)).toEqual(before);
  });

  test('is not taken away from another user, nor from a lead, which a logout may have left', async () => {
    const [ann = '', bob = ''] = await makeUsers(2);
    const [ofAnn, live] = [subscriber(ann), fcmAddress()];
    const installation = await makeInstallation(g.app, { platform: 'ANDROID', address: live });
    await importedResults(g.server, [ofAnn]);
    const before = await countRows(g);
    const results = await importedResults(g.server, [
      { ...ofAnn, user: { externalUserId: bob } },
      { ...subscriber(bob), address: live },
    ]);
    expect(results).toMatchObject([
      { code: 'STATE_CONFLICT', path: ['installations', '0', 'address'] },
      { code: 'STATE_CONFLICT', path: ['installations', '1', 'address'] },
    ]);
    expect(await countRows(g)).toEqual(before);
    expect(await stateOf(g.server, installation.id)).toMatchObject({ pushStatus: 'ALLOWED' });
    expect((await getProfile(g.server, { pushRegistrationId: installation.id })).id).toBe(installation.user.id);
  });

  test('is held by one of those that import it at once, and nobody fails', async () => {
    const names = await makeUsers(10);
    const addresses = Array.from({ length: 10 }, () => fcmAddress());
    const all = await Promise.all(
      names.map((externalUserId, index) => {
        const mine = addresses.map((address) => ({ ...subscriber(externalUserId), address }));
        return importedResults(g.server, index % 2 === 0 ? mine : mine.toReversed());
      }),
    );
    const held = all.flat().filter((result) => result.__typename === 'ImportedInstallation');
    expect(held).toHaveLength(addresses.length);
    const taken = await Promise.all(
      addresses.map((address) => makeInstallation(g.app, { platform: 'ANDROID', address })),
    );
    expect(taken).toHaveLength(addresses.length);
    const installations = await g.db.installation.findMany({ where: { userId: { in: names } } });
    expect(installations.map(({ pushStatus }) => pushStatus)).toEqual(addresses.map(() => 'SUSPENDED'));
  });
});

test('a repeat with the same key answers the same and writes nothing; more than 1,000 are refused', async () => {
  const [ann = ''] = await makeUsers(1);
  const [key, given] = [randomUUID(), [subscriber(ann), subscriber(randomUUID())]];
  const first = await importInstallations(g.server, given, key);
  const before = await countRows(g);
  expect(await importInstallations(g.server, given, key)).toEqual(first);
  expect(await countRows(g)).toEqual(before);
  expect(await importInstallations(g.server, given.toReversed(), key)).toMatchObject({
    code: 'IDEMPOTENCY_KEY_REUSED',
  });
  expect(await importInstallations(g.server, Array(1_001).fill(subscriber(ann)))).toMatchObject({
    ...{ code: 'LIMIT_EXCEEDED', path: ['installations'] },
  });
});

test('1,000 are imported at once, for a merged user’s survivor too', async () => {
  const names = await makeUsers(998);
  const person = await makePerson(g);
  await g.pool.query(sql`
    update users set merged_into_id = ${localIdOf(person.id)}::uuid where id = ${names[0]}::uuid`);
  const given = [...names, ...names.slice(0, 2)].map(subscriber);
  const results = await importedResults(g.server, given);
  const imported = results.flatMap((result) => (result.__typename === 'ImportedInstallation' ? [result] : []));
  expect(imported).toHaveLength(1_000);
  expect(imported[0]).toMatchObject({ installation: { user: { id: person.id } } });
});
