import { afterAll, beforeAll } from 'vitest';
import { testKeys } from './app.ts';
import { type Client, createClient } from './client.ts';
import { type FileDatabase, useDatabase } from './database.ts';
import { closeIdleConnections } from './post-json.ts';
import { type ReadyProgram, startProgram } from './program.ts';

/** Two gateways, each a process of its own, over one database. Readable from the first `beforeAll` on. */
export class GatewayProcesses {
  readonly #database: FileDatabase;
  readonly #programs: readonly ReadyProgram[];

  constructor(database: FileDatabase, programs: readonly ReadyProgram[]) {
    this.#database = database;
    this.#programs = programs;
  }

  get db(): FileDatabase['db'] {
    return this.#database.db;
  }

  get pool(): FileDatabase['pool'] {
    return this.#database.pool;
  }

  /** A caller with the server key of the one or the other, in turn. */
  server(turn = 0): Client {
    const program = this.#programs[turn % this.#programs.length];
    if (!program) throw new Error('The gateways run from the first beforeAll on.');
    return createClient(program.url, testKeys.serverKey);
  }
}

/** Gives the test file that calls it, once and at its top level, two gateway processes over a database of its own. */
export function useGatewayProcesses(): GatewayProcesses {
  const database = useDatabase();
  const programs: ReadyProgram[] = [];
  beforeAll(async () => {
    const settings = {
      ROLE: 'gateway',
      DATABASE_URL: database.url,
      DATA_ENCRYPTION_KEY: Buffer.alloc(32, 5).toString('base64'),
      SERVER_KEY: testKeys.serverKey,
      APP_KEY: testKeys.appKey,
    };
    programs.push(...(await Promise.all([startProgram(settings), startProgram(settings)])));
  });
  afterAll(async () => {
    closeIdleConnections();
    for (const program of programs) await program.stop();
  });
  return new GatewayProcesses(database, programs);
}
