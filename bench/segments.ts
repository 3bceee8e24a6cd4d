import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { newId } from '../src/ids.ts';
import { createLogger } from '../src/logger.ts';
import { keepAttributeIndexes } from '../src/segments/attribute-indexes.ts';
import { audienceSql, countUsers } from '../src/segments/audience.ts';
import { type Filter, readFilter } from '../src/segments/filter.ts';
import { prepareFilter } from '../src/segments/known-segments.ts';
import { openStorage, type Sql, sql, type Transaction } from '../src/storage/database.ts';
import { explainCount, insertCrowd } from '../test/support/segments/crowd.ts';
import { makeDatabase } from './support/database.ts';
import { type Row, renderTable } from './support/table.ts';

// What it costs to count a segment and to read its first page, beside the same question without indexes, by a scan of the
// tables, in the same rounds. It takes the PostgreSQL of `DATABASE_URL`, else an embedded one. Who asks is this process.

const { values } = parseArgs({
  options: {
    users: { type: 'string', default: '200000' },
    rounds: { type: 'string', default: '5' },
  },
});
const [users, rounds] = [Number(values.users), Number(values.rounds)];

await using database = await makeDatabase();
const storage = openStorage(database.url);
const { db, pool } = storage;
process.stderr.write(`${users.toLocaleString('en')} users …\n`);
await insertCrowd(pool, users);

const reach = {
  all: [{ tag: 'sale' }, { attribute: { name: 'plan', type: 'STRING', eq: 'gold' } }, { isPushReachable: true }],
};
const range = { attribute: { name: 'points', type: 'NUMBER', gte: '950', lt: '960' } };
await pool.query(sql`
  insert into segments (id, name, filter) values (${newId()}::uuid, 'range', ${JSON.stringify(range)}::jsonb)`);
await keepAttributeIndexes({
  ...storage,
  log: createLogger({ level: 'silent' }),
  signal: new AbortController().signal,
});

/** The condition of a stored filter, as the program asks it. */
const whereOf = async (stored: unknown): Promise<Sql> => {
  const filter: Filter = readFilter(stored);
  return audienceSql(await prepareFilter(db, filter));
};

/** What `reach` asks for without the kept column. */
const plainReach = sql`
  u.merged_into_id is null and u.tags @> array['sale'] and u.custom_attributes @> '{"plan":"gold"}'
  and exists (
    select from installations i join recipients r on r.installation_id = i.id
    where i.user_id = u.id and may_receive_push(i, r.is_subscribed)
  )`;

/** Milliseconds that a question takes. */
async function timed(ask: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await ask();
  return performance.now() - began;
}

/** The same without any index. */
const scanning = (ask: (tx: Transaction) => Promise<unknown>) =>
  db.$transaction(
    async (tx) => {
      for (const kind of ['indexscan', 'indexonlyscan', 'bitmapscan']) {
        await tx.$executeRawUnsafe(`set local enable_${kind} = off`);
      }
      return timed(() => ask(tx));
    },
    { timeout: 120_000 },
  );

const firstPage = (where: Sql) => db.$queryRaw(sql`select u.* from users u where ${where} order by u.id limit 101`);

for (const [stored, index] of [
  [reach, 'users_tags_idx'],
  [reach, 'users_custom_attributes_idx'],
  [range, 'users_attribute_'],
] as const) {
  const plan = await explainCount(pool, await whereOf(stored));
  if (!plan.includes(index)) throw new Error(`${JSON.stringify(stored)} does not use ${index}: ${plan}`);
}

const [reachWhere, rangeWhere] = [await whereOf(reach), await whereOf(range)];
const ours = await countUsers(db, reachWhere);
const theirs = await countUsers(db, plainReach);
if (ours.count !== theirs.count || ours.count === 0) throw new Error(`Counted ${ours.count} and ${theirs.count}.`);

const counted: number[] = [];
const scanned: number[] = [];
const paged: number[] = [];
const ranged: number[] = [];
const rangeScanned: number[] = [];
for (let round = 0; round <= rounds; round += 1) {
  const figures: [number[], number][] = [
    [counted, await timed(() => countUsers(db, reachWhere))],
    [scanned, await scanning((tx) => countUsers(tx, plainReach))],
    [paged, await timed(() => firstPage(reachWhere))],
    [ranged, await timed(() => countUsers(db, rangeWhere))],
    [rangeScanned, await scanning((tx) => countUsers(tx, rangeWhere))],
  ];
  // The first round warms up.
  if (round > 0) for (const [list, ms] of figures) list.push(ms);
}
await storage.close();

const rows: Row[] = [
  {
    what: 'count: tag + attribute + reachable by push',
    unit: 'ms',
    ours: counted,
    measure: scanned,
    of: 'scan',
    limit: { atMost: 0.2 },
  },
  { what: 'first page of 100 of them', unit: 'ms', ours: paged, measure: scanned, of: 'scan', limit: { atMost: 0.05 } },
  {
    what: 'count: attribute in a range',
    unit: 'ms',
    ours: ranged,
    measure: rangeScanned,
    of: 'scan',
    limit: { atMost: 0.2 },
  },
];
process.stdout.write(`Medians of ${rounds} rounds; ${users.toLocaleString('en')} users; Node ${process.version}, ${availableParallelism()} cores

${renderTable(rows)}
Counted: ${ours.count} users, by both. scan: the same question with no index and without the kept column. The plans were looked at:
each of ours uses its indexes.
`);
