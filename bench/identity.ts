import { randomBytes, randomUUID } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { readConfig } from '../src/config.ts';
import { personalize } from '../src/identity/personalize/personalize.ts';
import { saveUser } from '../src/identity/save/save-users.ts';
import { createLogger } from '../src/logger.ts';
import { createCipher } from '../src/storage/cipher.ts';
import { openStorage } from '../src/storage/database.ts';
import { createInProcessBus } from '../src/stream/bus/in-process-bus.ts';
import { createChains } from './identity/chains.ts';
import { measureImport } from './identity/import.ts';
import { makeTown } from './identity/town.ts';
import { makeDatabase } from './support/database.ts';
import { type Row, renderTable } from './support/table.ts';

// How many people a second can be told apart, beside the same rows written by hand, and imported beside COPY. Each figure is a ratio of two throughputs that
// were measured one after the other in the same round, by the same number of callers at once over the same number of
// connections. It takes the PostgreSQL of `DATABASE_URL`, else an embedded one.
//
// identity/chains.ts is the measure, identity/town.ts the people who are there before.

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    users: { type: 'string', default: '200000' },
    /** Of each kind, in each round. */
    calls: { type: 'string', default: '1500' },
    /** Callers at once. */
    callers: { type: 'string', default: '8' },
    /** Users of the file that is imported. */
    imported: { type: 'string', default: '200000' },
  },
});
const [rounds, users, calls, callers, imported] = [
  values.rounds,
  values.users,
  values.calls,
  values.callers,
  values.imported,
].map(Number);
if (!rounds || !users || !calls || !callers || !imported) throw new Error('Give numbers.');

await using database = await makeDatabase();
const { db, pool, close } = openStorage(database.url, { connectionsMax: callers });
const bus = createInProcessBus();
const deployment = {
  db,
  bus,
  cipher: createCipher(randomBytes(32)),
  log: createLogger({ level: 'warn', stream: process.stderr }),
  rules: readConfig({}).rules,
  publicUrl: null,
};
process.stderr.write(`${users.toLocaleString('en-US')} users …\n`);
const town = await makeTown(pool, { users, newcomers: (rounds + 1) * calls * 4 });
const apiKeyId = randomUUID();
const principal = `key:${apiKeyId}`;
const chains = createChains(pool, apiKeyId);

const newcomer = (): string => {
  const { value } = town.newcomers.next();
  if (typeof value !== 'string') throw new Error('There are no newcomers left.');
  return value;
};
const somebody = (): string => town.names[Math.floor(Math.random() * town.names.length)] ?? '';
const identityOf = (externalUserId: string) => ({ externalUserId, emails: [`${externalUserId}@example.com`] });

const contenders: Record<string, [ours: () => Promise<unknown>, byHand: () => Promise<unknown>]> = {
  'personalize: somebody new': [
    () => ours(newcomer(), randomUUID()),
    () => chains.personalizeNew(newcomer(), randomUUID()),
  ],
  'personalize: a user who is there': [
    () => ours(newcomer(), somebody()),
    () => chains.personalizeKnown(newcomer(), somebody()),
  ],
  'saveUser: somebody new': [() => save(randomUUID(), 'Ada'), () => chains.saveNew(randomUUID())],
  'saveUser: a user who is there': [
    () => save(somebody(), randomUUID()),
    () => chains.saveKnown(somebody(), randomUUID()),
  ],
};

function ours(installationId: string, name: string) {
  return personalize(deployment, {
    principal,
    installationId,
    userIdentity: identityOf(name),
    userAttributes: { firstName: 'Ada' },
    undeclaredAttributes: 'REFUSE',
    forceDepersonalize: false,
    keepAsLead: false,
  });
}

function save(name: string, firstName: string) {
  const { externalUserId, emails } = identityOf(name);
  return saveUser(deployment, {
    principal,
    user: { externalUserId },
    create: true,
    emails,
    userAttributes: { firstName },
  });
}

/** Calls a second. */
async function throughputOf(call: () => Promise<unknown>): Promise<number> {
  let left = calls ?? 0;
  const begun = performance.now();
  const caller = async () => {
    while (left > 0) {
      left -= 1;
      await call();
    }
  };
  await Promise.all(Array.from({ length: callers ?? 0 }, caller));
  return (calls ?? 0) / ((performance.now() - begun) / 1_000);
}

const figures = new Map(
  Object.keys(contenders).map((what) => [what, { ours: [] as number[], measure: [] as number[] }]),
);
for (let round = 0; round <= rounds; round += 1) {
  process.stderr.write(round === 0 ? 'warming up …\n' : `round ${round} …\n`);
  for (const [what, [own, byHand]] of Object.entries(contenders)) {
    const [measure, figure] = [await throughputOf(byHand), await throughputOf(own)];
    if (round === 0) continue;
    figures.get(what)?.measure.push(measure);
    figures.get(what)?.ours.push(figure);
  }
}
await bus.close();
await close();
process.stderr.write(`importing ${imported.toLocaleString('en-US')} users …\n`);

const rows = [
  ...[...figures].map(
    ([what, figure]): Row => ({ what, unit: '1/s', ...figure, of: 'by hand', limit: { atLeast: 0.5 } }),
  ),
  await measureImport({ users: imported, rounds: Math.min(rounds, 5) }),
];
process.stdout.write(`Medians of ${rounds} rounds at ${users.toLocaleString('en-US')} users, ${callers} callers; Node ${process.version}, ${availableParallelism()} cores

${renderTable(rows)}
by hand: the same rows, the audit log's among them, by one prepared statement after the other.
COPY: of the very rows that the import has written, into the same empty tables with their indexes and constraints.
`);
