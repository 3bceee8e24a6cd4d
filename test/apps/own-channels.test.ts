import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { sql } from '../../src/storage/database.ts';
import { graphql } from '../generated/gql.ts';
import { useApp } from '../support/app.ts';
import { getDefaultApp, setChannels } from '../support/app-channels.ts';
import { makeApiKey } from '../support/keys.ts';
import { localIdOf } from '../support/send-operations.ts';
import { makeApp } from '../support/user-registration.ts';

const g = useApp({ role: 'gateway' });

const pem = { type: 'pkcs8', format: 'pem' } as const;
const googleKey = generateKeyPairSync('rsa', { modulusLength: 2_048 }).privateKey.export(pem).toString();
const appleKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export(pem).toString();

const fcm = {
  serviceAccount: JSON.stringify({
    type: 'service_account',
    project_id: 'shop-1234',
    private_key: googleKey,
    client_email: 'sender@shop-1234.iam.gserviceaccount.com',
  }),
};
const apns = { key: appleKey, keyId: 'ABC123DEFG', teamId: 'DEF123GHIJ', topic: 'com.example.shop' };
const smtp = { url: 'smtps://ann:hunter2hunter2@mail.example.com', from: 'Shop <shop@example.com>' };
const infobip = { baseUrl: 'https://abc.api.infobip.com', apiKey: 'infobip-key-of-the-test', from: 'Shop' };
const twilio = { accountSid: `AC${'0'.repeat(32)}`, authToken: 'twilio-token-of-the-test', from: '+385912345678' };
const smpp = { url: 'smpp://carillon:hunter2hunter2@smsc.example.com:2775', from: 'Shop' };
const infobipWhatsapp = { ...infobip, apiKey: 'infobip-whatsapp-key-of-the-test', from: '385912345678' };
const twilioWhatsapp = { ...twilio, authToken: 'twilio-whatsapp-token-of-the-test' };
const webPush = { subject: 'mailto:ann@example.com' };

let defaultApp: string;
let app: string;
beforeAll(async () => {
  defaultApp = await getDefaultApp(g.server);
  app = (await makeApp(g.server, {})).id;
});

const told = (provider: string, account: string) => ({ provider, account, updatedAt: expect.any(String) });

async function channelsOf(id: string, given: Parameters<typeof setChannels>[2] = {}) {
  const done = await setChannels(g.server, id, given);
  if (done?.__typename !== 'UpdateAppPayload') throw new Error(`Refused: ${JSON.stringify(done)}`);
  return done.app.channels;
}

describe('an app’s own credentials', () => {
  test('are told by the account that they are of, and by nothing else', async () => {
    expect(await channelsOf(app, { fcm, apns, webPush })).toEqual([
      told('FCM', 'shop-1234'),
      told('APNS', 'com.example.shop by key ABC123DEFG of team DEF123GHIJ'),
      told('WEB_PUSH', 'mailto:ann@example.com'),
    ]);
  });

  test('stay as they are when nothing is said of them, are replaced when they are given, and go with null', async () => {
    await channelsOf(app, { fcm, apns });
    expect(await channelsOf(app, { apns: { ...apns, topic: 'com.example.other' }, webPush: null })).toEqual([
      told('FCM', 'shop-1234'),
      told('APNS', 'com.example.other by key ABC123DEFG of team DEF123GHIJ'),
    ]);
    expect(await channelsOf(app, { fcm: null, apns: null })).toEqual([]);
    expect(await channelsOf(app, { fcm: null })).toEqual([]);
  });

  test('are of one app', async () => {
    await channelsOf(app, { fcm });
    expect(await channelsOf((await makeApp(g.server, {})).id)).toEqual([]);
  });

  test('are readable in no table', async () => {
    await setChannels(g.server, defaultApp, { fcm, apns, smtp, infobip, infobipWhatsapp }, randomUUID());
    for (const next of [
      { infobip: null, twilio },
      { twilio: null, smpp },
      { infobipWhatsapp: null, twilioWhatsapp },
    ]) {
      await setChannels(g.server, defaultApp, next, randomUUID());
    }
    const { rows: tables } = await g.pool.query<{ name: string }>(
      `select format('%I.%I', table_schema, table_name) as name from information_schema.tables
       where table_schema in ('public', 'graphile_worker') and table_type = 'BASE TABLE'`,
    );
    const texts = await Promise.all(
      tables.map(async ({ name }) => {
        const { rows } = await g.pool.query<{ text: string }>(`select t::text as text from ${name} t`);
        return rows.map(({ text }) => text).join('\n');
      }),
    );
    const dump = texts.join('\n');
    expect(dump).toContain('com.example.shop');
    const secrets = [smtp.url, infobip.apiKey, twilio.authToken, smpp.url];
    secrets.push(infobipWhatsapp.apiKey, twilioWhatsapp.authToken);
    for (const secret of [...secrets, ...[googleKey, appleKey].map((key) => key.split('\n')[1] ?? '')]) {
      expect(dump).not.toContain(secret);
      expect(dump).not.toContain(Buffer.from(secret).toString('hex'));
    }
  });

  test('are readable as those of their app and provider only', async () => {
    await channelsOf(app, { fcm });
    await channelsOf(defaultApp, { fcm });
    const { rowCount } = await g.pool.query(sql`
      select from app_channels a join app_channels b using (credentials_cipher)
      where a.app_id = ${localIdOf(app)}::uuid and b.app_id = ${localIdOf(defaultApp)}::uuid
    `);
    expect(rowCount).toBe(0);
  });

  test('are for server and dashboard keys to see', async () => {
    await channelsOf(app, { fcm });
    const query = graphql(`query ChannelsOfApp($id: ID!) { app(id: $id) { channels { provider account } } }`);
    const { secret } = await makeApiKey(g.server, { kind: 'DASHBOARD', name: 'screen' });
    const seen = await g.server.as(secret).run(query, { id: app });
    expect(seen.app?.channels).toEqual([{ provider: 'FCM', account: 'shop-1234' }]);
    const { secret: publishable } = await makeApiKey(g.server, { kind: 'APP', name: 'page', app });
    const { body } = await g.server.as(publishable).send('{ app { channels { provider } } }');
    expect(body.errors?.map(({ extensions }) => extensions.code)).toEqual(['FORBIDDEN']);
  });
});

/** Nothing of its own any more. */
const nothing = {
  ...{ fcm: null, apns: null, webPush: null, smtp: null, infobip: null, twilio: null, smpp: null },
  ...{ infobipWhatsapp: null, twilioWhatsapp: null },
};

describe('e-mail, SMS and WhatsApp', () => {
  test('are sent by the default app', async () => {
    await channelsOf(defaultApp, nothing);
    expect(await channelsOf(defaultApp, { smtp, infobip, infobipWhatsapp })).toEqual([
      told('SMTP', 'Shop <shop@example.com>'),
      told('INFOBIP', 'Shop'),
      told('INFOBIP_WHATSAPP', '385912345678'),
    ]);
  });

  test.each([
    ['twilio', { twilio }, told('TWILIO', '+385912345678')],
    ['smpp', { smpp }, told('SMPP', 'Shop')],
    ['smpp', { smpp: { ...smpp, url: 'smpps://c:p@smsc.example.com/?system_type=x' } }, told('SMPP', 'Shop')],
    ['twilioWhatsapp', { twilioWhatsapp }, told('TWILIO_WHATSAPP', '+385912345678')],
    [
      'twilioWhatsapp',
      { twilioWhatsapp: { ...twilioWhatsapp, baseUrl: 'https://twilio.example.com' } },
      told('TWILIO_WHATSAPP', '+385912345678'),
    ],
  ])('are sent by %s: %j', async (_, channels, expected) => {
    await channelsOf(defaultApp, nothing);
    expect(await channelsOf(defaultApp, channels)).toEqual([expected]);
  });

  test.each([
    [{ infobip }, { twilio }, ['twilio']],
    [{ twilio }, { infobip }, ['infobip']],
    [{ smpp }, { twilio }, ['twilio']],
    [{}, { infobip, smpp }, ['smpp']],
    [{ infobipWhatsapp }, { twilioWhatsapp }, ['twilioWhatsapp']],
  ])('have one provider each: with %j, %j is refused, and taken when the other goes', async (present, next, path) => {
    await channelsOf(defaultApp, nothing);
    await channelsOf(defaultApp, present);
    const before = await channelsOf(defaultApp);
    expect(await setChannels(g.server, defaultApp, { ...next, fcm })).toMatchObject({
      code: 'VALUE_INVALID',
      path: ['channels', ...path],
    });
    expect(await channelsOf(defaultApp)).toEqual(before);
    const [last] = Object.entries(next).slice(-1);
    expect(await channelsOf(defaultApp, { ...nothing, ...Object.fromEntries(last ? [last] : []) })).toHaveLength(1);
  });

  test.each([
    ['smtp', { smtp }],
    ['infobip', { infobip }],
    ['twilio', { twilio }],
    ['smpp', { smpp }],
    ['infobipWhatsapp', { infobipWhatsapp }],
    ['twilioWhatsapp', { twilioWhatsapp }],
  ])('are no other app’s: %s', async (name, channels) => {
    expect(await setChannels(g.server, app, channels)).toMatchObject({
      code: 'VALUE_INVALID',
      path: ['channels', name],
    });
  });
});

test.each([
  [{ fcm: { serviceAccount: '{}' } }, ['fcm', 'serviceAccount']],
  [{ fcm: { serviceAccount: 'x'.repeat(20_000) } }, ['fcm', 'serviceAccount']],
  [{ fcm: { ...fcm, baseUrl: 'ftp://fcm.example.com' } }, ['fcm', 'baseUrl']],
  [{ apns: { ...apns, key: googleKey } }, ['apns', 'key']],
  [{ apns: { ...apns, keyId: 'no id' } }, ['apns', 'keyId']],
  [{ apns: { ...apns, teamId: '' } }, ['apns', 'teamId']],
  [{ apns: { ...apns, topic: 'com/example' } }, ['apns', 'topic']],
  [{ webPush: { subject: 'ann' } }, ['webPush', 'subject']],
  [{ smtp: { ...smtp, url: 'https://mail.example.com' } }, ['smtp', 'url']],
  [{ smtp: { ...smtp, url: 'smtp://ann:100%@mail.example.com' } }, ['smtp', 'url']],
  [{ smtp: { ...smtp, url: 'smtp://mail.example.com?pool=0&sendmail=1&path=/bin/sh' } }, ['smtp', 'url']],
  [{ smtp: { ...smtp, from: 'nobody' } }, ['smtp', 'from']],
  [{ infobip: { ...infobip, baseUrl: 'abc' } }, ['infobip', 'baseUrl']],
  [{ infobip: { ...infobip, apiKey: 'with blanks' } }, ['infobip', 'apiKey']],
  [{ infobip: { ...infobip, from: '' } }, ['infobip', 'from']],
  [{ twilio: { ...twilio, accountSid: 'AC1' } }, ['twilio', 'accountSid']],
  [{ twilio: { ...twilio, authToken: 'with blanks' } }, ['twilio', 'authToken']],
  [{ twilio: { ...twilio, from: '' } }, ['twilio', 'from']],
  [{ twilio: { ...twilio, baseUrl: 'smpp://twilio.example.com' } }, ['twilio', 'baseUrl']],
  [{ smpp: { ...smpp, url: 'https://smsc.example.com' } }, ['smpp', 'url']],
  [{ smpp: { ...smpp, url: 'smpp://c:hunter2%@smsc.example.com' } }, ['smpp', 'url']],
  [{ smpp: { ...smpp, url: `${smpp.url}?password=hunter2` } }, ['smpp', 'url']],
  [{ smpp: { ...smpp, from: 'x'.repeat(51) } }, ['smpp', 'from']],
  [{ infobipWhatsapp: { ...infobipWhatsapp, baseUrl: '' } }, ['infobipWhatsapp', 'baseUrl']],
  [{ infobipWhatsapp: { ...infobipWhatsapp, apiKey: '' } }, ['infobipWhatsapp', 'apiKey']],
  [{ infobipWhatsapp: { ...infobipWhatsapp, from: 'a number' } }, ['infobipWhatsapp', 'from']],
  [{ twilioWhatsapp: { ...twilioWhatsapp, accountSid: '' } }, ['twilioWhatsapp', 'accountSid']],
  [{ twilioWhatsapp: { ...twilioWhatsapp, from: 'a number' } }, ['twilioWhatsapp', 'from']],
])('what cannot be is refused at its place, not repeated, and nothing is written: %j', async (channels, path) => {
  const before = await channelsOf(defaultApp);
  const refusal = await setChannels(g.server, defaultApp, { webPush, ...channels });
  expect(refusal).toMatchObject({ code: 'VALUE_INVALID', path: ['channels', ...path] });
  expect(JSON.stringify(refusal)).not.toContain('hunter2');
  expect(await channelsOf(defaultApp)).toEqual(before);
});

test('an app that there is not has no credentials', async () => {
  const astray = Buffer.from(`App:${randomUUID()}`).toString('base64');
  expect(await setChannels(g.server, astray, { fcm })).toMatchObject({ code: 'NOT_FOUND', path: ['app'] });
});

test('a repeat with the same idempotency key changes nothing', async () => {
  const key = randomUUID();
  await setChannels(g.server, app, { fcm }, key);
  await setChannels(g.server, app, { fcm: null });
  expect(await setChannels(g.server, app, { fcm }, key)).toMatchObject({ app: { channels: [] } });
  expect(await setChannels(g.server, app, { apns }, key)).toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
});
