import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { Redis } from 'ioredis';
import { afterAll } from 'vitest';
import { findFreePort } from '../../src/storage/free-port.ts';

/** A Redis server that a test started, and so may flush, pause and kill. Its port stays the same over restarts. */
export interface OwnRedis {
  url: string;
  port: number;
  /** Kills it with SIGKILL, as a crash would. */
  kill(): Promise<void>;
  /** Starts it again after `kill`, empty. */
  restart(): Promise<void>;
  /** Stops it from running, with SIGSTOP: connections stay, also new ones are made, and nothing is answered. */
  freeze(): void;
  /** Lets it run again. */
  thaw(): void;
  stop(): Promise<void>;
}

const localUrl = 'redis://127.0.0.1:6379';

/**
 * A Redis that tests may use but not flush, pause or kill: `REDIS_URL`, else the server on 127.0.0.1:6379, else one
 * that is started from PATH and stopped after the file. Null when there is none: skip (`test.skipIf`). Call it at the
 * top level of a file. With `CI=true` it throws instead, so that no test is skipped unseen.
 */
export async function redisUrl(): Promise<string | null> {
  const { REDIS_URL: url } = process.env;
  if (url) return url;
  if (await answers(localUrl)) return localUrl;
  if (!(await canStartRedis())) return null;
  const redis = await startOwnRedis();
  afterAll(() => redis.stop());
  return redis.url;
}

/** Whether `startOwnRedis` can work. False: skip (`test.skipIf`). With `CI=true` it throws instead of answering false. */
export async function canStartRedis(): Promise<boolean> {
  const probe = spawn('redis-server', ['--version'], { stdio: 'ignore' });
  const isThere = await new Promise<boolean>((resolve) => {
    probe.once('error', () => resolve(false));
    probe.once('exit', (exitCode) => resolve(exitCode === 0));
  });
  if (isThere) return true;
  if (process.env.CI === 'true')
    throw new Error('Tests of Redis need redis-server on PATH (REDIS_URL serves for some).');
  process.stderr.write('Tests of Redis are skipped: redis-server is not on PATH.\n');
  return false;
}

/**
 * Starts `redis-server` from PATH on a free port of 127.0.0.1, without files unless `settings` (such as
 * `['--requirepass', 'secret']`) ask for some. Stop it when done.
 */
export async function startOwnRedis(settings: readonly string[] = []): Promise<OwnRedis> {
  const port = await findFreePort();
  let server = await startServer(port, settings);
  const kill = async () => {
    if (server.exitCode !== null || server.signalCode !== null) return;
    const exit = once(server, 'exit');
    server.kill('SIGKILL');
    await exit;
  };
  process.once('exit', () => server.kill('SIGKILL'));
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    kill,
    async restart() {
      server = await startServer(port, settings);
    },
    freeze: () => void server.kill('SIGSTOP'),
    thaw: () => void server.kill('SIGCONT'),
    stop: kill,
  };
}

async function startServer(port: number, settings: readonly string[]): Promise<ChildProcess> {
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', ...settings];
  const server = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines: string[] = [];
  for await (const line of createInterface(server.stdout)) {
    lines.push(line);
    if (line.includes('Ready to accept connections')) {
      server.stdout.resume();
      return server;
    }
  }
  throw new Error(`redis-server did not start:\n${lines.join('\n')}`);
}

/** Sends one command over a connection of its own, and answers what the server does. */
export async function sendCommand(url: string, ...words: [string, ...(string | number)[]]): Promise<unknown> {
  const client = new Redis(url, { retryStrategy: null });
  try {
    return await client.call(...words);
  } finally {
    client.disconnect();
  }
}

async function answers(url: string): Promise<boolean> {
  const redis = new Redis(url, { lazyConnect: true, retryStrategy: () => null, maxRetriesPerRequest: 0 });
  // The refusal also rejects connect(), which tells.
  redis.on('error', () => undefined);
  try {
    await redis.connect();
    return (await redis.ping()) === 'PONG';
  } catch {
    return false;
  } finally {
    redis.disconnect();
  }
}
