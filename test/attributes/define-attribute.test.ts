import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { useApp } from '../support/app.ts';
import { defineAttribute, listAttributeDefinitions, makeAttribute } from '../support/attributes.ts';

const g = useApp({ role: 'gateway' });

const refusal = (code: string, path: readonly string[]) => expect.objectContaining({ code, path });
const countDefinitions = () => g.db.attributeDefinition.count();

describe('U13: attributes are defined first', () => {
  test('a definition is told as it was made', async () => {
    const name = `favsList ${randomUUID()}`;
    const fields = [
      { name: 'sku', type: 'STRING' as const },
      { name: 'price', type: 'NUMBER' as const },
    ];
    const result = await defineAttribute(g.server, { owner: 'USER', name, type: 'OBJECT_LIST', fields });
    expect(result).toMatchObject({
      attributeDefinition: { owner: 'USER', name, type: 'OBJECT_LIST', fields, removedAt: null },
    });
  });

  test('the same definition again changes nothing, its fields in whatever order', async () => {
    const list = { owner: 'USER', name: randomUUID(), type: 'OBJECT_LIST' } as const;
    const fields = [
      { name: 'a', type: 'STRING' as const },
      { name: 'b', type: 'DATE' as const },
    ];
    const first = await defineAttribute(g.server, { ...list, fields });
    expect(await defineAttribute(g.server, { ...list, fields: fields.toReversed() })).toEqual(first);
  });

  test('twenty definitions of one name at once make one', async () => {
    const definition = { owner: 'USER', name: randomUUID(), type: 'NUMBER' } as const;
    const before = await countDefinitions();
    const results = await Promise.all(Array.from({ length: 20 }, () => defineAttribute(g.server, definition)));
    expect(new Set(results.map((result) => result?.__typename))).toEqual(new Set(['DefineAttributePayload']));
    expect(await countDefinitions()).toBe(before + 1);
  });

  test('another type, or other fields, under a known name are NAME_TAKEN', async () => {
    const number = await makeAttribute(g.server, { type: 'NUMBER' });
    expect(await defineAttribute(g.server, { owner: 'USER', name: number, type: 'STRING' })).toEqual(
      refusal('NAME_TAKEN', ['name']),
    );
    const fields = [{ name: 'a', type: 'STRING' as const }];
    const list = { owner: 'USER', type: 'OBJECT_LIST', name: randomUUID() } as const;
    await makeAttribute(g.server, { ...list, fields });
    for (const other of [
      [{ name: 'a', type: 'NUMBER' as const }],
      [...fields, { name: 'b', type: 'STRING' as const }],
    ]) {
      expect(await defineAttribute(g.server, { ...list, fields: other })).toEqual(refusal('NAME_TAKEN', ['name']));
    }
  });

  test('users and installations have attributes of their own', async () => {
    const name = await makeAttribute(g.server, { owner: 'USER', type: 'NUMBER' });
    await makeAttribute(g.server, { owner: 'INSTALLATION', name, type: 'STRING' });
    const { nodes } = await listAttributeDefinitions(g.server, { owner: 'INSTALLATION', first: 100 });
    expect(nodes.filter((node) => node.name === name)).toMatchObject([{ owner: 'INSTALLATION', type: 'STRING' }]);
  });

  test('definitions come in pages, oldest first', async () => {
    for (const _ of Array(3)) await makeAttribute(g.server, { owner: 'INSTALLATION', type: 'DATE' });
    const all = await listAttributeDefinitions(g.server, { owner: 'INSTALLATION', first: 100 });
    const first = await listAttributeDefinitions(g.server, { owner: 'INSTALLATION', first: 2 });
    const rest = await listAttributeDefinitions(g.server, {
      owner: 'INSTALLATION',
      first: 100,
      after: first.pageInfo.endCursor ?? null,
    });
    expect([...first.nodes, ...rest.nodes]).toEqual(all.nodes);
    expect(first).toMatchObject({ totalCount: all.nodes.length, pageInfo: { hasNextPage: true } });
  });

  test.each([
    'x'.repeat(256),
    '😀'.repeat(256),
    '__proto__',
    'constructor',
    'null',
    'a.b "c" \\ $1',
    ' ',
  ])('a name may be %j', async (name) => {
    expect(await defineAttribute(g.server, { owner: 'USER', name, type: 'BOOLEAN' })).toMatchObject({
      attributeDefinition: { name },
    });
  });

  test.each([
    '',
    'x'.repeat(257),
    'a{b',
    'a}b',
    'a[0',
    'a]',
    'a\nb',
    'a\u0085b',
  ])('a name may not be %j', async (name) => {
    expect(await defineAttribute(g.server, { owner: 'USER', name, type: 'STRING' })).toEqual(
      refusal('VALUE_INVALID', ['name']),
    );
    const fields = [
      { name: 'a', type: 'STRING' as const },
      { name, type: 'STRING' as const },
    ];
    expect(await defineAttribute(g.server, { owner: 'USER', name: randomUUID(), type: 'OBJECT_LIST', fields })).toEqual(
      refusal('VALUE_INVALID', ['fields', '1', 'name']),
    );
  });

  test('a name is kept in NFC, and look-alikes are different names', async () => {
    const suffix = randomUUID();
    await makeAttribute(g.server, { name: `cafe\u0301 ${suffix}`, type: 'STRING' });
    expect(await defineAttribute(g.server, { owner: 'USER', name: `caf\u00e9 ${suffix}`, type: 'NUMBER' })).toEqual(
      refusal('NAME_TAKEN', ['name']),
    );
    // Cyrillic.
    expect(
      await defineAttribute(g.server, { owner: 'USER', name: `саf\u00e9 ${suffix}`, type: 'NUMBER' }),
    ).toMatchObject({ attributeDefinition: { name: `саf\u00e9 ${suffix}` } });
  });
});

describe('U15: a list of objects has a declared structure', () => {
  const field = (name: string) => ({ name, type: 'STRING' as const });

  test.each([
    ['no fields', 'OBJECT_LIST', [], 'VALUE_INVALID', ['fields']],
    ['a field twice', 'OBJECT_LIST', [field('a'), field('a')], 'VALUE_INVALID', ['fields', '1', 'name']],
    [
      'a field twice, composed and decomposed',
      'OBJECT_LIST',
      [field('\u00e9'), field('e\u0301')],
      'VALUE_INVALID',
      ['fields', '1', 'name'],
    ],
    [
      'a list in it',
      'OBJECT_LIST',
      [{ name: 'a', type: 'OBJECT_LIST' as const }],
      'VALUE_INVALID',
      ['fields', '0', 'type'],
    ],
    [
      '65 fields',
      'OBJECT_LIST',
      Array.from({ length: 65 }, (_, index) => field(`field ${index}`)),
      'LIMIT_EXCEEDED',
      ['fields'],
    ],
    ['fields of a text', 'STRING', [field('a')], 'VALUE_INVALID', ['fields']],
  ] as const)('%s: refused', async (_, type, fields, code, path) => {
    const before = await countDefinitions();
    expect(await defineAttribute(g.server, { owner: 'USER', name: randomUUID(), type, fields: [...fields] })).toEqual(
      refusal(code, path),
    );
    expect(await countDefinitions()).toBe(before);
  });
});

test('one definition more than 500 of one owner is LIMIT_EXCEEDED, and a known one is not', async () => {
  const known = await makeAttribute(g.server, { owner: 'INSTALLATION', type: 'STRING' });
  await g.pool.query(`
    insert into attribute_definitions (id, owner, name, type)
    select uuid_v7(), 'INSTALLATION', 'filler ' || number, 'STRING'
    from generate_series(1, 500 - (select count(*) from attribute_definitions where owner = 'INSTALLATION')) number`);
  const define = (name: string) => defineAttribute(g.server, { owner: 'INSTALLATION', name, type: 'STRING' });
  expect(await define('one more')).toEqual(refusal('LIMIT_EXCEEDED', ['name']));
  expect(await define(known)).toMatchObject({ attributeDefinition: { name: known } });
  expect(await defineAttribute(g.server, { owner: 'USER', name: 'one more', type: 'STRING' })).toMatchObject({
    attributeDefinition: { name: 'one more' },
  });
});
