import { randomBytes, randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type App, startApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { openPlace } from '../../src/open-place.ts';
import { documentIdOf } from '../../src/operations/prepare-operation.ts';
import { FileApp, testConfig, urlOf } from '../support/app.ts';
import { runCommand } from '../support/command.ts';
import { useDatabase } from '../support/database.ts';
import { codeOf, makePartnerKey, makePartnerOperation, ways } from '../support/partner-operations.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';
import { until } from '../support/until.ts';

const dataEncryptionKey = randomBytes(32);
const database = useDatabase();
let app: App | null = null;
const g = new FileApp(database, () => urlOf(app));
beforeAll(async () => {
  app = await startApp(testConfig(database.url, { dataEncryptionKey }));
});
afterAll(() => app?.stop());

/** Runs a command on the database of the program that is running here. */
const run = (args: string[], settings: Record<string, string> = {}) =>
  runCommand(args, {
    DATABASE_URL: database.url,
    DATA_ENCRYPTION_KEY: dataEncryptionKey.toString('base64'),
    ...settings,
  });

let temporary: Awaited<ReturnType<typeof makeTemporaryDirectory>>;
beforeAll(async () => {
  temporary = await makeTemporaryDirectory();
});
afterAll(() => temporary.remove());

/** Writes a manifest and answers its path. */
async function writeManifest(documents: readonly string[]): Promise<string> {
  const file = join(temporary.path, `${randomUUID()}.json`);
  await writeFile(file, JSON.stringify(Object.fromEntries(documents.map((text) => [documentIdOf(text), text]))));
  return file;
}

const isInForce = async (secret: string) => (await g.server.as(secret).send('{ apps { totalCount } }')).status === 200;

test('a key is made, its secret alone goes to standard output, and it is revoked on a running server within a second', async () => {
  const made = await run(['keys', 'create', '--kind', 'dashboard', '--name', 'by hand']);
  expect(made).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^car_dash_\S+\n$/) });
  const secret = made.stdout.trim();
  expect(await isInForce(secret)).toBe(true);

  const key = await g.db.apiKey.findFirstOrThrow({ where: { name: 'by hand' } });
  expect(await run(['keys', 'revoke', key.id])).toMatchObject({ exitCode: 0, stdout: '' });
  const revoked = performance.now();
  await until(async () => !(await isInForce(secret)));
  expect(performance.now() - revoked).toBeLessThan(1_000);
});

test('a manifest is pushed, and a running server runs what it says, and within a second nothing else', async () => {
  const secret = await makePartnerKey(g.server, 'acme');
  const [before, now] = ['query Before { apps { totalCount } }', 'query Now { apps { totalCount } }'] as const;
  const documentId = await makePartnerOperation(g.server, 'acme', { document: before });
  const codeFor = async (id: string) => codeOf(await ways.POST({ url: g.url, secret }, { documentId: id }));
  expect(await codeFor(documentId)).toBeNull();

  const pushed = await run(['operations', 'push', '--partner', 'acme', '--replace-all', await writeManifest([now])]);
  expect(pushed).toEqual({ exitCode: 0, stdout: '', stderr: '1 registered, 1 removed.\n' });
  const begun = performance.now();
  await until(async () => (await codeFor(documentId)) === 'OPERATION_NOT_ALLOWED');
  expect(performance.now() - begun).toBeLessThan(1_000);
  expect(await codeFor(documentIdOf(now))).toBeNull();
});

test('the check finds what the schema breaks, in the database and in a manifest', async () => {
  const document = 'query Gone { fieldOfYesterday }';
  const row = {
    id: randomUUID(),
    partner: 'acme',
    documentId: documentIdOf(document),
    name: 'Gone',
    document,
    cost: 1,
  };
  await g.db.registeredOperation.create({ data: row });
  const [inDatabase, inManifest] = await Promise.all([
    run(['operations', 'check']),
    runCommand(['operations', 'check', 'test/operations.json', await writeManifest([document])], {}),
  ]);
  const line = `Gone ${documentIdOf(document)}: Cannot query field "fieldOfYesterday" on type "Query".`;
  expect(inDatabase).toMatchObject({ exitCode: 1, stdout: `partner acme ${line}\n` });
  expect(inManifest).toMatchObject({ exitCode: 1, stdout: expect.stringContaining(line.replace('Gone ', '')) });
  expect(inManifest.stdout.trim().split('\n')).toHaveLength(1);
});

test('the doctor says what is wrong and what to do about it, and tells no secret', async () => {
  await using broken = createServer().listen(0, '127.0.0.1');
  await g.db.$executeRaw`
    select graphile_worker.add_job('nobody does this', '{}', run_at => now() - interval '1 hour')`;
  const address = broken.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const REDIS_URL = `redis://:secret-of-redis@127.0.0.1:${port}`;
  const mailer = { NODE_ENV: 'production', SMTP_URL: 'smtps://mail.example.com', MAIL_FROM: 'a@example.com' };
  const [ill, misled] = await Promise.all([
    run(['doctor'], { REDIS_URL, ...mailer }),
    run(['doctor'], { PORT: 'secret-of-port' }),
  ]);

  expect(ill.exitCode).toBe(1);
  expect(ill.stdout).toMatch(/^✗ PUBLIC_URL is not set: .*$/m);
  expect(ill.stdout).toMatch(/^✗ Redis .*$/m);
  expect(ill.stdout).toMatch(/^✗ The oldest job has been waiting for 36\d\d s: start a worker/m);
  expect(ill.stdout.match(/^✓ .+\.$/gm)).toHaveLength(6);
  expect(misled).toMatchObject({ exitCode: 1, stdout: expect.stringMatching(/^✗ PORT must be a number/m) });
  const told = JSON.stringify([ill, misled]);
  for (const secret of ['secret-of', dataEncryptionKey.toString('base64')]) expect(told).not.toContain(secret);
});

test('mistakes are told in a sentence', async () => {
  const [absent, unknown] = await Promise.all([
    runCommand(['keys', 'list'], { DATA_DIR: join(temporary.path, 'nothing') }),
    run(['operations', 'push', '--partner', 'acme', await writeManifest(['mutation { a }'])]),
  ]);
  expect(absent).toMatchObject({ exitCode: 1, stdout: '' });
  expect(absent.stderr).toMatch(/^There is no database in \S+ yet; start the program, run "carillon migrate", .+\.\n$/);
  expect(unknown).toMatchObject({ exitCode: 1, stdout: '' });
  expect(unknown.stderr).toMatch(/^sha256:\S+: Cannot query field "a" on type "Mutation"\.\n$/);
});

test('an embedded database is migrated in its place, and while another process runs it the commands join it', async () => {
  const DATA_DIR = join(temporary.path, 'data');
  const closers: (() => Promise<unknown>)[] = [];
  await openPlace(readConfig({ DATA_DIR }), closers);
  try {
    const joined = await runCommand(['migrate'], { DATA_DIR });
    expect(joined).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('20261122000000_first_light\n') });
    expect(joined.stderr).toContain(`The database is embedded, of the running process ${process.pid}.`);
  } finally {
    for (const close of closers) await close();
  }
});

test('receipts shows a secret for each channel, the one that the program takes, and makes new ones', async () => {
  const secretsOf = ({ stdout }: { stdout: string }) =>
    stdout
      .trim()
      .split('\n')
      .slice(1)
      .map((line) => line.split('\t'));
  const shown = await run(['receipts'], { PUBLIC_URL: 'https://carillon.example.com/' });
  const rows = secretsOf(shown);
  expect(rows.map(([channel, address]) => [channel, address])).toEqual(
    ['sms', 'whatsapp', 'email'].map((channel) => [channel, `https://carillon.example.com/receipts/${channel}`]),
  );
  expect(new Set(rows.map(([, , secret]) => secret)).size).toBe(3);
  const [secret] = rows.map(([, , value]) => value);
  const { status } = await fetch(`${g.url}/receipts/sms`, {
    method: 'POST',
    body: '{"results":[]}',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${secret}` },
  });
  expect(status).toBe(204);
  expect(secretsOf(await run(['receipts'])).map(([, , value]) => value)).toEqual(rows.map(([, , value]) => value));
  const renewed = secretsOf(await run(['receipts', '--new-secrets']));
  expect(renewed.map(([, , value]) => value)).not.toContain(secret);
});
