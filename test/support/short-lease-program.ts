// A program for tests: the real one, except that what a killed worker held is taken over after seconds instead of a minute.
import { once } from 'node:events';
import { startApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';

const stop = once(process, 'SIGINT');
const app = await startApp(readConfig(), { leaseSeconds: 2, sweepMs: 200 });
process.stdout.write(`Carillon is ready: ${app.url ?? 'a worker'}/graphql\n`);
await stop;
await app.stop();
process.exit(0);
