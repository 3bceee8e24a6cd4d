import { randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import { runCommand } from '../../test/support/command.ts';
import { makeTemporaryDirectory } from '../../test/support/temporary-directory.ts';
import { makeDatabase } from '../support/database.ts';
import type { Row } from '../support/table.ts';

/** How much is imported. */
export interface ImportLoad {
  /** Users of a file, each in one record. */
  users: number;
  rounds: number;
}

/** In the order in which they refer to each other. */
const tables = ['users', 'identifiers', 'recipients'] as const;

/**
 * How many users a second `carillon import users` takes from a CSV file, from the start of the command to its end, beside `COPY`
 * of the very rows that it has written into the same tables, emptied before, with all their indexes and constraints.
 */
export async function measureImport({ users, rounds }: ImportLoad): Promise<Row> {
  await using database = await makeDatabase();
  const directory = await makeTemporaryDirectory();
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    const file = join(directory.path, 'users.csv');
    await writeFile(file, toCsv(users));
    const settings = { DATABASE_URL: database.url, DATA_ENCRYPTION_KEY: randomBytes(32).toString('base64') };
    const [ours, measure]: [number[], number[]] = [[], []];
    for (let round = 0; round < rounds; round += 1) {
      await empty(client);
      ours.push(users / (await timed(() => importFile(file, settings))));
      await copyOut(client, directory.path);
      await empty(client);
      measure.push(users / (await timed(() => copyIn(client, directory.path))));
      await compareCounts(client, users);
    }
    return { what: 'import', unit: 'users/s', ours, measure, of: 'COPY', limit: { atLeast: 0.4 } };
  } finally {
    await client.end();
    await directory.remove();
  }
}

function toCsv(users: number): string {
  const languages = ['en', 'hr', 'de', 'pt-BR'];
  const lines = Array.from({ length: users }, (_, index) =>
    [
      `user-${index}`,
      `person.${index}@example.com`,
      `+3851${6_000_000 + index}`,
      `First${index % 997}`,
      `Last${index}`,
      languages[index % languages.length],
      'imported',
      index % 2 === 0 ? 'gold' : 'free',
    ].join(','),
  );
  const header = 'externalUserId,email,phone,firstName,lastName,preferredLanguage,tags,customAttributes.plan';
  return `${[header, ...lines].join('\n')}\n`;
}

/** Seconds. */
async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return (performance.now() - startedAt) / 1_000;
}

async function empty(client: pg.Client): Promise<void> {
  await client.query('truncate users, identifiers, recipients, imports, attribute_definitions cascade');
  await client.query('checkpoint').catch(() => undefined);
}

async function importFile(file: string, settings: Record<string, string>): Promise<void> {
  const { exitCode, stderr } = await runCommand(['import', 'users', file], {
    ...settings,
    UNDECLARED_ATTRIBUTES: 'infer',
  });
  if (exitCode !== 0) throw new Error(`The import has failed: ${stderr}`);
}

async function copyOut(client: pg.Client, directory: string): Promise<void> {
  for (const table of tables) {
    const rows = client.query(copyTo(`copy ${table} to stdout`));
    await pipeline(rows, createWriteStream(join(directory, table)));
  }
}

async function copyIn(client: pg.Client, directory: string): Promise<void> {
  for (const table of tables) {
    const taken = client.query(copyFrom(`copy ${table} from stdin`));
    await pipeline(createReadStream(join(directory, table), { highWaterMark: 1_048_576 }), taken);
  }
}

async function compareCounts(client: pg.Client, users: number): Promise<void> {
  const { rows } = await client.query(
    'select (select count(*) from users) as u, (select count(*) from identifiers) as i, (select count(*) from recipients) as r',
  );
  const [{ u, i, r }] = rows;
  if (Number(u) !== users || Number(i) !== 3 * users || Number(r) !== 3 * users) throw new Error('Rows are missing.');
}
