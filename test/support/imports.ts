import { randomBytes, randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import type { Deployment } from '../../src/deployment.ts';
import type { ImportOptions } from '../../src/imports/import-options.ts';
import { listRefusals } from '../../src/imports/import-store.ts';
import { importUsers, type UserImport } from '../../src/imports/import-users.ts';
import { createCipher } from '../../src/storage/cipher.ts';
import { createInProcessBus } from '../../src/stream/bus/in-process-bus.ts';
import { testRules } from './app.ts';
import { type FileDatabase, useDatabase } from './database.ts';
import { createTestLog } from './log-events.ts';
import { makeTemporaryDirectory } from './temporary-directory.ts';

/** How CSV of our own columns is read. */
export const ownCsv: ImportOptions = {
  format: 'csv',
  delimiter: ',',
  preset: 'carillon',
  mapping: null,
  mode: 'MERGE',
  ignoreUnknownColumns: false,
};

/** What `useImports` gives: readable from the first `beforeAll` on. */
export interface FileImports {
  readonly database: FileDatabase;
  readonly deployment: Deployment;
  /** Writes a file and answers its path. */
  write(content: string | Uint8Array, extension?: string): Promise<string>;
  /** Imports a file of this content, and answers what came out with what was refused. */
  run(
    content: string | Uint8Array,
    options?: Partial<ImportOptions>,
    request?: Partial<UserImport>,
  ): ReturnType<typeof runImport>;
  /** How a user is now, by external user id. */
  find(externalUserId: string): Promise<FoundUser | null>;
}

/** A user as tests of imports look at one. */
export interface FoundUser {
  id: string;
  values: Record<string, unknown>;
  identifiers: string[];
  /** Addresses that are opted out, and who has said so. */
  optOuts: Record<string, string | null>;
}

/** Gives the test file that calls it, once and at its top level, a database and a folder for files. */
export function useImports(rules: Partial<Deployment['rules']> = {}): FileImports {
  const database = useDatabase();
  let directory: Awaited<ReturnType<typeof makeTemporaryDirectory>>;
  let deployment: Deployment;
  beforeAll(async () => {
    directory = await makeTemporaryDirectory();
    deployment = {
      db: database.db,
      bus: createInProcessBus(),
      cipher: createCipher(randomBytes(32)),
      log: createTestLog().log,
      rules: { ...testRules, ...rules },
      publicUrl: null,
    };
  });
  afterAll(async () => {
    await deployment.bus.close();
    await directory.remove();
  });
  const write = async (content: string | Uint8Array, extension = 'csv') => {
    const file = join(directory.path, `${randomUUID()}.${extension}`);
    await writeFile(file, content);
    return file;
  };
  return {
    database,
    get deployment() {
      return deployment;
    },
    write,
    run: async (content, options = {}, request = {}) => {
      const file = await write(content, request.file);
      return runImport(deployment, { ...request, file, from: { options: { ...ownCsv, ...options } } });
    },
    find: (externalUserId) => findUser(database, externalUserId),
  };
}

async function runImport(deployment: Deployment, request: UserImport) {
  const told: unknown[] = [];
  const done = await importUsers(deployment, {
    ...request,
    onPage: ({ refusals }) => void told.push(...refusals),
  });
  const kept: unknown[] = [];
  if (done.importId !== null) {
    for await (const page of listRefusals(deployment.db, done.importId)) kept.push(...page);
  }
  return { ...done, refusals: done.importId === null ? told : kept };
}

async function findUser({ pool }: FileDatabase, externalUserId: string): Promise<FoundUser | null> {
  const { rows } = await pool.query(
    `select u.id, to_jsonb(u) as row,
       array(select value from identifiers i where i.user_id = u.id order by kind, value) as identifiers,
       coalesce((select jsonb_object_agg(r.address, r.consent_by) from recipients r
         where r.user_id = u.id and not r.is_subscribed and r.address is not null), '{}') as "optOuts"
     from identifiers named join users u on u.id = named.user_id
     where named.kind = 'EXTERNAL_USER_ID' and named.value = $1`,
    [externalUserId],
  );
  const [found] = rows;
  if (!found) return null;
  const { id, row, identifiers, optOuts } = found;
  const values = Object.fromEntries(
    Object.entries(row).filter(([name, value]) => value !== null && !['id', 'created_at'].includes(name)),
  );
  return { id, values, identifiers, optOuts };
}

/** CSV of lines. */
export const csv = (...lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('');
