import { setTimeout as pause } from 'node:timers/promises';
import { onTestFinished } from 'vitest';
import { openStorage } from '../../src/storage/database.ts';
import { createTestDatabase } from './database.ts';
import { type Ending, startProgram } from './program.ts';
import { createRandom } from './random.ts';
import { until } from './until.ts';

const serverKey = 'server-key-of-the-tests';

/** What became of a load of mutations on a program that was asked to stop. */
export interface LoadOutcome {
  ending: Ending;
  /** From the signal until the end. */
  stopMs: number;
  /** Names that were acknowledged. */
  acknowledged: string[];
  /** Names of what is in the database. */
  written: string[];
  /** Requests that got another answer than they should, or none; not those whose connection was refused. */
  failures: string[];
  /** How many clients were told by a refused connection that nobody is there. */
  refusedCount: number;
}

/** One client's loop: one request after the other, over connections that are kept. Ends when a connection is refused. */
async function write(url: string, { name, pauseMs }: { name: string; pauseMs: () => number }, outcome: LoadOutcome) {
  for (let count = 0; outcome.failures.length === 0; count += 1) {
    const segment = `${name} ${count}`;
    try {
      const response = await fetch(`${url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${serverKey}` },
        body: JSON.stringify({
          query:
            'mutation ($name: String!) { createSegment(input: { name: $name }) { ... on CreateSegmentPayload { segment { id } } } }',
          variables: { name: segment },
        }),
      });
      const text = await response.text();
      if (response.status === 200 && text.includes('"segment":{')) outcome.acknowledged.push(segment);
      else outcome.failures.push(`${response.status} ${text}`);
    } catch (error) {
      if (isRefusal(error)) {
        outcome.refusedCount += 1;
        return;
      }
      const cause = error instanceof Error ? error.cause : undefined;
      outcome.failures.push(`${String(error)}: ${String(cause)}`);
    }
    const ms = pauseMs();
    if (ms > 0) await pause(ms);
  }
}

/** Whether there was no connection at all. Whatever else breaks may have carried the request. */
function isRefusal(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && 'code' in cause && cause.code === 'ECONNREFUSED';
}

/**
 * Starts a gateway, has clients write to it without a break or with short ones, each over a connection that it keeps, and asks
 * the gateway to stop in the middle of it.
 *
 * @param seed of the clients' pauses.
 */
export async function stopUnderLoad({ seed, clients = 8 }: { seed: number; clients?: number }): Promise<LoadOutcome> {
  const opened = new AsyncDisposableStack();
  onTestFinished(() => opened.disposeAsync());
  const database = await createTestDatabase();
  opened.defer(database.drop);
  const storage = openStorage(database.url);
  opened.defer(storage.close);
  const program = await startProgram({
    DATABASE_URL: database.url,
    DATA_ENCRYPTION_KEY: Buffer.alloc(32, 5).toString('base64'),
    SERVER_KEY: serverKey,
    APP_KEY: 'app-key-of-the-tests',
  });
  opened.use(program);
  const outcome: LoadOutcome = {
    ending: { exitCode: null, signal: null },
    stopMs: 0,
    acknowledged: [],
    written: [],
    failures: [],
    refusedCount: 0,
  };
  const random = createRandom(seed);
  const loops = Array.from({ length: clients }, (_, index) => {
    // Every second one thinks for a moment.
    const pauseMs = () => (index % 2 === 0 ? 0 : random.integer(0, 40));
    return write(program.url, { name: `client ${index}`, pauseMs }, outcome);
  });
  await until(async () => outcome.acknowledged.length >= clients * 20 || outcome.failures.length > 0);
  const startedAt = performance.now();
  program.send('SIGTERM');
  outcome.ending = await program.ended;
  outcome.stopMs = performance.now() - startedAt;
  await Promise.all(loops);
  const { rows } = await storage.pool.query<{ name: string }>('select name from segments');
  outcome.written = rows.map(({ name }) => name);
  await opened.disposeAsync();
  return outcome;
}
