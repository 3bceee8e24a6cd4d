import { createECDH, generateKeyPairSync, randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { listUnreachable, readConfig } from '../src/config.ts';
import { StartupError } from '../src/errors.ts';
import { listSettings } from '../src/settings.ts';

/** The mistakes that a start with these variables reports, a line each. */
function mistakesOf(variables: Record<string, string>): string[] {
  try {
    readConfig(variables);
  } catch (error) {
    if (error instanceof StartupError) return error.message.split('\n');
    throw error;
  }
  return [];
}

const dataEncryptionKey = randomBytes(32).toString('base64');
const twilioAccount = { accountSid: `AC${'0'.repeat(32)}`, authToken: 'twilio-token' };
const databaseUrl = 'postgresql://ann:secret@db.example.com/carillon';

function newVapidKeys(): { VAPID_PUBLIC_KEY: string; VAPID_PRIVATE_KEY: string } {
  const pair = createECDH('prime256v1');
  pair.generateKeys();
  // Without the zeros that a number begins with, one of 256 is shorter.
  const privateKey = pair.getPrivateKey();
  return {
    VAPID_PUBLIC_KEY: pair.getPublicKey('base64url'),
    VAPID_PRIVATE_KEY: Buffer.concat([Buffer.alloc(32 - privateKey.length), privateKey]).toString('base64url'),
  };
}

describe('nothing set', () => {
  test('everything runs in one process on an embedded database, with the outbox for every channel', () => {
    expect(readConfig({})).toEqual({
      environment: 'development',
      role: 'all',
      host: '127.0.0.1',
      port: 4000,
      metricsPort: null,
      traces: null,
      publicUrl: 'http://127.0.0.1:4000',
      callbackUrl: null,
      twilioAuthToken: null,
      dataDirectory: '.data',
      databaseUrl: null,
      redisUrl: null,
      trustedProxies: [],
      dataEncryptionKey: null,
      eventRetentionDays: 30,
      trackedEventRetentionDays: 400,
      rules: {
        blockedIdentifiers: expect.objectContaining({ size: 13 }),
        undeclaredAttributes: 'REFUSE',
        installationsPerUserMax: 100,
        mergesPerDayMax: 100,
      },
      serverKey: null,
      appKey: null,
      isOutboxAllowed: true,
      arePrivateEndpointsAllowed: false,
      arePrivateWebhooksAllowed: true,
      smtp: null,
      fcm: null,
      apns: null,
      vapid: { subject: 'https://carillon.invalid', publicKey: null, privateKey: null },
      infobip: null,
      twilio: null,
      smpp: null,
      whatsApp: null,
      ratesPerSecond: {},
    });
  });

  test('an empty variable counts as absent', () => {
    expect(readConfig({ DATABASE_URL: '', PORT: '', SMS_PROVIDER: '' })).toEqual(readConfig({}));
  });

  test('in production there is no outbox, unless it is allowed', () => {
    expect(readConfig({ NODE_ENV: 'production' }).isOutboxAllowed).toBe(false);
    expect(readConfig({ NODE_ENV: 'production', ALLOW_OUTBOX: '1' }).isOutboxAllowed).toBe(true);
  });

  test('in production no webhook goes to a private address, unless it is allowed', () => {
    expect(readConfig({ NODE_ENV: 'production' }).arePrivateWebhooksAllowed).toBe(false);
    expect(readConfig({ NODE_ENV: 'production', ALLOW_PRIVATE_WEBHOOKS: '1' }).arePrivateWebhooksAllowed).toBe(true);
    expect(readConfig({ ALLOW_PRIVATE_WEBHOOKS: '0' }).arePrivateWebhooksAllowed).toBe(false);
  });
});

const googleKey = generateKeyPairSync('rsa', { modulusLength: 2_048 })
  .privateKey.export({ type: 'pkcs8', format: 'pem' })
  .toString();
const serviceAccount = JSON.stringify({
  type: 'service_account',
  project_id: 'shop-1234',
  private_key: googleKey,
  client_email: 'sender@shop-1234.iam.gserviceaccount.com',
});
const apnsKey = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  .privateKey.export({ type: 'pkcs8', format: 'pem' })
  .toString();

const twilioVariables = { TWILIO_ACCOUNT_SID: twilioAccount.accountSid, TWILIO_AUTH_TOKEN: twilioAccount.authToken };

describe('everything set', () => {
  test('arrives parsed', () => {
    const vapidKeys = newVapidKeys();
    const config = readConfig({
      PORT: '0',
      HOST: '::1',
      METRICS_PORT: '9464',
      OTEL_EXPORTER_OTLP_ENDPOINT: 'https://collector.example.com/',
      OTEL_SERVICE_NAME: 'messages',
      DATA_DIR: '/var/lib/carillon',
      DATABASE_URL: databaseUrl,
      REDIS_URL: 'rediss://cache.example.com',
      TRUSTED_PROXIES: '10.0.0.0/8, ::1',
      DATA_ENCRYPTION_KEY: dataEncryptionKey,
      ROLE: 'worker',
      EVENT_RETENTION_DAYS: '3650',
      TRACKED_EVENT_RETENTION_DAYS: '30',
      BLOCKED_IDENTIFIERS: 'nobody, N.N.',
      UNDECLARED_ATTRIBUTES: 'INFER',
      INSTALLATIONS_PER_USER: '5',
      MERGES_PER_USER_AND_DAY: '7',
      SERVER_KEY: 'a-server-key-of-26-letters',
      APP_KEY: 'an-app-key-of-25-letters-',
      NODE_ENV: 'production',
      SMTP_URL: 'smtps://mail.example.com',
      MAIL_FROM: 'Ann <ann@example.com>',
      FCM_SERVICE_ACCOUNT: Buffer.from(serviceAccount).toString('base64'),
      FCM_BASE_URL: 'https://fcm.example.com',
      APNS_KEY: apnsKey.replaceAll('\n', '\\n'),
      APNS_KEY_ID: 'ABC123DEFG',
      APNS_TEAM_ID: 'DEF123GHIJ',
      APNS_TOPIC: 'com.example.shop',
      APNS_BASE_URL: 'https://api.sandbox.push.apple.com',
      ...vapidKeys,
      SMS_PROVIDER: 'infobip',
      SMS_BASE_URL: 'https://abc.api.infobip.com',
      SMS_FROM: 'Carillon',
      SMS_RATE_PER_SECOND: '30',
      FCM_RATE_PER_SECOND: '10000',
      APNS_RATE_PER_SECOND: '5000',
      WEB_PUSH_RATE_PER_SECOND: '300',
      MAIL_RATE_PER_SECOND: '100',
      WHATSAPP_RATE_PER_SECOND: '80',
      INFOBIP_API_KEY: 'infobip-key',
      WHATSAPP_PROVIDER: 'twilio',
      WHATSAPP_FROM: '+385912345678',
      PUBLIC_URL: 'https://carillon.example.com/',
      TWILIO_ACCOUNT_SID: twilioAccount.accountSid,
      TWILIO_AUTH_TOKEN: twilioAccount.authToken,
      ALLOW_PRIVATE_ENDPOINTS: '1',
    });
    expect(config).toEqual({
      environment: 'production',
      role: 'worker',
      host: '::1',
      port: 0,
      metricsPort: 9_464,
      traces: { url: 'https://collector.example.com/v1/traces', serviceName: 'messages' },
      dataDirectory: '/var/lib/carillon',
      databaseUrl,
      redisUrl: 'rediss://cache.example.com',
      trustedProxies: ['10.0.0.0/8', '::1'],
      dataEncryptionKey: Buffer.from(dataEncryptionKey, 'base64'),
      eventRetentionDays: 3_650,
      trackedEventRetentionDays: 30,
      publicUrl: 'https://carillon.example.com',
      callbackUrl: 'https://carillon.example.com',
      twilioAuthToken: twilioAccount.authToken,
      rules: {
        blockedIdentifiers: new Set(['nobody', 'n.n.']),
        undeclaredAttributes: 'INFER',
        installationsPerUserMax: 5,
        mergesPerDayMax: 7,
      },
      serverKey: 'a-server-key-of-26-letters',
      appKey: 'an-app-key-of-25-letters-',
      isOutboxAllowed: false,
      arePrivateEndpointsAllowed: true,
      arePrivateWebhooksAllowed: false,
      smtp: { url: 'smtps://mail.example.com', from: 'Ann <ann@example.com>' },
      fcm: {
        account: {
          projectId: 'shop-1234',
          clientEmail: 'sender@shop-1234.iam.gserviceaccount.com',
          privateKey: googleKey,
          tokenUri: 'https://oauth2.googleapis.com/token',
        },
        baseUrl: 'https://fcm.example.com',
      },
      apns: {
        key: apnsKey,
        keyId: 'ABC123DEFG',
        teamId: 'DEF123GHIJ',
        topic: 'com.example.shop',
        baseUrl: 'https://api.sandbox.push.apple.com',
      },
      vapid: {
        subject: 'mailto:ann@example.com',
        publicKey: vapidKeys.VAPID_PUBLIC_KEY,
        privateKey: vapidKeys.VAPID_PRIVATE_KEY,
      },
      infobip: { baseUrl: 'https://abc.api.infobip.com', apiKey: 'infobip-key', from: 'Carillon' },
      twilio: null,
      smpp: null,
      whatsApp: { provider: 'twilio', ...twilioAccount, from: '+385912345678' },
      ratesPerSecond: { FCM: 10_000, APNS: 5_000, WEB_PUSH: 300, EMAIL: 100, SMS: 30, WHATSAPP: 80 },
    });
  });
});

describe('where links lead to', () => {
  test('is this machine in development, if nobody says, which no provider is told to call', () => {
    expect(readConfig({ PORT: '4711', HOST: '::1' })).toMatchObject({
      publicUrl: 'http://[::1]:4711',
      callbackUrl: null,
    });
    expect(readConfig({ PORT: '0' }).publicUrl).toBeNull();
  });

  test('is nowhere in production, if nobody says, and what does not work then is told', () => {
    const [smtp, twilio] = [
      { SMTP_URL: 'smtps://mail.example.com', MAIL_FROM: 'carillon@example.com' },
      { WHATSAPP_PROVIDER: 'twilio', WHATSAPP_FROM: '+385912345678', ...twilioVariables },
    ];
    const told = (variables: Record<string, string>) => listUnreachable(readConfig(variables)).join();
    expect(readConfig({ NODE_ENV: 'production' }).publicUrl).toBeNull();
    expect(told({ NODE_ENV: 'production', ...smtp })).toMatch(/link to unsubscribe/);
    expect(told({ NODE_ENV: 'production', ...twilio })).toMatch(/Twilio/);
    expect(told({ NODE_ENV: 'production' })).toBe('');
    expect(told({ ...smtp, ...twilio })).toBe('');
    expect(told({ NODE_ENV: 'production', ...smtp, ...twilio, PUBLIC_URL: 'https://carillon.example.com' })).toBe('');
  });
});

describe('a provider', () => {
  test('of SMS is Twilio, at its own address or another', () => {
    const variables = { SMS_PROVIDER: 'twilio', SMS_FROM: '+385912345678', ...twilioVariables };
    expect(readConfig(variables)).toMatchObject({
      infobip: null,
      twilio: { ...twilioAccount, from: '+385912345678' },
      smpp: null,
    });
    expect(readConfig({ ...variables, SMS_BASE_URL: 'http://127.0.0.1:1' }).twilio).toMatchObject({
      baseUrl: 'http://127.0.0.1:1',
    });
  });

  test('of SMS is an SMSC', () => {
    const url = 'smpps://carillon:secret@smsc.example.com:3550';
    expect(readConfig({ SMS_PROVIDER: 'smpp', SMS_BASE_URL: url, SMS_FROM: 'Carillon' })).toMatchObject({
      infobip: null,
      twilio: null,
      smpp: { url, from: 'Carillon' },
    });
  });

  test('of WhatsApp is Infobip, by a key that SMS need not have', () => {
    const variables = {
      WHATSAPP_PROVIDER: 'infobip',
      WHATSAPP_BASE_URL: 'https://abc.api.infobip.com',
      WHATSAPP_FROM: '+385912345678',
      INFOBIP_API_KEY: 'infobip-key',
    };
    expect(readConfig(variables)).toMatchObject({
      infobip: null,
      whatsApp: { provider: 'infobip', baseUrl: 'https://abc.api.infobip.com', apiKey: 'infobip-key' },
    });
  });
});

test('the endpoint of traces goes before the one of everything, and is taken as it is', () => {
  const { traces } = readConfig({
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector.example.com',
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://traces.example.com/here',
  });
  expect(traces).toEqual({ url: 'http://traces.example.com/here', serviceName: 'carillon' });
});

describe('mistakes', () => {
  test('are reported all at once, one sentence each', () => {
    const mistakes = mistakesOf({
      PORT: '70000',
      ROLE: 'boss',
      DATABASE_URL: 'mysql://db',
      SMTP_URL: 'smtp://mail.example.com',
      REDIS_ULR: 'redis://cache.example.com',
    });
    expect(mistakes).toEqual([
      'PORT must be a number from 0 to 65535.',
      'DATABASE_URL must be a URL like postgresql://user:password@host:5432/database.',
      'ROLE must be all, gateway or worker.',
      'DATA_ENCRYPTION_KEY is required with DATABASE_URL.',
      'MAIL_FROM is required with SMTP_URL.',
      'REDIS_ULR is not a setting; did you mean REDIS_URL?',
    ]);
  });

  test('never repeat a value, since it can be a secret', () => {
    const secret = 'hunter2 hunter2 hunter2';
    const values = Object.fromEntries(listSettings().map(({ name }) => [name, secret]));
    const mistakes = mistakesOf({ ...values, SERVER_KEYS: secret });
    expect(mistakes.length).toBeGreaterThan(15);
    expect(mistakes.join('\n')).not.toContain('hunter2');
  });

  test.each([
    ['one letter off', { VAPID_SUBJCT: 'x' }, 'VAPID_SUBJCT is not a setting; did you mean VAPID_SUBJECT?'],
    ['two letters swapped', { PROT: '1' }, 'PROT is not a setting; did you mean PORT?'],
    ['a missing underscore', { DATADIR: 'x' }, 'DATADIR is not a setting; did you mean DATA_DIR?'],
    ['small letters', { redis_url: 'x' }, 'redis_url is not a setting; did you mean REDIS_URL?'],
    ['a name of our own that is no setting', { INFOBIP_SENDER: 'x' }, 'INFOBIP_SENDER is not a setting.'],
  ])('a misspelled name is one: %s', (_, variables, mistake) => {
    expect(mistakesOf(variables)).toEqual([mistake]);
  });

  test("other programs' variables are none", () => {
    const others = [
      'PATH',
      'HOME',
      'HOSTNAME',
      'HOSTS',
      'PORTS',
      'API_KEY',
      'SMTP_FROM',
      'SMTP_USER',
      'DATABASE',
      'RULE',
    ];
    expect(mistakesOf(Object.fromEntries(others.map((name) => [name, 'x'])))).toEqual([]);
  });

  test.each([
    [
      'a gateway alone',
      { ROLE: 'gateway' },
      'ROLE=gateway needs DATABASE_URL: an embedded database serves one process.',
    ],
    ['a sender without SMTP', { MAIL_FROM: 'a@b.example' }, 'MAIL_FROM has no use without SMTP_URL.'],
    [
      'an SMS key without provider',
      { INFOBIP_API_KEY: 'x' },
      'INFOBIP_API_KEY has no use without SMS_PROVIDER=infobip or WHATSAPP_PROVIDER=infobip.',
    ],
    ['a sender without provider', { SMS_FROM: 'Carillon' }, 'SMS_FROM has no use without SMS_PROVIDER.'],
    [
      "another provider's key",
      {
        SMS_PROVIDER: 'twilio',
        SMS_FROM: '12345',
        TWILIO_ACCOUNT_SID: twilioAccount.accountSid,
        TWILIO_AUTH_TOKEN: 'x',
        INFOBIP_API_KEY: 'x',
      },
      'INFOBIP_API_KEY has no use without SMS_PROVIDER=infobip or WHATSAPP_PROVIDER=infobip.',
    ],
    [
      'a service account that is none',
      { FCM_SERVICE_ACCOUNT: '{"type":"service_account"}' },
      'FCM_SERVICE_ACCOUNT must be the JSON file of a key of a Google service account, as it is or in base64.',
    ],
    [
      'a base URL of FCM alone',
      { FCM_BASE_URL: 'https://fcm.example.com' },
      'FCM_BASE_URL has no use without FCM_SERVICE_ACCOUNT.',
    ],
    [
      'a base URL of APNs alone',
      { APNS_BASE_URL: 'https://api.push.apple.com' },
      'APNS_BASE_URL has no use without APNS_KEY.',
    ],
    [
      'another SMS provider',
      { SMS_PROVIDER: 'carrier-pigeon', SMS_FROM: 'Carillon', SMS_BASE_URL: 'https://sms.example.com' },
      'SMS_PROVIDER must be infobip, twilio or smpp.',
    ],
    [
      'an SMSC at a web address',
      { SMS_PROVIDER: 'smpp', SMS_FROM: 'Carillon', SMS_BASE_URL: 'https://sms.example.com' },
      'SMS_BASE_URL must be a URL like smpp://user:password@host with SMS_PROVIDER=smpp.',
    ],
    [
      'an API at an SMSC',
      { SMS_PROVIDER: 'infobip', SMS_FROM: 'Carillon', INFOBIP_API_KEY: 'x', SMS_BASE_URL: 'smpp://sms.example.com' },
      'SMS_BASE_URL must be a URL like https://host with SMS_PROVIDER=infobip.',
    ],
    ['no push a second', { FCM_RATE_PER_SECOND: '0' }, 'FCM_RATE_PER_SECOND must be a number from 1 to 100000.'],
    ['half an SMS a second', { SMS_RATE_PER_SECOND: '0' }, 'SMS_RATE_PER_SECOND must be a number from 1 to 100000.'],
    [
      'half a VAPID pair',
      { VAPID_PUBLIC_KEY: newVapidKeys().VAPID_PUBLIC_KEY },
      'VAPID_PRIVATE_KEY is required with VAPID_PUBLIC_KEY.',
    ],
    [
      'two halves of two VAPID pairs',
      { ...newVapidKeys(), VAPID_PUBLIC_KEY: newVapidKeys().VAPID_PUBLIC_KEY },
      'VAPID_PUBLIC_KEY does not belong to VAPID_PRIVATE_KEY.',
    ],
    [
      'a short encryption key',
      { DATABASE_URL: databaseUrl, DATA_ENCRYPTION_KEY: randomBytes(31).toString('base64') },
      'DATA_ENCRYPTION_KEY must be 32 bytes in base64.',
    ],
    ['a short key', { SERVER_KEY: 'short' }, 'SERVER_KEY must have at least 20 characters.'],
    [
      'a key that looks like an installation token',
      { APP_KEY: 'car_inst_aaaaaaaaaaaaaaaaaaaa' },
      'APP_KEY must not begin as an installation token does (car_inst_).',
    ],
    [
      'one key for both',
      { SERVER_KEY: 'the-same-key-for-everyone', APP_KEY: 'the-same-key-for-everyone' },
      'APP_KEY must differ from SERVER_KEY: apps publish it.',
    ],
    ['one port for both', { METRICS_PORT: '4000' }, 'METRICS_PORT must differ from PORT: callers reach that one.'],
    [
      'a password with a stray %',
      { DATABASE_URL: 'postgresql://ann:100%@db.example.com/carillon', DATA_ENCRYPTION_KEY: dataEncryptionKey },
      'DATABASE_URL must be a URL like postgresql://user:password@host:5432/database.',
    ],
    ['no retention', { EVENT_RETENTION_DAYS: '0' }, 'EVENT_RETENTION_DAYS must be a number from 1 to 3650.'],
    [
      'a blocked identifier that is none',
      { BLOCKED_IDENTIFIERS: 'a,,b' },
      'BLOCKED_IDENTIFIERS must be values separated by commas, none of them empty.',
    ],
    ['guesses about attributes', { UNDECLARED_ATTRIBUTES: 'guess' }, 'UNDECLARED_ATTRIBUTES must be refuse or infer.'],
    ['no installations', { INSTALLATIONS_PER_USER: '0' }, 'INSTALLATIONS_PER_USER must be a number from 1 to 10000.'],
    ['half a merge', { MERGES_PER_USER_AND_DAY: '0.5' }, 'MERGES_PER_USER_AND_DAY must be a number from 1 to 10000.'],
    ['a retention of ages', { EVENT_RETENTION_DAYS: '3651' }, 'EVENT_RETENTION_DAYS must be a number from 1 to 3650.'],
    ['a flag that says yes', { ALLOW_OUTBOX: 'yes' }, 'ALLOW_OUTBOX must be 1 or 0.'],
  ])('%s', (_, variables, mistake) => {
    expect(mistakesOf(variables)).toEqual([mistake]);
  });

  test('APNs needs its three variables, and a key that is one', () => {
    expect(mistakesOf({ APNS_KEY: 'no key' })).toEqual([
      'APNS_KEY must be a private key on P-256: the .p8 file, as it is or in base64.',
      'APNS_KEY_ID is required with APNS_KEY.',
      'APNS_TEAM_ID is required with APNS_KEY.',
      'APNS_TOPIC is required with APNS_KEY.',
    ]);
  });

  test('Infobip needs its three variables', () => {
    expect(mistakesOf({ SMS_PROVIDER: 'infobip' })).toEqual([
      'SMS_BASE_URL is required with SMS_PROVIDER.',
      'SMS_FROM is required with SMS_PROVIDER.',
      'INFOBIP_API_KEY is required with SMS_PROVIDER.',
    ]);
  });
});

test('every setting has a default and a meaning for the README', () => {
  for (const { name, default: text, meaning } of listSettings()) {
    expect([name, text.length > 0, meaning.endsWith('.')]).toEqual([name, true, true]);
  }
});
