import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { startRawPeer, toContender } from './stream/contender.ts';
import { startCrowd } from './stream/crowd.ts';
import { countEvents, measureFanOut } from './stream/fan-out.ts';
import { gatewaysFilled, measureMemory } from './stream/memory.ts';
import { openPublisher } from './stream/publisher.ts';
import { measureReplay } from './stream/replay.ts';
import { makeDatabase } from './support/database.ts';
import { startGateway } from './support/gateway.ts';
import { type Row, renderTable } from './support/table.ts';

// What the stream costs beside the least that it could: each figure is a ratio to something that was measured in the same
// rounds. It needs a Redis (`REDIS_URL`, else the one on 127.0.0.1) and takes the PostgreSQL of `DATABASE_URL`, else an
// embedded one.
//
// stream/crowd.ts starts processes of subscribers (subscribers.ts, audience.ts) that are the same for both servers:
// the gateway (gateway.ts), for which publisher.ts makes events, and raw-peer.ts; contender.ts gives them one face.
// fan-out.ts, replay.ts and memory.ts measure, table.ts prints.

const { values } = parseArgs({
  options: {
    /** Fewer than `ulimit -n` allows: each has a socket at each of the two servers. */
    subscribers: { type: 'string', default: '1000,5000' },
    rounds: { type: 'string', default: '5' },
    /** Of a round in which events come as fast as they can. */
    messages: { type: 'string', default: '100000' },
    /** Events that one subscriber asks for. */
    replayed: { type: 'string', default: '100000' },
    /** Processes that the subscribers are in. */
    clients: { type: 'string', default: '2' },
    /** Of fan-out, replay and memory, those that are wanted. */
    only: { type: 'string', default: 'fan-out,replay,memory' },
    /** A directory for a CPU profile of the gateway of fan-out and replay. */
    profile: { type: 'string' },
  },
});
const { REDIS_URL: redisUrl = 'redis://127.0.0.1:6379' } = process.env;
const sizes = values.subscribers.split(',').map(Number);
const [rounds, messages] = [Number(values.rounds), Number(values.messages)];
const wanted = new Set(values.only.split(','));

await using database = await makeDatabase();
const { url: databaseUrl } = database;
await using crowd = startCrowd(Number(values.clients));
// Whoever waits for subscribers then fails, and all is cleaned up.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => crowd[Symbol.asyncDispose]());
const rows: Row[] = [];
{
  await using gateway = await startGateway({ databaseUrl, redisUrl, profileDirectory: values.profile });
  await using raw = await startRawPeer();
  for (const subscribers of wanted.has('fan-out') ? sizes : []) {
    process.stderr.write(`fan-out to ${subscribers} …\n`);
    const load = { subscribers, rounds, messages };
    await using publisher = await openPublisher({ databaseUrl, redisUrl, eventsMax: countEvents(load) });
    rows.push(...(await measureFanOut(toContender(gateway, publisher), raw, crowd, load)));
  }
  if (wanted.has('replay')) {
    process.stderr.write('replay …\n');
    rows.push(...(await measureReplay({ databaseUrl, gateway, eventCount: Number(values.replayed), rounds })));
  }
}
if (wanted.has('memory')) {
  process.stderr.write('memory …\n');
  await using publisher = await openPublisher({ databaseUrl, redisUrl, eventsMax: 0 });
  const { notificationId } = publisher;
  const subscribers = Math.max(...sizes);
  const startAnother = () => startGateway({ databaseUrl, redisUrl });
  rows.push(...(await measureMemory(crowd, { subscribers, notificationId, startGateway: startAnother })));
}
process.stdout.write(`Medians of ${rounds} rounds (memory: of ${gatewaysFilled}); Node ${process.version}, ${availableParallelism()} cores

${renderTable(rows)}
Every subscriber had every event, once and in order; else there would be no table.
raw: a ws server that sends a ready string of the same length to each socket. CPU is that of the server's process: for
carillon the gateway, which reads the log, executes, serialises and writes; PostgreSQL, Redis and the publisher are others.
cursor: the same rows by "declare … cursor" and "fetch 500".
`);
