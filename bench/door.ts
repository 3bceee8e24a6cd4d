import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { type BombSize, bombs, plainOf } from './door/bombs.ts';
import { ask, post } from './door/http-client.ts';
import { startChild } from './support/child.ts';
import { makeDatabase } from './support/database.ts';
import { type Gateway, startGateway } from './support/gateway.ts';
import { type Row, renderTable } from './support/table.ts';

// What a request costs before and beside what it asks for, and what it costs to refuse one that asks for too much: each
// figure is a ratio to something that was measured in the same rounds. CPU is that of the server's process, as the
// operating system tells it. It takes the PostgreSQL of `DATABASE_URL`, else an embedded one, and a Redis (`REDIS_URL`,
// else the one on 127.0.0.1).
//
// door/bare-server.ts is the measure, door/http-client.ts the client of both, door/bombs.ts what is refused.

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    /** Of each kind, in each round. */
    requests: { type: 'string', default: '10000' },
    /** A directory for a CPU profile of the gateway. */
    profile: { type: 'string' },
  },
});
const { REDIS_URL: redisUrl = 'redis://127.0.0.1:6379' } = process.env;
const [rounds, requests] = [Number(values.rounds), Number(values.requests)];
const connections = 16;
const trivial = JSON.stringify({ query: '{ viewer { kind } }' });

await using database = await makeDatabase();
const { url: databaseUrl } = database;
await using alone = await startGateway({ databaseUrl, redisUrl: null, profileDirectory: values.profile });
await using together = await startGateway({ databaseUrl, redisUrl });
await using bare = startChild(new URL('./door/bare-server.ts', import.meta.url));
const answer = await ask(alone, trivial);
const { port: barePort } = await bare.ask({ kind: 'listen', answer }, z.object({ port: z.int() }));
const bareCpuUs = async () => (await bare.ask({ kind: 'cpu' }, z.object({ cpuUs: z.number() }))).cpuUs;

/** CPU of a server for one request, in microseconds. */
async function cpuOfEach(cpuUs: () => Promise<number>, load: Parameters<typeof post>[0]): Promise<number> {
  const before = await cpuUs();
  await post(load);
  return ((await cpuUs()) - before) / load.count;
}

const trivialLoad = ({ port, authorization }: Pick<Gateway, 'port' | 'authorization'>) => ({
  port,
  authorization,
  bodies: [trivial],
  count: requests,
  connections,
  expected: '"SERVER"',
});
const bareServer = { port: barePort, authorization: alone.authorization };
/** So often does each connection send: 3,200 requests a second in all, whoever answers. */
const everyMs = 5;
const contenders = {
  bare: () => cpuOfEach(bareCpuUs, { ...trivialLoad(bareServer), everyMs }),
  alone: () => cpuOfEach(alone.cpuUs, { ...trivialLoad(alone), everyMs }),
  together: () => cpuOfEach(together.cpuUs, { ...trivialLoad(together), everyMs }),
  'bare at full speed': () => cpuOfEach(bareCpuUs, trivialLoad(bareServer)),
  'alone at full speed': () => cpuOfEach(alone.cpuUs, trivialLoad(alone)),
};
const figures = new Map<string, number[]>();
const note = (name: string, value: number) => figures.set(name, [...(figures.get(name) ?? []), value]);

/** Documents that are all different, so that none is known already. */
function bombLoad(make: (nonce: number, size: BombSize) => string, size: BombSize, expected: string) {
  const count = 200;
  const bodies = Array.from({ length: count }, () => JSON.stringify({ query: make(nextNonce(), size) }));
  return { port: alone.port, authorization: alone.authorization, bodies, count, connections: 1, expected };
}
let nonces = 0;
const nextNonce = () => {
  nonces += 1;
  return nonces;
};

// Until everything is compiled, which takes tens of thousands of requests, nobody counts.
for (let warmUp = 0; warmUp < 3; warmUp += 1) for (const measure of Object.values(contenders)) await measure();
for (let round = 0; round < rounds; round += 1) {
  process.stderr.write(`round ${round + 1} …\n`);
  for (const [name, measure] of Object.entries(contenders)) note(name, await measure());
  for (const [name, bomb] of Object.entries(bombs)) {
    const expected = 'OPERATION_TOO_COSTLY';
    note(`${name} small`, await cpuOfEach(alone.cpuUs, bombLoad(bomb, 'small', expected)));
    note(`${name} large`, await cpuOfEach(alone.cpuUs, bombLoad(bomb, 'large', expected)));
    note(`${name} plain`, await cpuOfEach(alone.cpuUs, bombLoad(plainOf(bomb), 'large', '"errors"')));
  }
}

const of = (name: string) => figures.get(name) ?? [];
const rows: Row[] = [
  {
    what: 'a trivial query',
    unit: 'µs of CPU',
    ours: of('alone'),
    measure: of('bare'),
    of: 'bare',
    limit: { atMost: 2 },
  },
  {
    what: '… as fast as they come',
    unit: 'µs of CPU',
    ours: of('alone at full speed'),
    measure: of('bare at full speed'),
    of: 'bare',
    limit: null,
  },
  {
    what: '… throttled in Redis',
    unit: 'µs of CPU',
    ours: of('together'),
    measure: of('bare'),
    of: 'bare',
    limit: null,
  },
  ...Object.keys(bombs).flatMap((name): Row[] => [
    {
      what: `${name}, refused`,
      unit: 'µs of CPU',
      ours: of(`${name} large`),
      measure: of(`${name} small`),
      of: 'small',
      limit: null,
    },
    {
      what: '… beside garbage as long',
      unit: 'µs of CPU',
      ours: of(`${name} large`),
      measure: of(`${name} plain`),
      of: 'garbage',
      limit: null,
    },
  ]),
];
process.stdout.write(`Medians of ${rounds} rounds; Node ${process.version}, ${availableParallelism()} cores

${renderTable(rows)}
bare: a node:http server that parses the same body and answers the same JSON. Both are sent 3,200 requests a second, since a
server that is asked faster than it sleeps between two requests is charged less for each.
small, large: pages 2 and 4 levels deep (ten thousand times the price), fragments 20 and 30 deep (a thousand times the fields), 60 and
80 aliases; both are refused.
garbage: a document as long that is not GraphQL after its first half.
`);
