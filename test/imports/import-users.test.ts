import { randomUUID } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, test } from 'vitest';
import { defineAttribute } from '../../src/attributes/define-attribute.ts';
import { saveUser } from '../../src/identity/save/save-users.ts';
import { importUsers } from '../../src/imports/import-users.ts';
import { newEmail, newPhone } from '../support/addresses.ts';
import { csv, ownCsv, useImports } from '../support/imports.ts';

const imports = useImports();
const { run, find, database } = imports;
const principal = 'operator';

const define = (name: string, type: 'NUMBER' | 'BOOLEAN') =>
  defineAttribute(imports.deployment, { principal, owner: 'USER', name, type, fields: null });

async function countRows() {
  const { rows } = await database.pool.query(
    'select (select count(*)::int from users) u, (select count(*)::int from identifiers) i, (select count(*)::int from recipients) r, (select count(*)::int from imports) m',
  );
  return rows[0];
}

beforeAll(async () => {
  await define('visits', 'NUMBER');
  await define('isVip', 'BOOLEAN');
});

test('a record is a user with addresses, attributes and tags, each of the type that it is defined with', async () => {
  const [id, email, phone] = [randomUUID(), newEmail(), newPhone()];
  const done = await run(
    csv(
      'externalUserId,email,phones,firstName,lastName,birthday,gender,preferredLanguage,tags,customAttributes.visits,customAttributes.isVip',
      `${id},${email},${phone},Ada,"Love, lace",1815-12-10,female,pt-br,a|b,09.50,TRUE`,
    ),
  );
  expect(done).toMatchObject({ isFinished: true, counts: { made: 1, saved: 1, refused: 0, nameless: 0 } });
  expect(await find(id)).toMatchObject({
    values: {
      type: 'CUSTOMER',
      first_name: 'Ada',
      last_name: 'Love, lace',
      birthday: '1815-12-10',
      gender: 'FEMALE',
      preferred_language: 'pt-BR',
      tags: ['a', 'b'],
      custom_attributes: { visits: '9.5', isVip: true },
    },
    identifiers: [id, email, phone],
  });
});

test('an empty cell says nothing: an import removes no value and no address', async () => {
  const [id, email] = [randomUUID(), newEmail()];
  await run(csv('externalUserId,email,firstName,lastName', `${id},${email},Ada,Old`));
  const again = await run(csv('externalUserId,email,firstName,lastName', `${id},,,New`));
  expect(again.counts).toEqual({ made: 0, saved: 1, refused: 0, nameless: 0 });
  expect(await find(id)).toMatchObject({ values: { first_name: 'Ada', last_name: 'New' }, identifiers: [id, email] });
  await run(csv('externalUserId,lastName', `${id},Override`), { mode: 'OVERRIDE' });
  const { values, identifiers } = (await find(id)) ?? {};
  expect([values?.first_name, values?.last_name, identifiers]).toEqual([undefined, 'Override', [id, email]]);
});

test('what is refused is told by line, code, reason and path, with nothing of what was in it, and keeps no other back', async () => {
  const [id, email] = [randomUUID(), newEmail()];
  await saveUser(imports.deployment, { principal, create: true, user: { email } });
  const done = await run(
    csv(
      'externalUserId,email,phone,birthday',
      `${randomUUID()},not-an-address,,`,
      `${randomUUID()},,12,`,
      `${randomUUID()},${email},,`,
      `${randomUUID()},,,1999-02-30`,
      `${randomUUID()},,`,
      'undefined,,,',
      ',,,2000-01-01',
      `${id},,,2000-01-01`,
    ),
  );
  expect(done.counts).toEqual({ made: 1, saved: 1, refused: 6, nameless: 1 });
  expect(done.refusals).toEqual([
    { lineNumber: 2, code: 'EMAIL_INVALID', message: expect.any(String), path: ['emails', '0'] },
    { lineNumber: 3, code: 'PHONE_INVALID', message: expect.any(String), path: ['phones', '0'] },
    { lineNumber: 4, code: 'USER_MERGE_INTERRUPTED', message: expect.any(String), path: ['emails'] },
    { lineNumber: 5, code: 'ATTRIBUTE_INVALID', message: expect.any(String), path: ['userAttributes', 'birthday'] },
    { lineNumber: 6, code: 'VALUE_INVALID', message: 'The header has 4 fields, and this record 3.', path: [] },
    { lineNumber: 7, code: 'IDENTIFIER_BLOCKED', message: expect.any(String), path: ['user', 'externalUserId'] },
  ]);
  expect(JSON.stringify(done.refusals)).not.toMatch(/not-an-address|example\.com/);
  expect(await find(id)).toBeTruthy();
});

test('a header that cannot be read is told at the start, and begins no import', async () => {
  const before = await countRows();
  const refusal = (content: string) =>
    run(content).then(
      () => null,
      (error: Error) => error.message,
    );
  expect(await refusal(csv('externalUserId,frstName', 'a,b'))).toMatch(/"frstName" is unknown: is it "firstName"\?/);
  expect(await refusal(csv('email,email', 'a,b'))).toBe('Two columns are called "email".');
  expect(await refusal('')).toBe('The file has no header: it is empty.');
  expect(await refusal('\xff\xfee\0')).toMatch(/has no header/);
  expect(await countRows()).toEqual(before);
  const id = randomUUID();
  await run(csv('externalUserId,frstName', `${id},b`), { ignoreUnknownColumns: true });
  expect(await find(id)).toBeTruthy();
});

test('an NDJSON file holds what saveUser takes; null and half a surrogate pair are not taken for values', async () => {
  const [first, second] = [randomUUID(), randomUUID()];
  const [email, other] = [newEmail(), newEmail()];
  const lines = [
    JSON.stringify({
      externalUserId: first,
      emails: [email, other],
      userAttributes: { firstName: 'Ada', tags: ['a'] },
    }),
    `{"externalUserId":"${second}","firstName":null,"lastName":"\\ud800"}`,
    '{"externalUserId":',
    JSON.stringify({ externalUserId: second, unknown: 1 }),
    JSON.stringify({ externalUserId: second, firstName: null, customAttributes: { visits: 3 } }),
  ];
  const done = await run(lines.join('\r\n'), { format: 'ndjson' });
  expect(done.refusals).toMatchObject([
    { lineNumber: 2, code: 'VALUE_INVALID', path: [] },
    { lineNumber: 3, message: 'This is no JSON object.' },
    { lineNumber: 4, path: ['unknown'] },
  ]);
  expect(await find(first)).toMatchObject({ identifiers: [first, ...[email, other].sort()], values: { tags: ['a'] } });
  expect(await find(second)).toMatchObject({ values: { custom_attributes: { visits: '3' } } });
});

test('a packed file is unpacked', async () => {
  const id = randomUUID();
  const done = await run(gzipSync(csv('externalUserId', id)), {}, { file: 'csv.gz' });
  expect([done.counts.made, (await find(id))?.identifiers]).toEqual([1, [id]]);
});

test('a dry run tells what would be refused and writes nothing', async () => {
  const before = await countRows();
  const done = await run(csv('externalUserId,email', `${randomUUID()},x`, `${randomUUID()},`), {}, { isDryRun: true });
  expect(done).toMatchObject({
    importId: null,
    counts: { made: 1, saved: 1, refused: 1 },
    refusals: [{ lineNumber: 2 }],
  });
  expect(await countRows()).toEqual(before);
});

describe('an opt-out survives an import (M8)', () => {
  test('one in the file is written, with who has said it; true says nothing', async () => {
    const [first, second, email, phone] = [randomUUID(), randomUUID(), newEmail(), newPhone()];
    const done = await run(
      csv(
        'externalUserId,email,phone,emailIsSubscribed,smsIsSubscribed',
        `${first},${email},${phone},false,true`,
        `${second},${newEmail()},,true,`,
      ),
    );
    expect((await find(first))?.optOuts).toEqual({ [email]: `import:${done.importId}` });
    expect((await find(second))?.optOuts).toEqual({});
    // Without an address it is of all that the user has.
    await run(csv('externalUserId,smsIsSubscribed', `${first},0`));
    expect(Object.keys((await find(first))?.optOuts ?? {})).toEqual([phone, email].sort());
  });

  test('one that is there stays as it was said, whatever the file says', async () => {
    const [id, email] = [randomUUID(), newEmail()];
    await run(csv('externalUserId,email', `${id},${email}`));
    await database.pool.query(
      `update recipients set is_subscribed = false, consent_at = now(), consent_by = 'the person' where address = $1`,
      [email],
    );
    await run(csv('externalUserId,email,emailIsSubscribed', `${id},${email},true`));
    await run(csv('externalUserId,email,emailIsSubscribed', `${id},${email},false`));
    expect((await find(id))?.optOuts).toEqual({ [email]: 'the person' });
  });
});

test('an import that was stopped goes on with the same file, and only with it', async () => {
  const ids = Array.from({ length: 4_500 }, () => randomUUID());
  const content = csv('externalUserId,email', ...ids.map((id, index) => `${id},${index % 1_000 === 7 ? 'x' : ''}`));
  const file = await imports.write(content);
  const stop = new AbortController();
  const request = { file, from: { options: ownCsv } };
  const first = await importUsers(imports.deployment, { ...request, signal: stop.signal, onPage: () => stop.abort() });
  expect(first).toMatchObject({ isFinished: false, counts: { saved: 1_998, refused: 2 } });
  const other = await imports.write(`${content}${randomUUID()},\n`);
  const from = { importId: first.importId ?? '' };
  await expect(importUsers(imports.deployment, { file: other, from })).rejects.toThrow('not the file');

  const second = await importUsers(imports.deployment, request);
  expect(second).toMatchObject({ importId: first.importId, isFinished: true, counts: { saved: 2_497, refused: 3 } });
  await expect(importUsers(imports.deployment, { file, from })).rejects.toThrow('finished');
  const row = await database.db.import.findUniqueOrThrow({ where: { id: first.importId ?? '' } });
  expect(row).toMatchObject({ lineNumber: 4_501, madeCount: 4_495, savedCount: 4_495, refusedCount: 5 });
});

test('of two processes that go on with one import, one is refused, and nothing is written twice', async () => {
  const ids = Array.from({ length: 6_500 }, () => randomUUID());
  const file = await imports.write(csv('externalUserId', ...ids));
  const stop = new AbortController();
  const from = { options: ownCsv };
  const { importId } = await importUsers(imports.deployment, {
    file,
    from,
    signal: stop.signal,
    onPage: () => stop.abort(),
  });
  const runs = await Promise.allSettled([1, 2].map(() => importUsers(imports.deployment, { file, from })));
  expect(runs.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  const row = await database.db.import.findUniqueOrThrow({ where: { id: importId ?? '' } });
  expect([row.savedCount, row.madeCount, row.lineNumber]).toEqual([6_500, 6_500, 6_501]);
});
