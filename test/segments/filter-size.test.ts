import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { readSegments } from '../../src/segments/known-segments.ts';
import { sql } from '../../src/storage/database.ts';
import type { AudienceFilter } from '../generated/graphql.ts';
import { useApp } from '../support/app.ts';
import { makeNotification, sendNotification } from '../support/operations.ts';
import { createSegment, makeDynamicSegment, previewSegment, updateSegment } from '../support/segments/operations.ts';
import { localIdOf, makeSegment, toSend } from '../support/send-operations.ts';

// What segments that name each other may come to: 20,000 conditions, groups and values, and 16 in a row.

const g = useApp({ role: 'gateway' });

const nobody: AudienceFilter = { tag: 'nobody has it' };
const refused = (...path: string[]) => ({ code: 'LIMIT_EXCEEDED', path });
const anyOf = (id: string, count: number): AudienceFilter => ({
  any: Array.from({ length: count }, () => ({ inSegment: id })),
});

/** About 3,000, 6,000 and 18,000 large. */
let [small, large, largest] = ['', '', ''];
beforeAll(async () => {
  const plain = await makeDynamicSegment(g.server, { any: Array.from({ length: 99 }, () => nobody) });
  small = await makeDynamicSegment(g.server, anyOf(plain, 15));
  large = await makeDynamicSegment(g.server, anyOf(small, 2));
  largest = await makeDynamicSegment(g.server, anyOf(small, 6));
});

describe('a filter with those of the segments that it names', () => {
  test('is not larger than a statement can hold', async () => {
    expect(await createSegment(g.server, { filter: anyOf(large, 3) })).toMatchObject({ segment: { kind: 'DYNAMIC' } });
    expect(await createSegment(g.server, { filter: anyOf(large, 4) })).toMatchObject(refused('filter'));
    expect((await previewSegment(g.server, { inSegment: largest })).count).toBe(0);
    const { body } = await g.server.send(
      'query($filter: AudienceFilter!) { previewSegment(filter: $filter) { count } }',
      { filter: anyOf(largest, 2) },
    );
    expect(body.errors).toMatchObject([{ extensions: { reason: 'LIMIT_EXCEEDED', inputPath: ['filter'] } }]);
  });

  test('does not grow by a change of a segment that it names', async () => {
    const inner = await makeDynamicSegment(g.server, nobody);
    await makeDynamicSegment(g.server, anyOf(inner, 4));
    expect(await updateSegment(g.server, { segment: inner, filter: { inSegment: large } })).toMatchObject(
      refused('filter'),
    );
  });

  test('counts what has no values, too', async () => {
    const reachable: AudienceFilter = { isPushReachable: true };
    const inner = await makeDynamicSegment(g.server, { all: Array.from({ length: 99 }, () => reachable) });
    const outer = await makeDynamicSegment(g.server, anyOf(inner, 90));
    expect(await createSegment(g.server, { filter: anyOf(outer, 3) })).toMatchObject(refused('filter'));
  });

  test('is of at most 16 segments of which each names the next, also when one between them is changed', async () => {
    const chain = [await makeDynamicSegment(g.server, nobody)];
    const last = () => chain.at(-1) ?? '';
    while (chain.length < 16) chain.push(await makeDynamicSegment(g.server, { not: { inSegment: last() } }));
    expect((await previewSegment(g.server, { all: [nobody, { inSegment: last() }] })).count).toBe(0);
    expect(await createSegment(g.server, { filter: { inSegment: last() } })).toMatchObject(refused('filter'));
    const below = await makeDynamicSegment(g.server, nobody);
    const filter = { inSegment: below };
    expect(await updateSegment(g.server, { segment: chain[0] ?? '', filter })).toMatchObject(refused('filter'));
    expect(await updateSegment(g.server, { segment: chain[1] ?? '', filter })).toMatchObject({ segment: {} });
  });

  test('takes no property of an event for a segment, whatever it is called', async () => {
    for (const value of ['a'.repeat(36), '-'.repeat(36), randomUUID()]) {
      const segment = await makeDynamicSegment(g.server, { event: { name: 'a', properties: { inSegment: value } } });
      expect((await previewSegment(g.server, { inSegment: segment })).count).toBe(0);
    }
  });

  test('is read as of one moment, so that no change of them in between makes a circle', async () => {
    const inner = await makeDynamicSegment(g.server, { inSegment: await makeSegment(g.server, []) });
    const outer = await makeDynamicSegment(g.server, { any: [{ not: { inSegment: inner } }, { inSegment: large }] });
    let statements = 0;
    const known = await readSegments(
      {
        $queryRaw: (statement) => {
          statements += 1;
          return g.db.$queryRaw(statement);
        },
      },
      [localIdOf(outer)],
    );
    expect([statements, known.size]).toEqual([1, 6]);
  });
});

describe('a target', () => {
  const toTarget = (target: Parameters<typeof toSend>[0]) => sendNotification(g.server, toSend(target));

  test('asks for no more than its fan-out can, with all of its segments and its filter', async () => {
    expect(await toTarget({ segments: [large, large, large] })).toMatchObject({ notification: {} });
    expect(await toTarget({ segments: [large, large, large, large] })).toMatchObject(refused('target'));
    expect(await toTarget({ segments: [large], excludeSegments: [largest] })).toMatchObject(refused('target'));
    expect(await toTarget({ segments: [largest], filter: { inSegment: large } })).toMatchObject(refused('target'));
    expect(await toTarget({ users: [{ email: 'a@example.com' }], excludeSegments: [largest, large] })).toMatchObject(
      refused('target'),
    );
  });

  test('asks for no more installations than its fan-out can', async () => {
    // Says whom each of its groups is about a second time, where it says which installations they have.
    const nested = (levels: number): AudienceFilter =>
      levels === 0
        ? { any: [{ installation: { isPrimary: true } }, { inSegment: small }] }
        : { any: [nested(levels - 1)] };
    const wide = { any: [nested(5), { inSegment: large }, { inSegment: large }] };
    expect((await previewSegment(g.server, wide)).count).toBe(0);
    expect(await toTarget({ filter: wide })).toMatchObject(refused('target'));
  });

  test('does not outgrow its fan-out by a change of a segment, as long as it is on its way', async () => {
    const [segment, inner] = [await makeDynamicSegment(g.server, nobody), await makeDynamicSegment(g.server, nobody)];
    const outer = await makeDynamicSegment(g.server, { not: { inSegment: inner } });
    const notifications = [
      await makeNotification(g.server, toSend({ segments: [largest, segment] })),
      await makeNotification(g.server, toSend({ filter: { inSegment: largest }, excludeSegments: [outer] })),
    ];
    const grow = (id: string) => updateSegment(g.server, { segment: id, filter: { inSegment: large } });
    expect(await grow(segment)).toMatchObject(refused('filter'));
    expect(await grow(inner)).toMatchObject(refused('filter'));
    await g.pool.query(sql`
      update notifications set fan_out_finished_at = now(), fan_out_cursor = null
      where id = any(${notifications.map(localIdOf)}::uuid[])`);
    expect(await grow(segment)).toMatchObject({ segment: {} });
    expect(await grow(inner)).toMatchObject({ segment: {} });
  });
});
