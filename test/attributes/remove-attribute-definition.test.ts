import { describe, expect, test } from 'vitest';
import { forgetAttributeJob, resumeForgetting } from '../../src/attributes/forget-attribute.job.ts';
import type { AudienceFilter } from '../generated/graphql.ts';
import {
  customAttributesOf,
  defineAttribute,
  listAttributeDefinitions,
  makeAttribute,
  removeAttributeDefinition,
} from '../support/attributes.ts';
import { useGatewayAndWorker } from '../support/gateway-and-worker.ts';
import { makeInstallation, makeNotification, personalize, sendNotification } from '../support/operations.ts';
import { makePerson } from '../support/people.ts';
import { createSegment, makeDynamicSegment, updateSegment } from '../support/segments/operations.ts';
import { localIdOf, toSend } from '../support/send-operations.ts';
import { until } from '../support/until.ts';

// A gateway alone: nothing is removed until a test starts a worker.
const g = useGatewayAndWorker();

const refusal = (code: string, path: readonly string[]) => expect.objectContaining({ code, path });

type Person = Awaited<ReturnType<typeof makePerson>>;

const write = ({ installation, externalUserId }: Person, customAttributes: Record<string, unknown>) =>
  personalize(g.server, {
    installation: installation.id,
    userIdentity: { externalUserId },
    userAttributes: { customAttributes },
  });

/** A person with a value of an attribute that is then removed. */
async function removeWithValue() {
  const name = await makeAttribute(g.server, { type: 'STRING' });
  const person = await makePerson(g);
  await write(person, { [name]: 'a' });
  await removeAttributeDefinition(g.server, 'USER', name);
  return { name, person };
}

const isGone = async (name: string) => (await g.db.attributeDefinition.count({ where: { name } })) === 0;

/** How many rows still hold a value. */
async function countValues(name: string): Promise<number> {
  const { rows } = await g.pool.query<{ count: number }>(
    `select (select count(*) from users where custom_attributes -> $1 is not null)::int
      + (select count(*) from installations where custom_attributes -> $1 is not null)::int as count`,
    [name],
  );
  return rows[0]?.count ?? 0;
}

describe('U13: an attribute that is removed', () => {
  test('is told to nobody and cannot be written from that moment on, nor defined anew', async () => {
    const { name, person } = await removeWithValue();
    expect(await customAttributesOf(g.server, { id: person.id })).toEqual({});
    expect(await write(person, { [name]: 'b' })).toEqual(
      refusal('ATTRIBUTE_INVALID', ['userAttributes', 'customAttributes', name]),
    );
    expect(await defineAttribute(g.server, { owner: 'USER', name, type: 'STRING' })).toEqual(
      refusal('STATE_CONFLICT', ['name']),
    );
    const { nodes } = await listAttributeDefinitions(g.server, { owner: 'USER', first: 100 });
    expect(nodes).toContainEqual({ owner: 'USER', name, type: 'STRING', removedAt: expect.any(String) });
    expect(await removeAttributeDefinition(g.server, 'USER', name)).toMatchObject({ attributeDefinition: { name } });
  });

  test('one that there is not is NOT_FOUND', async () => {
    const name = await makeAttribute(g.server, { owner: 'INSTALLATION', type: 'STRING' });
    expect(await removeAttributeDefinition(g.server, 'USER', name)).toEqual(refusal('NOT_FOUND', ['name']));
  });

  test('leaves no value with any of 5,000 users; then its name is free, and the old values do not come back', async () => {
    const { name, person } = await removeWithValue();
    const other = await makeAttribute(g.server, { type: 'STRING' });
    await g.pool.query(
      `insert into users (id, custom_attributes)
       select uuid_v7(), jsonb_build_object($1::text, 'a', $2::text, 'kept') from generate_series(1, 5000)`,
      [name, other],
    );
    await g.startWorker();
    await until(() => isGone(name));
    expect([await countValues(name), await countValues(other)]).toEqual([0, 5_000]);
    await makeAttribute(g.server, { name, type: 'NUMBER' });
    expect(await customAttributesOf(g.server, { id: person.id })).toEqual({});
    await write(person, { [name]: 1 });
    expect(await customAttributesOf(g.server, { id: person.id })).toEqual({ [name]: 1 });
  });

  test('leaves none with installations either', async () => {
    const name = await makeAttribute(g.server, { owner: 'INSTALLATION', type: 'STRING' });
    await makeAttribute(g.server, { owner: 'USER', name, type: 'STRING' });
    await write(await makePerson(g), { [name]: 'of a user' });
    await makeInstallation(g.app, { customAttributes: { [name]: 'a' } });
    await removeAttributeDefinition(g.server, 'INSTALLATION', name);
    await g.startWorker();
    await until(async () => (await g.db.attributeDefinition.count({ where: { name, owner: 'INSTALLATION' } })) === 0);
    expect(await countValues(name)).toBe(1);
  });

  test('leaves none with a user whom the walk has passed when a merge brings it one', async () => {
    const { name } = await removeWithValue();
    const { id: definitionId } = await g.db.attributeDefinition.findFirstOrThrow({ where: { name } });
    await forgetAttributeJob.run({ db: g.db }, { definitionId, after: null, hasFound: false });
    await g.pool.query(
      `update users set custom_attributes = jsonb_build_object($1::text, 'a') where id = (select id from users order by id limit 1)`,
      [name],
    );
    await g.startWorker();
    await until(() => isGone(name));
    expect(await countValues(name)).toBe(0);
  });

  test('leaves none that is written meanwhile', async () => {
    const name = await makeAttribute(g.server, { type: 'NUMBER' });
    const people = await Promise.all(Array.from({ length: 8 }, () => makePerson(g)));
    await g.startWorker();
    const loops = people.map(async (person) => {
      const told = new Set<string | undefined>();
      for (let value = 0; !told.has('AttributeInvalidError'); value += 1) {
        told.add((await write(person, { [name]: value }))?.__typename);
      }
      return told;
    });
    await until(async () => (await countValues(name)) > 4);
    expect(await removeAttributeDefinition(g.server, 'USER', name)).toMatchObject({
      __typename: 'RemoveAttributeDefinitionPayload',
    });
    const outcomes = await Promise.all(loops);
    expect(new Set(outcomes.flatMap((told) => [...told]))).toEqual(
      new Set(['PersonalizePayload', 'AttributeInvalidError']),
    );
    await until(() => isGone(name));
    expect(await countValues(name)).toBe(0);
  });

  test.each([
    ['is lost', `delete from graphile_worker._private_jobs where key = $1`],
    ['has failed for good', `update graphile_worker._private_jobs set attempts = max_attempts where key = $1`],
    [
      'died with its worker',
      `update graphile_worker._private_jobs set locked_at = now() - interval '61 seconds', locked_by = 'dead' where key = $1`,
    ],
  ])('is gone in the end though its job %s', async (_, fate) => {
    const { name } = await removeWithValue();
    const { id } = await g.db.attributeDefinition.findFirstOrThrow({ where: { name } });
    const { rowCount } = await g.pool.query(fate, [`forget attribute ${id}`]);
    expect(rowCount).toBe(1);
    await g.startWorker();
    await until(() => isGone(name));
    expect(await countValues(name)).toBe(0);
  });

  test('is not looked for anew while its job waits', async () => {
    const { name } = await removeWithValue();
    const { id } = await g.db.attributeDefinition.findFirstOrThrow({ where: { name } });
    const before = await jobOf(id);
    await resumeForgetting(g.db, { leaseSeconds: 60, isAlone: false });
    expect(await jobOf(id)).toEqual(before);
  });

  test('is not removed again by a job that comes late, once its name is defined anew', async () => {
    const { name } = await removeWithValue();
    const { id: definitionId } = await g.db.attributeDefinition.findFirstOrThrow({ where: { name } });
    await g.startWorker();
    await until(() => isGone(name));
    await makeAttribute(g.server, { name, type: 'STRING' });
    const person = await makePerson(g);
    await write(person, { [name]: 'new' });
    await forgetAttributeJob.run({ db: g.db }, { definitionId, after: null, hasFound: true });
    expect(await customAttributesOf(g.server, { id: person.id })).toEqual({ [name]: 'new' });
  });
});

async function jobOf(definitionId: string) {
  const { rows } = await g.pool.query('select id, revision from graphile_worker.jobs where key = $1', [
    `forget attribute ${definitionId}`,
  ]);
  expect(rows).toHaveLength(1);
  return rows[0];
}

describe('an attribute that a filter names is not removed', () => {
  const inUse = refusal('STATE_CONFLICT', ['name']);

  test.each<['USER' | 'INSTALLATION', (name: string) => AudienceFilter]>([
    ['USER', (name) => ({ all: [{ tag: 'a' }, { not: { attribute: { name, eq: 'a' } } }] })],
    [
      'INSTALLATION',
      (name) => ({
        any: [
          { installation: { platform: ['IOS'] } },
          { installation: { isPrimary: true, attribute: [{ name, exists: true }] } },
        ],
      }),
    ],
  ])('of %s, while a segment names it', async (owner, toFilter) => {
    const name = await makeAttribute(g.server, { owner, type: 'STRING' });
    const other = owner === 'USER' ? 'INSTALLATION' : 'USER';
    await makeAttribute(g.server, { owner: other, name, type: 'STRING' });
    const segment = await makeDynamicSegment(g.server, toFilter(name));
    expect(await removeAttributeDefinition(g.server, owner, name)).toEqual(inUse);
    expect(await removeAttributeDefinition(g.server, owner, name)).toMatchObject({
      message: expect.stringContaining(localIdOf(segment)),
    });
    // One of the same name of others is another one.
    expect(await removeAttributeDefinition(g.server, other, name)).toMatchObject({ attributeDefinition: { name } });
    await updateSegment(g.server, { segment, filter: { tag: 'a' } });
    expect(await removeAttributeDefinition(g.server, owner, name)).toMatchObject({ attributeDefinition: { name } });
  });

  test('while a send is on its way to whom it holds for', async () => {
    const name = await makeAttribute(g.server, { type: 'OBJECT_LIST', fields: [{ name: 'sku', type: 'STRING' }] });
    const filter = { attribute: { name, any: [{ field: 'sku', eq: 'a' }] } };
    const notification = await makeNotification(g.server, toSend({ filter }));
    expect(await removeAttributeDefinition(g.server, 'USER', name)).toEqual(inUse);
    await g.db.notification.update({ where: { id: localIdOf(notification) }, data: { fanOutFinishedAt: new Date() } });
    expect(await removeAttributeDefinition(g.server, 'USER', name)).toMatchObject({ attributeDefinition: { name } });
  });

  test('also when it is named at the same time: one of the two is refused', async () => {
    for (let round = 0; round < 8; round += 1) {
      const name = await makeAttribute(g.server, { type: 'STRING' });
      const filter = { attribute: { name, eq: 'a' } };
      const [made, sent, removed] = await Promise.all([
        createSegment(g.server, { filter }),
        sendNotification(g.server, toSend({ filter })),
        removeAttributeDefinition(g.server, 'USER', name),
      ]);
      const isRemoved = removed?.__typename === 'RemoveAttributeDefinitionPayload';
      const isNamed = [made, sent].some((result) => result && !('code' in result));
      expect({ round, isRemoved, isNamed }).toEqual({ round, isRemoved, isNamed: !isRemoved });
    }
  });
});
