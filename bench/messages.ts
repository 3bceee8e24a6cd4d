import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { createInfobipSmsChannel } from '../src/channels/infobip-sms.ts';
import { createChannels, noProviders } from '../src/channels/registry.ts';
import { createWebPushChannel, generateVapidKeys } from '../src/channels/web-push.ts';
import { readConfig } from '../src/config.ts';
import { createAppChannels } from '../src/deliveries/app-channels.ts';
import { createChannelPauses } from '../src/deliveries/channel-pauses.ts';
import { createSendRates } from '../src/deliveries/send-rates.ts';
import type { Worker } from '../src/deliveries/worker.ts';
import { newId } from '../src/ids.ts';
import { createLogger } from '../src/logger.ts';
import { prepareQueue } from '../src/queue/job-runner.ts';
import { createCipher } from '../src/storage/cipher.ts';
import { openStorage } from '../src/storage/database.ts';
import { createInProcessBus } from '../src/stream/bus/in-process-bus.ts';
import { makePlainTables } from './messages/by-hand.ts';
import { dataEncryptionKey, messageTo, sendBare, startProvider, startWorker, untilSent } from './messages/sending.ts';
import { fanOut, sendToSegment, writeOutcomes } from './messages/storage.ts';
import { clearDeliveries, makeSubscriptionKeys, makeTown, makeWebTown } from './messages/town.ts';
import { makeDatabase } from './support/database.ts';
import { type Row, renderTable } from './support/table.ts';

// What a notification to many costs: its fan-out and its outcomes beside the same rows written by hand, its sending by one
// worker process beside a bare loop of the same client, and what the worker holds in memory meanwhile. It takes the PostgreSQL
// of `DATABASE_URL`, else an embedded one.

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    users: { type: 'string', default: '200000' },
    /** Sent end to end, in each round. */
    sent: { type: 'string', default: '10000' },
    /** Sent once more at the end, for what memory they take; 0: none. */
    many: { type: 'string', default: '0' },
  },
});
const [rounds = 0, users = 0, sent = 0, many = 0] = [values.rounds, values.users, values.sent, values.many].map(Number);

/** After which the provider answers an SMS. */
const answerMs = 20;

/** In which the many are sent, each to people of its own. */
const parts = 4;

const say = (text: string) => process.stderr.write(`${text}\n`);
const log = createLogger({ level: 'warn', stream: process.stderr });
const never = new AbortController().signal;

await using database = await makeDatabase();
const storage = openStorage(database.url);
const { db, pool } = storage;
const bus = createInProcessBus();
await prepareQueue(pool, log);
await makePlainTables(pool);
await using provider = await startProvider();
const sms = { baseUrl: `http://127.0.0.1:${provider.port}`, apiKey: 'key', from: 'Carillon' };
const cipher = createCipher(dataEncryptionKey);
const vapid = { subject: 'mailto:ops@example.com', ...generateVapidKeys() };
const arePrivateEndpointsAllowed = true;
const environment = createChannels({ ...noProviders, infobip: sms, vapid, arePrivateEndpointsAllowed, db });
const worker: Worker = {
  ...{ db, bus, log, cipher, rules: readConfig({}).rules, publicUrl: null, defaultAppId: newId() },
  channels: createAppChannels({
    ...{ db, cipher, log, environment, vapid, arePrivateEndpointsAllowed },
    wireReceipts: (providers) => providers,
  }),
  pauses: createChannelPauses({ db, log, listProviders: () => [], pauseMs: 30_000, signal: never }),
  rates: createSendRates({}),
  ...{ signal: never, sendSignal: never, leaseSeconds: 3_600, usersPerPage: 5_000 },
  tracing: { trace: (_, __, work) => work() },
};

say(`${users.toLocaleString('en-US')} users …`);
const town = { pool, worker, segmentId: await makeTown(pool, users), count: users };
const fannedOut = { ours: [] as number[], measure: [] as number[] };
const written = { ours: [] as number[], measure: [] as number[] };
for (let round = 0; round <= rounds; round += 1) {
  say(round === 0 ? 'warming up …' : `round ${round} of the rows …`);
  for (const [figures, work] of [
    [fannedOut, fanOut],
    [written, writeOutcomes],
  ] as const) {
    const { ours, byHand } = await work(town);
    if (round === 0) continue;
    figures.ours.push(ours);
    figures.measure.push(byHand);
  }
}

const village = { worker, segmentId: await makeTown(pool, sent) };
await clearDeliveries(pool);
const processOfWorker = startWorker({ databaseUrl: database.url, port: provider.port });
const memorySchema = z.object({ rssBytes: z.number(), usedBytes: z.number() });
const askMemory = () => processOfWorker.ask({ kind: 'memory' }, memorySchema);
await askMemory();
const toEndpoint = (index: number) => `http://127.0.0.1:${provider.port}/push/${index}`;
const web = { worker, segmentId: await makeWebTown(pool, { cipher, count: sent, endpointOf: toEndpoint }) };
const keys = makeSubscriptionKeys();
const bare = {
  SMS: createInfobipSmsChannel(sms),
  PUSH: createWebPushChannel({ vapid, arePrivateEndpointsAllowed }),
};
const toMessage = {
  SMS: (index: number) => messageTo({ kind: 'phone', phone: `+38591${String(index).padStart(7, '0')}` }, 'SMS'),
  PUSH: (index: number) => messageTo({ kind: 'webPush', endpoint: toEndpoint(index), ...keys }, 'PUSH'),
};
const smsFigures = { ours: [] as number[], measure: [] as number[] };
const pushFigures = { ours: [] as number[], measure: [] as number[] };
for (let round = 0; round <= rounds; round += 1) {
  say(round === 0 ? 'warming up …' : `round ${round} of the sending …`);
  for (const [channel, place, figures] of [
    ['SMS', village, smsFigures],
    ['PUSH', web, pushFigures],
  ] as const) {
    await provider.reset(answerMs);
    await sendBare(bare[channel], sent, toMessage[channel]);
    const { perSecond: measure } = await provider.told();
    await provider.reset(answerMs);
    await sendToSegment(place, channel);
    await untilSent(pool);
    const { count, perSecond } = await provider.told();
    if (count !== sent) throw new Error(`${count} messages came.`);
    if (round === 0) continue;
    figures.ours.push(perSecond);
    figures.measure.push(measure);
  }
}
const memories = [`after rounds of ${sent.toLocaleString('en-US')}: ${toMemory(await askMemory())}`];
for (let part = 1; many > 0 && part <= parts; part += 1) {
  const count = many / parts;
  say(`${count.toLocaleString('en-US')} more …`);
  const city = { worker, segmentId: await makeTown(pool, count) };
  await provider.reset(0);
  await sendToSegment(city);
  await untilSent(pool);
  memories.push(`after ${(part * count).toLocaleString('en-US')} more: ${toMemory(await askMemory())}`);
}
await processOfWorker[Symbol.asyncDispose]();
await bare.SMS.close();
await bare.PUSH.close();
await environment.close();
await bus.close();
await storage.close();

function toMemory({ usedBytes, rssBytes }: z.infer<typeof memorySchema>): string {
  const [used, resident] = [usedBytes, rssBytes].map((bytes) => Math.round(bytes / 1_048_576));
  return `${used} MiB (${resident} resident)`;
}

const rows: Row[] = [
  { what: 'fan-out: deliveries with their events', unit: '1/s', ...fannedOut, of: 'insert', limit: { atLeast: 0.8 } },
  { what: 'outcomes with their events, 500 a batch', unit: '1/s', ...written, of: 'update', limit: { atLeast: 0.8 } },
  {
    what: `SMS to a provider that answers in ${answerMs} ms`,
    unit: '1/s',
    ...smsFigures,
    of: 'bare loop',
    limit: { atLeast: 0.6 },
  },
  {
    what: `web push, encrypted, to a service that answers in ${answerMs} ms`,
    unit: '1/s',
    ...pushFigures,
    of: 'bare loop',
    limit: null,
  },
];
process.stdout.write(`Medians of ${rounds} rounds at ${users.toLocaleString('en-US')} users and ${sent.toLocaleString('en-US')} SMS; Node ${process.version}, ${availableParallelism()} cores

${renderTable(rows)}
insert, update: the same rows by plain statements, into tables with the same indexes and constraints.
bare loop: the same client without a database, with as many messages under way as one worker process has.
${many > 0 ? `\nThe worker process uses, ${memories.join('; ')}.\n` : ''}`);
