import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { startProgram } from '../support/program.ts';
import { programEnvironment } from '../support/program-environment.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const project = fileURLToPath(new URL('../..', import.meta.url));
const readPage = (name: string) => readFile(join(project, name), 'utf8');
const readme = await readPage('README.md');

/** The shell blocks of a text, as a reader pastes them one after the other. */
const shellBlocks = (text: string) => [...text.matchAll(/^```bash\n(.*?)^```$/gms)].flatMap(([, code]) => code ?? []);

/** Those of one section of the README. */
const blocksUnder = (heading: string) =>
  shellBlocks(readme.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? '');

test('the first session of the README, and what goes on from it there and in docs/sending.md, does what it says, as written', async () => {
  const directory = await makeTemporaryDirectory();
  await using program = await startProgram({}, directory.path);
  const blocks = [
    ...blocksUnder('First session'),
    ...shellBlocks(await readPage('docs/sending.md')),
    ...blocksUnder('Messages'),
    ...blocksUnder('Partners'),
  ];
  // What is not as written: another program may have the default port here, and the data is in another folder than the code.
  const script = blocks
    .map((code) => `${code}\necho '----'\n`)
    .join('')
    .replace('http://127.0.0.1:4000', program.url)
    .replace('npx carillon', `node ${join(project, 'src/carillon.ts')}`);

  const { stdout, stderr } = await promisify(execFile)('bash', ['--norc', '-eu', '-c', script], {
    cwd: directory.path,
    env: programEnvironment(),
  });
  const [, registered, personalized, sent, followed, read, loggedOut, ...more] = stdout.split('----\n');
  const [counted, offered, cancelled, explained, reported, template, partner] = more;

  expect(registered).toContain('"pushStatus":"ALLOWED","user":{"id":"');
  expect(registered).toContain('"type":"LEAD"');
  expect(personalized).toContain('"type":"CUSTOMER"');
  expect(personalized).toContain('{"channel":"EMAIL","isReachable":true}');
  expect(sent?.trim()).toMatch(/^[\w+/=]+$/);
  for (const channel of ['PUSH', 'EMAIL', 'IN_APP']) {
    expect(
      followed
        ?.split('\n')
        .filter((line) => line.includes(`"channel":"${channel}"`))
        .map(toStatus),
    ).toEqual(['QUEUED', 'SENT']);
  }
  expect(followed).toContain('"state":"RECOVERED"');
  expect(read).toContain('"progress":{"total":3,"sent":3,"reached":{"sent":3}}');
  expect(read).toContain('It arrives today.');
  expect(loggedOut).toContain('"user":{"type":"LEAD","externalUserId":null}');
  expect(counted).toMatch(/"previewAudience":\{"users":1,"total":\d/);
  expect(offered?.trim()).toMatch(/^[\w+/=]+$/);
  expect(cancelled).toContain('"status":"CANCELLED"');
  expect(explained).toContain('{"text":"The target names the user, by EXTERNAL_USER_ID."}');
  expect(reported).toContain('"delivery":{"status":"OPENED"}');
  expect(template).toContain('{"template":{"name":"parcel"}}');
  expect(template).toMatch(/"sendNotification":\{"notification":\{"id":"[\w+/=]+"\},"warnings":\[/);
  expect(partner).toMatch(/^\{"data":\{"users":\{"totalCount":\d+\}\}/);
  // Curl says that it stopped after the three seconds, and the command that it has made a key. Nothing else is said.
  expect(stderr.split('\n')).toEqual([
    expect.stringContaining('timed out'),
    expect.stringMatching(/^The key \S+ was made\./),
    '',
  ]);

  await program.stop();
  await directory.remove();
});

function toStatus(line: string): string | undefined {
  return /"status":"(\w+)"/.exec(line)?.[1];
}

test('the README shows the two commands', () => {
  expect(readme).toContain('npm ci && npm start\n');
  expect(readme).toContain('npm ci && npm test\n');
});
