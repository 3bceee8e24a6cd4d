import type { ApnsOptions } from './channels/apns.ts';
import { readMailAddress } from './channels/credential-forms.ts';
import type { FcmOptions } from './channels/fcm.ts';
import type { ChannelsOptions } from './channels/registry.ts';
import type { RatedService } from './deliveries/send-rates.ts';
import type { IdentityRules } from './deployment.ts';
import { StartupError } from './errors.ts';
import { findNearMiss } from './near-miss.ts';
import { listMissing } from './setting-requirements.ts';
import { deriveVapidPublicKey, settingsSchema } from './settings.ts';

/** What the operator decided, parsed. Absent settings are null where the program decides by itself. */
export interface Config {
  environment: 'development' | 'production';
  role: 'all' | 'gateway' | 'worker';
  host: string;
  /** 0: any free port. */
  port: number;
  /** Where metrics are served, apart from everything else; 0: any free port. Null: nowhere. */
  metricsPort: number | null;
  /** Where traces go, and under which name. Null: there are none. */
  traces: { url: string; serviceName: string } | null;
  /** Relative to the working directory, or absolute. */
  dataDirectory: string;
  /** Null: the embedded PostgreSQL. */
  databaseUrl: string | null;
  /** Null: wake-ups stay in this process. */
  redisUrl: string | null;
  /** Where people reach this program, without a slash at the end: in development this machine, if nobody has said. Null: nobody has. */
  publicUrl: string | null;
  /** The same for providers, who cannot reach this machine. */
  callbackUrl: string | null;
  /** IP addresses and networks (`10.0.0.0/8`) whose X-Forwarded-For is believed. */
  trustedProxies: readonly string[];
  /** 32 bytes. Null only with the embedded database: generated. */
  dataEncryptionKey: Buffer | null;
  /** How many days delivery events are kept at least; 1 to 3650. */
  eventRetentionDays: number;
  /** How many days tracked events are kept; 1 to 3650. */
  trackedEventRetentionDays: number;
  rules: IdentityRules;
  /** Null: generated. */
  serverKey: string | null;
  /** Null: generated. */
  appKey: string | null;
  /** Whether a channel without a provider may write to the outbox. */
  isOutboxAllowed: boolean;
  /** With which Twilio signs its receipts. Null: none are taken. */
  twilioAuthToken: string | null;
  /** Whether a web push endpoint may be loopback, private or plain http. */
  arePrivateEndpointsAllowed: boolean;
  /** Whether a webhook may be so. */
  arePrivateWebhooksAllowed: boolean;
  /** Null: no SMTP server. */
  smtp: { url: string; from: string } | null;
  /** Null: nothing is sent by FCM. */
  fcm: Pick<FcmOptions, 'account' | 'baseUrl'> | null;
  /** Null: nothing is sent by APNs. */
  apns: Pick<ApnsOptions, 'key' | 'keyId' | 'teamId' | 'topic' | 'baseUrl'> | null;
  /** Keys, base64url, are both there or both null: generated. `subject` is a mailto: or https: URL (RFC 8292). */
  vapid: { subject: string; publicKey: string | null; privateKey: string | null };
  /** Who sends SMS: one of these, or none. */
  infobip: ChannelsOptions['infobip'];
  twilio: ChannelsOptions['twilio'];
  smpp: ChannelsOptions['smpp'];
  /** Null: WhatsApp has no provider. */
  whatsApp: ChannelsOptions['whatsApp'];
  /** How many messages a worker process hands to a service in a second at most. Absent: any number. */
  ratesPerSecond: Partial<Record<RatedService, number>>;
}

/** Where push services cannot reach the operator, and are told so: `.invalid` names no host (RFC 2606). */
const unknownSubject = 'https://carillon.invalid';

/** Variables that begin so can only be meant for this program. */
const ownPrefixes = ['FCM_', 'APNS_', 'VAPID_', 'WEB_PUSH_', 'SMS_', 'WHATSAPP_', 'INFOBIP_', 'TWILIO_'];

type Environment = Record<string, string | undefined>;
type Settings = ReturnType<typeof settingsSchema.parse>;

/**
 * Reads the settings from environment variables; an empty one counts as absent.
 *
 * Throws a StartupError that lists every mistake at once, one sentence a line: values that cannot be, settings that lack
 * another one, and variables that look like a setting misspelled. No value is repeated, since it can be a secret.
 */
export function readConfig(variables: Environment = process.env): Config {
  const given = Object.fromEntries(
    Object.entries(variables).filter(([, value]) => value !== undefined && value !== ''),
  );
  const parsed = settingsSchema.safeParse(given);
  const mistakes = [
    ...(parsed.error?.issues ?? []).map(({ path, message }) => `${path.join('.')} ${message}`),
    ...listMissing(given),
    ...listContradictions(given),
    ...listMisspelled(given),
  ];
  if (!parsed.success || mistakes.length > 0) throw new StartupError([...new Set(mistakes)].join('\n'));
  return toConfig(parsed.data);
}

/** What does not work, in a sentence each, as nobody has said where this program is reached. Empty outside of production. */
export function listUnreachable({ environment, publicUrl, smtp, twilio, whatsApp }: Config): string[] {
  if (environment !== 'production' || publicUrl !== null) return [];
  const hasTwilio = twilio !== null || whatsApp?.provider === 'twilio';
  return [
    ...(smtp ? ['PUBLIC_URL is not set: MARKETING e-mails have no link to unsubscribe, which receivers demand.'] : []),
    ...(hasTwilio ? ['PUBLIC_URL is not set: Twilio cannot bring receipts, nor what people answer (STOP).'] : []),
  ];
}

/** Null where the port is chosen at the start, and in production, where it would lead people to their own machines. */
function toOwnUrl({ NODE_ENV, HOST, PORT }: Settings): string | null {
  if (NODE_ENV === 'production' || PORT === 0) return null;
  return `http://${HOST.includes(':') ? `[${HOST}]` : HOST}:${PORT}`;
}

function toConfig(settings: Settings): Config {
  const { SMTP_URL, MAIL_FROM } = settings;
  return {
    environment: settings.NODE_ENV,
    role: settings.ROLE,
    host: settings.HOST,
    port: settings.PORT,
    metricsPort: settings.METRICS_PORT ?? null,
    traces: toTraces(settings),
    dataDirectory: settings.DATA_DIR,
    databaseUrl: settings.DATABASE_URL ?? null,
    redisUrl: settings.REDIS_URL ?? null,
    publicUrl: settings.PUBLIC_URL ?? toOwnUrl(settings),
    callbackUrl: settings.PUBLIC_URL ?? null,
    trustedProxies: settings.TRUSTED_PROXIES ?? [],
    dataEncryptionKey: settings.DATA_ENCRYPTION_KEY ?? null,
    eventRetentionDays: settings.EVENT_RETENTION_DAYS,
    trackedEventRetentionDays: settings.TRACKED_EVENT_RETENTION_DAYS,
    rules: {
      blockedIdentifiers: new Set(settings.BLOCKED_IDENTIFIERS),
      undeclaredAttributes: settings.UNDECLARED_ATTRIBUTES === 'infer' ? 'INFER' : 'REFUSE',
      installationsPerUserMax: settings.INSTALLATIONS_PER_USER,
      mergesPerDayMax: settings.MERGES_PER_USER_AND_DAY,
    },
    serverKey: settings.SERVER_KEY ?? null,
    appKey: settings.APP_KEY ?? null,
    isOutboxAllowed: settings.NODE_ENV === 'development' || settings.ALLOW_OUTBOX,
    twilioAuthToken: settings.TWILIO_AUTH_TOKEN ?? null,
    arePrivateEndpointsAllowed: settings.ALLOW_PRIVATE_ENDPOINTS,
    arePrivateWebhooksAllowed: settings.ALLOW_PRIVATE_WEBHOOKS ?? settings.NODE_ENV === 'development',
    smtp: SMTP_URL && MAIL_FROM ? { url: SMTP_URL, from: MAIL_FROM } : null,
    fcm: settings.FCM_SERVICE_ACCOUNT
      ? { account: settings.FCM_SERVICE_ACCOUNT, baseUrl: settings.FCM_BASE_URL }
      : null,
    apns: toApns(settings),
    vapid: {
      subject: settings.VAPID_SUBJECT ?? (MAIL_FROM ? `mailto:${readMailAddress(MAIL_FROM)}` : unknownSubject),
      publicKey: settings.VAPID_PUBLIC_KEY ?? null,
      privateKey: settings.VAPID_PRIVATE_KEY ?? null,
    },
    ...toSms(settings),
    whatsApp: toWhatsApp(settings),
    ratesPerSecond: {
      ...(settings.FCM_RATE_PER_SECOND && { FCM: settings.FCM_RATE_PER_SECOND }),
      ...(settings.APNS_RATE_PER_SECOND && { APNS: settings.APNS_RATE_PER_SECOND }),
      ...(settings.WEB_PUSH_RATE_PER_SECOND && { WEB_PUSH: settings.WEB_PUSH_RATE_PER_SECOND }),
      ...(settings.MAIL_RATE_PER_SECOND && { EMAIL: settings.MAIL_RATE_PER_SECOND }),
      ...(settings.SMS_RATE_PER_SECOND && { SMS: settings.SMS_RATE_PER_SECOND }),
      ...(settings.WHATSAPP_RATE_PER_SECOND && { WHATSAPP: settings.WHATSAPP_RATE_PER_SECOND }),
    },
  };
}

function toSms(settings: Settings): Pick<Config, 'infobip' | 'twilio' | 'smpp'> {
  const { SMS_PROVIDER: provider, SMS_BASE_URL: baseUrl, SMS_FROM: from, INFOBIP_API_KEY: apiKey } = settings;
  const isInfobip = provider === 'infobip' && baseUrl && from && apiKey;
  return {
    infobip: isInfobip ? { baseUrl, apiKey, from } : null,
    twilio: provider === 'twilio' && from ? toTwilio(settings, { from, baseUrl }) : null,
    smpp: provider === 'smpp' && baseUrl && from ? { url: baseUrl, from } : null,
  };
}

function toWhatsApp(settings: Settings): Config['whatsApp'] {
  const { WHATSAPP_PROVIDER: provider, WHATSAPP_BASE_URL: baseUrl, WHATSAPP_FROM: from } = settings;
  const { INFOBIP_API_KEY: apiKey } = settings;
  if (!provider || !from) return null;
  if (provider === 'infobip') return baseUrl && apiKey ? { provider, baseUrl, apiKey, from } : null;
  const twilio = toTwilio(settings, { from, baseUrl });
  return twilio && { provider, ...twilio };
}

function toTwilio(
  { TWILIO_ACCOUNT_SID: accountSid, TWILIO_AUTH_TOKEN: authToken }: Settings,
  { from, baseUrl }: { from: string; baseUrl: string | undefined },
): Config['twilio'] {
  return accountSid && authToken ? { accountSid, authToken, from, ...(baseUrl && { baseUrl }) } : null;
}

function toApns(settings: Settings): Config['apns'] {
  const { APNS_KEY: key, APNS_KEY_ID: keyId, APNS_TEAM_ID: teamId, APNS_TOPIC: topic } = settings;
  return key && keyId && teamId && topic ? { key, keyId, teamId, topic, baseUrl: settings.APNS_BASE_URL } : null;
}

/** The endpoint of traces is taken as it is, the one of all signals has a path for each (the OTLP exporter's specification). */
function toTraces(settings: Settings): Config['traces'] {
  const { OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT } = settings;
  const common = OTEL_EXPORTER_OTLP_ENDPOINT && `${OTEL_EXPORTER_OTLP_ENDPOINT.replace(/\/$/, '')}/v1/traces`;
  const url = OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ?? common;
  return url ? { url, serviceName: settings.OTEL_SERVICE_NAME } : null;
}

function listContradictions(given: Environment): string[] {
  const mistakes: string[] = [];
  const {
    PORT = '4000',
    METRICS_PORT,
    ROLE,
    DATABASE_URL,
    SERVER_KEY,
    APP_KEY,
    VAPID_PUBLIC_KEY,
    VAPID_PRIVATE_KEY,
    SMS_PROVIDER,
    SMS_BASE_URL,
  } = given;
  if ((ROLE === 'gateway' || ROLE === 'worker') && !DATABASE_URL) {
    mistakes.push(`ROLE=${ROLE} needs DATABASE_URL: an embedded database serves one process.`);
  }
  if (METRICS_PORT && METRICS_PORT === PORT && METRICS_PORT !== '0') {
    mistakes.push('METRICS_PORT must differ from PORT: callers reach that one.');
  }
  if (SERVER_KEY && SERVER_KEY === APP_KEY) {
    mistakes.push('APP_KEY must differ from SERVER_KEY: apps publish it.');
  }
  if (SMS_PROVIDER && SMS_BASE_URL && (SMS_PROVIDER === 'smpp') !== /^smpps?:/i.test(SMS_BASE_URL)) {
    mistakes.push(
      SMS_PROVIDER === 'smpp'
        ? 'SMS_BASE_URL must be a URL like smpp://user:password@host with SMS_PROVIDER=smpp.'
        : `SMS_BASE_URL must be a URL like https://host with SMS_PROVIDER=${SMS_PROVIDER}.`,
    );
  }
  if (VAPID_PUBLIC_KEY && VAPID_PRIVATE_KEY) {
    const publicKey = deriveVapidPublicKey(VAPID_PRIVATE_KEY);
    if (publicKey !== VAPID_PUBLIC_KEY.replace(/=+$/, '')) {
      mistakes.push('VAPID_PUBLIC_KEY does not belong to VAPID_PRIVATE_KEY.');
    }
  }
  return mistakes;
}

function listMisspelled(given: Environment): string[] {
  const knownNames = Object.keys(settingsSchema.shape);
  return Object.keys(given).flatMap((name) => {
    const nearMiss = findNearMiss(name, knownNames);
    if (nearMiss) return `${name} is not a setting; did you mean ${nearMiss}?`;
    const isOwn = ownPrefixes.some((prefix) => name.startsWith(prefix)) && !knownNames.includes(name);
    return isOwn ? `${name} is not a setting.` : [];
  });
}
