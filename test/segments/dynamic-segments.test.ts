import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { sql } from '../../src/storage/database.ts';
import { graphql } from '../generated/gql.ts';
import type { AudienceFilter } from '../generated/graphql.ts';
import { useApp } from '../support/app.ts';
import { makeNotification } from '../support/operations.ts';
import { makePartnerOperation } from '../support/partner-operations.ts';
import { makePerson, mergeUsers } from '../support/people.ts';
import {
  createSegment,
  defineAttribute,
  deleteSegment,
  explainMembership,
  findMembers,
  findSegmentsOf,
  listMembers,
  makeDynamicSegment,
  previewSegment,
  updateSegment,
} from '../support/segments/operations.ts';
import { localIdOf, makeSegment, toSend } from '../support/send-operations.ts';

const g = useApp({ role: 'gateway' });

beforeAll(async () => {
  await defineAttribute(g, { name: 'points', type: 'NUMBER' });
  await defineAttribute(g, { name: 'plan', type: 'STRING' });
  await defineAttribute(g, { name: 'since', type: 'DATE' });
  await defineAttribute(g, { name: 'orders', type: 'OBJECT_LIST', fields: [{ name: 'sku', type: 'STRING' }] });
});

/** A person with a tag of their own. */
async function makeTagged(tag: string = randomUUID(), customAttributes: object = {}) {
  const person = await makePerson(g);
  await g.pool.query(sql`
    update users set tags = ${[tag]}::text[], custom_attributes = ${JSON.stringify(customAttributes)}::jsonb
    where id = ${localIdOf(person.id)}::uuid`);
  return { ...person, tag };
}

const nobody: AudienceFilter = { tag: 'nobody has it' };

test('who is in a dynamic segment follows from what users are, at once', async () => {
  const [ann, bob] = [await makeTagged(), await makeTagged()];
  const segment = await makeDynamicSegment(g.server, { any: [{ tag: ann.tag }, { tag: bob.tag }] });
  expect(await findMembers(g.server, segment)).toMatchObject({ memberCount: 2, members: { totalCount: 2 } });
  await g.pool.query(sql`update users set tags = '{}' where id = ${localIdOf(bob.id)}::uuid`);
  expect(await listMembers(g.server, segment)).toEqual([ann.id]);
});

test('a segment tells its filter as a client may write it again', async () => {
  const inner = await makeDynamicSegment(g.server, nobody);
  const filter: AudienceFilter = {
    all: [
      { attribute: { name: 'points', gt: '10.50', in: [20, '3e1'] } },
      { not: { inSegment: inner } },
      { standardAttribute: { name: 'BIRTHDAY', withinLast: { days: 7 } } },
      { createdAt: { from: '2026-11-22T15:04:05Z' } },
      { country: ['nl'] },
    ],
  };
  const made = await createSegment(g.server, { filter });
  if (made?.__typename !== 'CreateSegmentPayload') throw new Error(`Refused: ${JSON.stringify(made)}`);
  expect(made.segment).toMatchObject({
    kind: 'DYNAMIC',
    memberCount: 0,
    filter: {
      all: [
        { attribute: { name: 'points', gt: '10.5', in: ['20', '30'] } },
        { not: { inSegment: localIdOf(inner) } },
        { standardAttribute: { name: 'BIRTHDAY', withinLast: { days: 7 } } },
        { createdAt: { from: '2026-11-22T15:04:05.000Z' } },
        { country: ['NL'] },
      ],
    },
  });
  expect(Date.now() - Date.parse(made.segment.memberCountedAt)).toBeLessThan(60_000);
  const { body } = await g.server.send(
    'query($filter: AudienceFilter!) { previewSegment(filter: $filter) { count } }',
    { filter: made.segment.filter },
  );
  expect(body).toMatchObject({ data: { previewSegment: { count: 0 } } });
});

test('members come in pages, each once, oldest profile first', async () => {
  const tag = randomUUID();
  for (const _ of [1, 2, 3]) await makeTagged(tag);
  const segment = await makeDynamicSegment(g.server, { tag });
  const first = await findMembers(g.server, segment, { first: 2 });
  expect(first?.members).toMatchObject({ totalCount: 3, pageInfo: { hasNextPage: true } });
  const second = await findMembers(g.server, segment, { first: 2, after: first?.members.pageInfo.endCursor ?? null });
  const ids = [first, second].flatMap((page) => page?.members.nodes.map(({ id }) => localIdOf(id)) ?? []);
  expect(ids).toHaveLength(3);
  expect(ids).toEqual(ids.toSorted());
});

test('nobody puts people into a dynamic segment, or takes them out', async () => {
  const [segment, { id }] = [await makeDynamicSegment(g.server, nobody), await makePerson(g)];
  for (const field of ['addToSegment', 'removeFromSegment']) {
    const { body } = await g.server.send(
      `mutation($segment: ID!, $user: ID!) {
        it: ${field}(input: { segment: $segment, users: [{ id: $user }] }) { ... on Error { code path } }
      }`,
      { segment, user: id },
    );
    expect(body.data).toEqual({ it: { code: 'STATE_CONFLICT', path: ['segment'] } });
  }
});

const deep = (levels: number): AudienceFilter => (levels === 0 ? nobody : { not: deep(levels - 1) });

test.each<[string, AudienceFilter, string, string[]]>([
  ['an empty list (N7)', { all: [] }, 'VALUE_INVALID', ['all']],
  ['an empty list within', { any: [nobody, { not: { all: [] } }] }, 'VALUE_INVALID', ['any', '1', 'not', 'all']],
  ['an installation that could be any', { installation: {} }, 'VALUE_INVALID', ['installation']],
  [
    'an undefined attribute',
    { all: [nobody, { attribute: { name: 'none', eq: 1 } }] },
    'ATTRIBUTE_INVALID',
    ['all', '1', 'attribute', 'name'],
  ],
  ['no operator', { attribute: { name: 'points' } }, 'VALUE_INVALID', ['attribute']],
  [
    'a value of another type',
    { not: { attribute: { name: 'points', gt: 'many' } } },
    'ATTRIBUTE_INVALID',
    ['not', 'attribute', 'gt'],
  ],
  [
    'such a value in a list',
    { attribute: { name: 'points', in: [1, true] } },
    'ATTRIBUTE_INVALID',
    ['attribute', 'in', '1'],
  ],
  [
    'an operator that the type has not',
    { attribute: { name: 'points', startsWith: '1' } },
    'ATTRIBUTE_INVALID',
    ['attribute', 'startsWith'],
  ],
  [
    'hours of days',
    { attribute: { name: 'since', withinLast: { hours: 1 } } },
    'ATTRIBUTE_INVALID',
    ['attribute', 'withinLast'],
  ],
  [
    'an undeclared field',
    { attribute: { name: 'orders', any: [{ field: 'no', eq: 'a' }] } },
    'ATTRIBUTE_INVALID',
    ['attribute', 'any', '0', 'field'],
  ],
  ['a scalar operator of a list', { attribute: { name: 'orders', eq: 'a' } }, 'ATTRIBUTE_INVALID', ['attribute', 'eq']],
  [
    'an attribute of another owner',
    { installation: { attribute: [{ name: 'points', eq: 1 }] } },
    'ATTRIBUTE_INVALID',
    ['installation', 'attribute', '0', 'name'],
  ],
  ['no country', { country: ['NL', 'XX'] }, 'VALUE_INVALID', ['country', '1']],
  ['no language', { language: ['no language'] }, 'VALUE_INVALID', ['language', '0']],
  [
    'no version',
    { installation: { appVersion: { gte: 'latest' } } },
    'VALUE_INVALID',
    ['installation', 'appVersion', 'gte'],
  ],
  [
    'a version of 257 characters',
    { installation: { appVersion: { eq: `1.2.3-${'9'.repeat(251)}` } } },
    'VALUE_INVALID',
    ['installation', 'appVersion', 'eq'],
  ],
  ['no duration', { lastSeen: { withinLast: { days: 0 } } }, 'VALUE_INVALID', ['lastSeen', 'withinLast', 'days']],
  ['no segment', { any: [{ inSegment: randomUUID() }] }, 'NOT_FOUND', ['any', '0', 'inSegment']],
  ['nine levels', deep(9), 'LIMIT_EXCEEDED', Array.from({ length: 9 }, () => 'not')],
  ['more than 100 conditions', { any: Array.from({ length: 100 }, () => nobody) }, 'LIMIT_EXCEEDED', []],
  [
    'more than 262,144 characters',
    { attribute: { name: 'plan', in: Array.from({ length: 66 }, (_, index) => `${index} ${'a'.repeat(4_000)}`) } },
    'LIMIT_EXCEEDED',
    [],
  ],
  [
    'more than 1,000 values',
    { attribute: { name: 'plan', in: Array.from({ length: 1_001 }, String) } },
    'LIMIT_EXCEEDED',
    ['attribute', 'in'],
  ],
])('a filter is refused with the path of the mistake: %s', async (_, filter, code, path) => {
  expect(await createSegment(g.server, { filter })).toMatchObject({ code, path: ['filter', ...path] });
  const { body } = await g.server.send(
    'query($filter: AudienceFilter!) { previewSegment(filter: $filter) { count } }',
    {
      filter,
    },
  );
  expect(body.errors).toMatchObject([{ extensions: { reason: code, inputPath: ['filter', ...path] } }]);
});

test('a filter as large as may be is taken', async () => {
  const filter = { any: [{ not: deep(6) }, ...Array.from({ length: 91 }, () => nobody)] };
  expect(await createSegment(g.server, { filter })).toMatchObject({ segment: { kind: 'DYNAMIC' } });
});

describe('without a value', () => {
  test('only `exists: false` and `not` hold of an attribute', async () => {
    const person = await makeTagged();
    const holds = async (filter: AudienceFilter) =>
      (await previewSegment(g.server, { all: [{ tag: person.tag }, filter] })).count === 1;
    expect(await holds({ attribute: { name: 'plan', exists: false } })).toBe(true);
    expect(await holds({ not: { attribute: { name: 'plan', eq: 'gold' } } })).toBe(true);
    expect(await holds({ attribute: { name: 'plan', ne: 'gold' } })).toBe(false);
    expect(await holds({ not: { country: ['NL'] } })).toBe(true);
  });
});

test('numbers are compared exactly, whatever JavaScript makes of them', async () => {
  const person = await makeTagged(undefined, { points: '9007199254740993' });
  const count = async (operators: object) =>
    (await previewSegment(g.server, { all: [{ tag: person.tag }, { attribute: { name: 'points', ...operators } }] }))
      .count;
  expect(await count({ eq: '9007199254740993' })).toBe(1);
  expect(await count({ gt: '9007199254740992' })).toBe(1);
  expect(await count({ gte: '9007199254740993.1' })).toBe(0);
  const { body } = await g.server.send(
    `{ previewSegment(filter: { all: [{ tag: "${person.tag}" }, { attribute: { name: "points", eq: 9007199254740993 } }] }) { count } }`,
  );
  expect(body.data).toEqual({ previewSegment: { count: 1 } });
});

test('an attribute of whatever name is asked for, also one that objects of JavaScript have by themselves', async () => {
  for (const name of ['__proto__', 'constructor', 'toString']) {
    await defineAttribute(g, { name, type: 'STRING' });
    const [person, other] = [await makeTagged(undefined, JSON.parse(`{ "${name}": "a" }`)), await makeTagged()];
    const segment = await makeDynamicSegment(g.server, { attribute: { name, eq: 'a' } });
    expect(await listMembers(g.server, segment), name).toEqual([person.id]);
    for (const { id } of [person, other]) {
      expect(await explainMembership(g.server, segment, { id }), name).toMatchObject({ isMember: id === person.id });
    }
  }
});

test('a preview counts and shows without saving', async () => {
  const tag = randomUUID();
  const people = [await makeTagged(tag), await makeTagged(tag)];
  const before = await g.db.segment.count();
  expect(await previewSegment(g.server, { tag }, 1)).toMatchObject({ count: 2, sample: [{ id: people[0]?.id }] });
  expect(await g.db.segment.count()).toBe(before);
});

test('why a user is in a segment is told condition by condition, with the value that decided (N5)', async () => {
  const person = await makeTagged(undefined, { points: '7' });
  const inner = await makeDynamicSegment(g.server, { attribute: { name: 'points', gte: 7 } });
  const segment = await makeDynamicSegment(g.server, { all: [{ inSegment: inner }, { not: { country: ['NL'] } }] });
  expect(await explainMembership(g.server, segment, { id: person.id })).toMatchObject({
    isMember: true,
    segment: { id: segment },
    user: { id: person.id },
    reasons: [
      { path: ['all'], holds: true, value: null },
      { path: ['all', '0', 'inSegment'], holds: true },
      {
        path: ['all', '0', 'inSegment', 'attribute'],
        holds: true,
        value: '"7"',
        condition: 'has the attribute "points" is "7" or greater',
      },
      { path: ['all', '1', 'not'], holds: true, value: null },
      { path: ['all', '1', 'not', 'country'], holds: false, value: null },
    ],
  });
  const [survivor, stranger] = [await makePerson(g), await makePerson(g)];
  await mergeUsers(g.server, { survivor: { id: survivor.id }, merged: { id: stranger.id }, allowAlias: true });
  expect(await explainMembership(g.server, segment, { id: stranger.id })).toMatchObject({
    isMember: false,
    user: { id: survivor.id },
  });
  expect(await explainMembership(g.server, segment, { externalUserId: randomUUID() })).toBeNull();
  const hand = await makeSegment(g.server, [person.id]);
  expect(await explainMembership(g.server, hand, { id: person.id })).toMatchObject({
    isMember: true,
    reasons: [{ path: [], holds: true }],
  });
});

test('a user shows the segments it is in, static and dynamic, in pages', async () => {
  const person = await makeTagged();
  const segments = [
    await makeSegment(g.server, [person.id]),
    await makeDynamicSegment(g.server, { tag: person.tag }),
    await makeSegment(g.server, [person.id]),
  ];
  await makeDynamicSegment(g.server, { all: [{ tag: person.tag }, nobody] });
  // Others of this file may hold for anybody.
  const total = (await findSegmentsOf(g.server, { id: person.id }, { first: 100 }))?.totalCount;
  const ids: string[] = [];
  for (let after: string | null = null; ; ) {
    const page: Awaited<ReturnType<typeof findSegmentsOf>> = await findSegmentsOf(
      g.server,
      { id: person.id },
      { first: 2, after },
    );
    expect(page?.totalCount).toBe(total);
    ids.push(...(page?.nodes ?? []).map(({ id }) => id));
    if (!page?.pageInfo.hasNextPage) break;
    after = page.pageInfo.endCursor;
  }
  expect(ids).toHaveLength(total ?? 0);
  expect(ids.slice(-3)).toEqual(segments);
});

describe('a segment that is changed', () => {
  test('has its new name, description and members at once', async () => {
    const person = await makeTagged();
    const [segment, name] = [await makeDynamicSegment(g.server, nobody), ` ${randomUUID()} `];
    expect(
      await updateSegment(g.server, { segment, name, description: 'Why', filter: { tag: person.tag } }),
    ).toMatchObject({ segment: { name: name.trim(), description: 'Why', memberCount: 1 } });
    expect(await updateSegment(g.server, { segment, description: null })).toMatchObject({
      segment: { name: name.trim(), description: null, memberCount: 1 },
    });
  });

  test('takes no name that another has, no filter if it is static, and has to be there', async () => {
    const [taken, segment] = [randomUUID(), await makeSegment(g.server, [])];
    await createSegment(g.server, { name: taken });
    expect(await updateSegment(g.server, { segment, name: taken })).toMatchObject({
      code: 'NAME_TAKEN',
      path: ['name'],
    });
    expect(await updateSegment(g.server, { segment, filter: nobody })).toMatchObject({
      code: 'STATE_CONFLICT',
      path: ['filter'],
    });
    expect(await updateSegment(g.server, { segment: randomUUID(), name: randomUUID() })).toMatchObject({
      code: 'NOT_FOUND',
      path: ['segment'],
    });
  });

  test('never names itself, also not through others, also not when two are changed at once', async () => {
    const a = await makeDynamicSegment(g.server, nobody);
    const b = await makeDynamicSegment(g.server, { any: [nobody, { inSegment: a }] });
    const refused = { code: 'VALUE_INVALID', path: ['filter', 'not', 'inSegment'] };
    expect(await updateSegment(g.server, { segment: a, filter: { not: { inSegment: a } } })).toMatchObject(refused);
    expect(await updateSegment(g.server, { segment: a, filter: { not: { inSegment: b } } })).toMatchObject(refused);
    const [c, d] = [await makeDynamicSegment(g.server, nobody), await makeDynamicSegment(g.server, nobody)];
    const results = await Promise.all([
      updateSegment(g.server, { segment: c, filter: { inSegment: d } }),
      updateSegment(g.server, { segment: d, filter: { inSegment: c } }),
    ]);
    expect(results.map((result) => result?.__typename).sort()).toEqual(['UpdateSegmentPayload', 'ValueInvalidError']);
  });
});

const PageOfSegments = graphql(`query PageOfSegments { segments(last: 2) { totalCount nodes { id kind } } }`);

test('a deleted segment is gone, and its repeat tells the same', async () => {
  const segment = await makeDynamicSegment(g.server, nobody);
  expect((await g.server.run(PageOfSegments)).segments.nodes.at(-1)).toEqual({ id: segment, kind: 'DYNAMIC' });
  const key = randomUUID();
  for (const _ of [1, 2])
    expect(await deleteSegment(g.server, segment, key)).toMatchObject({ deletedSegmentId: segment });
  expect(await findMembers(g.server, segment)).toBeNull();
  expect(await deleteSegment(g.server, segment)).toMatchObject({ code: 'NOT_FOUND', path: ['segment'] });
});

describe('a segment is not deleted', () => {
  const inUse = { code: 'SEGMENT_IN_USE', path: ['segment'] };

  test('while another one names it', async () => {
    const inner = await makeSegment(g.server, []);
    const outer = await makeDynamicSegment(g.server, { all: [{ not: { inSegment: inner } }] });
    expect(await deleteSegment(g.server, inner)).toMatchObject(inUse);
    await deleteSegment(g.server, outer);
    expect(await deleteSegment(g.server, inner)).toMatchObject({ deletedSegmentId: inner });
  });

  test("while it is the scope of a partner's operation", async () => {
    const segment = await makeDynamicSegment(g.server, nobody);
    await makePartnerOperation(g.server, 'acme', {
      document: 'query($id: ID!) { node(id: $id) { id } }',
      scope: { segment },
    });
    expect(await deleteSegment(g.server, segment)).toMatchObject(inUse);
  });

  test.each([
    'segments',
    'excludeSegments',
    'filter',
  ] as const)('while a send is on its way to it: %s', async (field) => {
    const segment = await makeSegment(g.server, []);
    const target = { segments: [await makeSegment(g.server, [])], excludeSegments: [] };
    const notification = await makeNotification(
      g.server,
      toSend({ ...target, [field]: field === 'filter' ? { inSegment: segment } : [segment] }),
    );
    expect(await deleteSegment(g.server, segment)).toMatchObject(inUse);
    await g.pool.query(sql`
      update notifications set fan_out_finished_at = now(), fan_out_cursor = null where id = ${localIdOf(notification)}::uuid`);
    expect(await deleteSegment(g.server, segment)).toMatchObject({ deletedSegmentId: segment });
  });
});
