import fc from 'fast-check';
import { newId } from '../../../src/ids.ts';
import { audienceSql } from '../../../src/segments/audience.ts';
import { explainFilter, parseFilter, readFilter } from '../../../src/segments/filter.ts';
import { createScope, eventsAskedBy, readSegments } from '../../../src/segments/known-segments.ts';
import { readPersons } from '../../../src/segments/person.ts';
import type { Place } from '../../../src/segments/predicate.ts';
import { listAllDefinitions } from '../../../src/segments/segment-filter.ts';
import { type Database, sql, type Transaction } from '../../../src/storage/database.ts';
import {
  apps,
  arbitraryPerson,
  insertPeople,
  type PlainPerson,
  staticSegments,
  topics,
  type World,
} from './plain-people.ts';
import { arbitraryFilter, filterHolds, plainDefinitions, toInputFilter } from './plain-predicates.ts';

/** For looking for a smaller filter: what was found until then is told. */
const limitMs = 240_000;

interface Sizes {
  people: number;
  filters: number;
  seed: number;
}

/**
 * Makes people and filters at random, and fails with the smallest filter about which the SQL, the decision for one user and the
 * plain meaning are not of one opinion about everybody. All of it at one moment, in a transaction that is rolled back.
 */
export async function findDisagreement(db: Database, sizes: Sizes): Promise<void> {
  const done = new Error('Done.');
  const finding = db.$transaction(
    async (tx) => {
      await agree(tx, sizes);
      throw done;
    },
    { timeout: 600_000 },
  );
  await finding.catch((error: unknown) => {
    if (error !== done) throw error;
  });
}

async function agree(tx: Transaction, { people: count, filters, seed }: Sizes): Promise<void> {
  const [clock] = await tx.$queryRaw<{ now: Date }[]>(sql`select date_trunc('milliseconds', now()) as now`);
  const now = clock?.now.getTime() ?? 0;
  await insertWorld(tx);
  const people = fc.sample(arbitraryPerson(now), { numRuns: count, seed });
  await insertPeople(tx, people);
  const ids = people.map(({ id }) => id);
  const definitions = await listAllDefinitions(tx);
  const world: World = { now, filters: await insertDynamicSegments(tx, { now, seed, definitions }) };
  const segments = await readSegments(tx, [...world.filters.keys()]);
  const scope = createScope(segments);
  const filtersOfSegments = [...segments.values()].map(({ filter }) => filter);
  await fc.assert(
    fc.asyncProperty(arbitraryFilter(now, [...world.filters.keys()]), async (plain) => {
      // As if it was read from a column.
      const stored: unknown = JSON.parse(JSON.stringify(parseFilter(toInputFilter(plain), { path: [], definitions })));
      const filter = readFilter(stored);
      const rows = await tx.$queryRaw<{ id: string }[]>(
        sql`select u.id from users u where ${audienceSql({ filter, scope })}`,
      );
      const persons = await readPersons(tx, ids, eventsAskedBy([filter, ...filtersOfSegments]));
      const bySql = new Set(rows.map(({ id }) => id));
      for (const [index, person] of people.entries()) {
        const read = persons.find(({ id }) => id === person.id);
        const told = {
          sql: bySql.has(person.id),
          code: read && explainFilter(filter, read, { scope }).holds,
        };
        const expected = filterHolds(plain, person, world);
        if (told.sql === expected && told.code === expected) continue;
        throw new Error(
          `Of person ${index}, ${JSON.stringify(told)} is told, but ${expected} is meant by ${JSON.stringify(stored)}: ${JSON.stringify(person)}`,
        );
      }
    }),
    { numRuns: filters, seed, interruptAfterTimeLimit: limitMs },
  );
}

async function insertWorld(tx: Transaction): Promise<void> {
  await tx.$executeRaw(sql`insert into apps (id, name) select id, id::text from unnest(${apps}::uuid[]) as given (id)`);
  await tx.$executeRaw(
    sql`insert into segments (id, name) select id, id::text from unnest(${staticSegments}::uuid[]) as given (id)`,
  );
  await tx.$executeRaw(sql`
    insert into topics (id, name, is_subscribed_by_default)
    select id, id::text, id = ${topics[0]}::uuid from unnest(${topics}::uuid[]) as given (id)`);
  await tx.$executeRaw(sql`
    insert into attribute_definitions (id, owner, name, type, fields)
    select uuid_v7(), owner, name, type, fields
    from jsonb_to_recordset(${JSON.stringify(plainDefinitions)}::jsonb)
      as given (owner attribute_owner, name text, type attribute_type, fields jsonb)`);
}

/** A few dynamic segments, of which the later ones may name the earlier ones. */
async function insertDynamicSegments(
  tx: Transaction,
  { now, seed, definitions }: { now: number; seed: number; definitions: Place['definitions'] },
): Promise<World['filters']> {
  const members = new Map<string, (person: PlainPerson, world: World) => boolean>();
  for (const index of [0, 1, 2]) {
    const [plain] = fc.sample(arbitraryFilter(now, [...members.keys()]), { numRuns: 1, seed: seed + index });
    if (!plain) throw new Error('There is one.');
    const [id, stored] = [newId(), parseFilter(toInputFilter(plain), { path: [], definitions })];
    await tx.$executeRaw(sql`
      insert into segments (id, name, filter) values (${id}::uuid, ${id}, ${JSON.stringify(stored)}::jsonb)`);
    members.set(id, (person, world) => filterHolds(plain, person, world));
  }
  return members;
}
