import { expect, test } from 'vitest';
import { z } from 'zod';
import { getDatamodel } from '../../src/generated/pothos-types.ts';
import * as enums from '../../src/generated/prisma/enums.ts';
import { useDatabase } from '../support/database.ts';

const database = useDatabase();

/** The parts of Prisma's own model: how things are called in the database … */
const runtimeModels = z.record(
  z.string(),
  z.object({
    dbName: z.string().nullable(),
    fields: z.array(z.object({ name: z.string(), kind: z.string(), type: z.string(), dbName: z.string().optional() })),
  }),
);

/** … and what they must hold. */
const datamodel = z.object({
  datamodel: z.object({
    models: z.record(
      z.string(),
      z.object({ fields: z.array(z.object({ name: z.string(), isRequired: z.boolean(), isList: z.boolean() })) }),
    ),
  }),
});

const columnTypes: Record<string, readonly string[]> = {
  String: ['text', 'uuid'],
  Int: ['int4'],
  BigInt: ['int8'],
  Boolean: ['bool'],
  DateTime: ['timestamptz', 'date'],
  Bytes: ['bytea'],
  Json: ['jsonb'],
};

interface Column {
  place: string;
  isNullable: boolean;
  isList: boolean;
  type: string;
}

function listModelColumns(): Column[] {
  const runtime = z.object({ models: runtimeModels }).parse(Reflect.get(database.db, '_runtimeDataModel'));
  const { models } = datamodel.parse(getDatamodel()).datamodel;
  return Object.entries(runtime.models).flatMap(([model, { dbName: table, fields }]) =>
    fields
      .filter(({ kind }) => kind !== 'object')
      .map(({ name, type, dbName }): Column => {
        const known = models[model]?.fields.find((field) => field.name === name);
        if (!known) throw new Error(`${model}.${name} is in one of Prisma's models only.`);
        return {
          place: `${table ?? model}.${dbName ?? name}`,
          // Prisma migrates no list to `not null`; it reads null as an empty one.
          isNullable: known.isList || !known.isRequired,
          isList: known.isList,
          type,
        };
      }),
  );
}

async function listColumns(): Promise<Column[]> {
  const { rows } = await database.pool.query<Column>(`
    select table_name || '.' || column_name as place, is_nullable = 'YES' as "isNullable",
      data_type = 'ARRAY' as "isList", ltrim(udt_name, '_') as type
    from information_schema.columns
    where table_schema = 'public' and table_name <> '_prisma_migrations'
      -- Partitions have the columns of their table.
      and not (select relispartition from pg_class where oid = format('%I', table_name)::regclass)
  `);
  return rows;
}

/** The labels of every enum of the database, by its name, in order. */
async function listEnums(): Promise<Map<string, string[]>> {
  const { rows } = await database.pool.query<{ name: string; labels: string[] }>(`
    select typname as name, array_agg(enumlabel::text order by enumsortorder) as labels
    from pg_enum join pg_type on pg_type.oid = enumtypid group by typname
  `);
  return new Map(rows.map(({ name, labels }) => [name, labels]));
}

const byPlace = (a: Column, b: Column) => (a.place < b.place ? -1 : 1);

test('the models and the migrated database have the same tables and columns, null in the same places', async () => {
  const withoutType = ({ type, ...column }: Column) => column;
  const columns = (await listColumns()).sort(byPlace).map(withoutType);
  expect(columns.length).toBeGreaterThan(100);
  expect(columns).toEqual(listModelColumns().sort(byPlace).map(withoutType));
});

test('every column has the type, and every enum the values, that its model says', async () => {
  const labels = await listEnums();
  const columns = new Map((await listColumns()).map(({ place, type }) => [place, type]));
  const values = new Map<string, string[]>(Object.entries(enums).map(([name, value]) => [name, Object.keys(value)]));

  for (const { place, type } of listModelColumns()) {
    const columnType = columns.get(place) ?? '';
    const expected = values.get(type);
    if (expected) expect(labels.get(columnType), place).toEqual(expected);
    else expect(columnTypes[type], place).toContain(columnType);
  }
});
