import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { findFreePort } from '../../src/storage/free-port.ts';
import { until } from '../../test/support/until.ts';
import { type Child, startChild } from './child.ts';

/** A gateway in a process of its own, as it is in production. */
export interface Gateway extends AsyncDisposable {
  /** Where it takes WebSockets. */
  url: string;
  port: number;
  /** As a back end. */
  authorization: string;
  /** What the process has computed since its start, user and system, in microseconds. */
  cpuUs(): Promise<number>;
  /** What it holds: of the system as it stands, and after collections; and of that in objects and buffers that are in use. */
  memory(): Promise<{ standingBytes: number; rssBytes: number; usedBytes: number }>;
}

interface GatewayOptions {
  databaseUrl: string;
  /** Null: none. */
  redisUrl: string | null;
  /** Where to write a CPU profile at the end. Undefined: none. */
  profileDirectory?: string | undefined;
}

const probe = new URL('./gateway-probe.ts', import.meta.url);
const main = new URL('../../src/main.ts', import.meta.url);

// The same for all gateways of a run, since they share a database.
const keys = {
  DATA_ENCRYPTION_KEY: randomBytes(32).toString('base64'),
  SERVER_KEY: randomBytes(16).toString('hex'),
  APP_KEY: randomBytes(16).toString('hex'),
};

/** Starts a gateway and waits until it is ready. */
export async function startGateway({ databaseUrl, redisUrl, profileDirectory }: GatewayOptions): Promise<Gateway> {
  const port = await findFreePort();
  const child = startChild(main, {
    nodeOptions: [
      ...(profileDirectory === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDirectory}`]),
      '--expose-gc',
      `--import=${probe}`,
    ],
    settings: {
      NODE_ENV: 'production',
      ROLE: 'gateway',
      DATABASE_URL: databaseUrl,
      ...(redisUrl === null ? {} : { REDIS_URL: redisUrl }),
      PORT: String(port),
      ...keys,
    },
  });
  const isReady = () =>
    fetch(`http://127.0.0.1:${port}/ready`).then(
      ({ ok }) => ok,
      () => false,
    );
  await Promise.race([until(isReady), child.ended]);
  return toGateway(child, port);
}

function toGateway(child: Child, port: number): Gateway {
  const cpuSchema = z.object({ cpuUs: z.number() });
  const memorySchema = z.object({ standingBytes: z.number(), rssBytes: z.number(), usedBytes: z.number() });
  return {
    url: `ws://127.0.0.1:${port}/graphql`,
    port,
    authorization: `Bearer ${keys.SERVER_KEY}`,
    cpuUs: async () => (await child.ask({ kind: 'cpu' }, cpuSchema)).cpuUs,
    memory: () => child.ask({ kind: 'memory' }, memorySchema),
    [Symbol.asyncDispose]: child[Symbol.asyncDispose],
  };
}
