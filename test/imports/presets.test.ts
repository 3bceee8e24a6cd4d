import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { parseMapping } from '../../src/imports/mapping.ts';
import { newEmail, newPhone } from '../support/addresses.ts';
import { csv, useImports } from '../support/imports.ts';

const imports = useImports({ undeclaredAttributes: 'INFER' });
const { run, find } = imports;

test("OneSignal's export: a row for each subscription of a user; tags are custom attributes, and opt-outs are kept", async () => {
  const [id, email, gone, phone] = [randomUUID(), newEmail(), newEmail(), newPhone()];
  const rows = [
    // The columns of the export, with those that can be asked for.
    'id,identifier,session_count,language,timezone,game_version,device_os,device_type,device_model,ad_id,tags,last_active,playtime,amount_spent,created_at,invalid_identifier,badge_count,external_user_id,notification_types,country,timezone_id',
    `1,token,3,en,3600,1.0,14,1,Pixel,,"{""plan"":""gold"",""visits"":""9"",""left"":""""}",2026-01-01,0,0,2025-01-01,f,0,${id},1,HR,Europe/Zagreb`,
    `2,${email},1,xx-invalid-,0,,,11,,,{},,0,0,,f,0,${id},1,,Nowhere/None`,
    `3,${gone},1,,0,,,11,,,,,0,0,,t,0,${id},-2,,`,
    `4,${phone},1,,0,,,14,,,,,0,0,,f,0,${id},-31,,`,
    '5,other token,1,de,0,,,0,,,,,0,0,,f,0,,1,,',
    `6,${newEmail()},1,de,0,,,11,,,,,0,0,,f,0,,1,,`,
  ];
  const done = await run(csv(...rows), { preset: 'onesignal' });
  expect(done.counts).toEqual({ made: 2, saved: 5, refused: 0, nameless: 1 });
  expect(await find(id)).toMatchObject({
    values: {
      preferred_language: 'en',
      country: 'HR',
      time_zone: 'Europe/Zagreb',
      custom_attributes: { plan: 'gold', visits: '9' },
    },
    identifiers: [id, ...[email, gone].sort(), phone],
    optOuts: { [gone]: `import:${done.importId}`, [phone]: `import:${done.importId}` },
  });
});

test('a mapping says what the columns of any other service are', async () => {
  const [id, email] = [randomUUID(), newEmail()];
  const mapping = parseMapping(
    JSON.stringify({
      columns: {
        UserID: 'externalUserId',
        Mail: 'email',
        Labels: { field: 'tags', separator: ';' },
        Plan: 'customAttributes.plan',
        OptedOut: { field: 'emailIsSubscribed', values: { yes: 'false', no: 'true' } },
        Internal: null,
      },
      fixed: { preferredLanguage: 'nl', country: 'NL', tags: 'imported' },
    }),
  );
  const content = csv('UserID\tMail\tLabels\tPlan\tOptedOut\tInternal', `${id}\t${email}\ta;b\tgold\tyes\tx`);
  const done = await run(content, { mapping, delimiter: '\t' });
  expect(await find(id)).toMatchObject({
    values: {
      preferred_language: 'nl',
      country: 'NL',
      tags: ['a', 'b', 'imported'],
      custom_attributes: { plan: 'gold' },
    },
    identifiers: [id, email],
    optOuts: { [email]: `import:${done.importId}` },
  });
});

test('a mapping that names no field of ours is refused with the one that may be meant', () => {
  expect(() => parseMapping('{ "columns": { "A": "frstName" } }')).toThrow(
    '"frstName", which is no field: is it firstName?',
  );
  expect(() => parseMapping('{ "columns": { "A": { "feld": "tags" } } }')).toThrow('This is no mapping at columns.A');
  expect(() => parseMapping('columns')).toThrow('This is no mapping');
});
