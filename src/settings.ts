import { createECDH } from 'node:crypto';
import { isIP } from 'node:net';
import { z } from 'zod';
import { parseApnsKey } from './channels/apns-key.ts';
import {
  appleId,
  bundleId,
  isUrlOf,
  mailbox,
  smsSender,
  twilioAccountSid,
  visibleAscii,
  whatsAppSender,
} from './channels/credential-forms.ts';
import { parseServiceAccount } from './channels/service-account.ts';
import { parseRedisUrl, redisUrlRule } from './stream/bus/redis-node.ts';

/** What the README says of a setting. */
export interface SettingText {
  /** As an operator would write it, or a word such as `generated`. */
  default: string;
  meaning: string;
}

const texts = z.registry<SettingText>();

// Every message is the end of a sentence that begins with the variable's name, and never repeats its value: some are secrets.

const flag = () => z.enum(['0', '1'], 'must be 1 or 0.').transform((text) => text === '1');

const url = (schemes: string[], example: string) =>
  z.string().refine((text) => isUrlOf(schemes, text), `must be a URL like ${example}.`);

/** `10.0.0.1`, `10.0.0.0/8`, `2001:db8::/32`. */
function isNetwork(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
}

const accessKey = () =>
  z
    .string()
    .min(20, 'must have at least 20 characters.')
    .regex(/^[\x21-\x7e]*$/, 'must consist of visible ASCII characters, without blanks.')
    // What begins so is looked up among installation tokens.
    .refine((text) => !text.startsWith('car_inst_'), 'must not begin as an installation token does (car_inst_).');

const bytes = (count: number, encoding: 'base64' | 'base64url') => {
  const alphabet = encoding === 'base64' ? /^[A-Za-z0-9+/]*={0,2}$/ : /^[A-Za-z0-9_-]*={0,2}$/;
  return z
    .string()
    .refine(
      (text) => alphabet.test(text) && Buffer.from(text, encoding).length === count,
      `must be ${count} bytes in ${encoding}.`,
    );
};

/** What `parse` can read, as it reads it. */
const parsed = <Value>(parse: (text: string) => Value | null, message: string) =>
  z.string().transform((text, context) => {
    const value = parse(text);
    if (value !== null) return value;
    context.addIssue(message);
    return z.NEVER;
  });

/** The public key, base64url, of a P-256 private key in base64url; null when it is none. */
export function deriveVapidPublicKey(privateKey: string): string | null {
  try {
    const pair = createECDH('prime256v1');
    pair.setPrivateKey(Buffer.from(privateKey, 'base64url'));
    return pair.getPublicKey().toString('base64url');
  } catch {
    return null; // Zero, or above the curve's order.
  }
}

/** A whole number within bounds, both included. */
const count = (from: number, to: number) =>
  z
    .string()
    .regex(/^\d{1,6}$/, `must be a number from ${from} to ${to}.`)
    .transform(Number)
    .refine((number) => number >= from && number <= to, `must be a number from ${from} to ${to}.`);

/** Of one process; absent: as many as there are. */
const rate = () => count(1, 100_000).optional();

const secret = () => z.string().regex(visibleAscii, 'must consist of visible ASCII characters, without blanks.');

const port = () =>
  z
    .string()
    .regex(/^\d{1,5}$/, 'must be a number from 0 to 65535.')
    .transform(Number)
    .refine((number) => number <= 65_535, 'must be a number from 0 to 65535.');

/** What programs write when they know nobody (decision 6): naming a user so would join strangers. */
const blockedIdentifiers = [
  '-1',
  'undefined',
  'anonymous',
  'unknown',
  'guest',
  'none',
  'nil',
  'nan',
  'n/a',
  'na',
  'true',
  'false',
  '[object object]',
];

/** Every variable that the program reads, each parsed by itself. What they need of each other stands in config.ts. */
export const settingsSchema = z.object({
  PORT: port()
    .default(4000)
    .register(texts, { default: '4000', meaning: 'Port of GraphQL, over HTTP, WebSocket and SSE; 0: any free one.' }),
  HOST: z
    .string()
    .regex(/^[^\s/]+$/, 'must be a host name or an IP address.')
    .default('127.0.0.1')
    .register(texts, { default: '127.0.0.1', meaning: 'Address to listen on; `0.0.0.0`: all of this machine.' }),
  METRICS_PORT: port().optional().register(texts, {
    default: 'none',
    meaning: 'Port of `/metrics` (Prometheus), `/health` and `/ready`, on `HOST`; 0: any free one.',
  }),
  DATA_DIR: z
    .string()
    .default('.data')
    .register(texts, { default: '.data', meaning: 'Directory of the embedded PostgreSQL and the generated keys.' }),
  DATABASE_URL: url(['postgresql:', 'postgres:'], 'postgresql://user:password@host:5432/database')
    .optional()
    .register(texts, { default: 'embedded', meaning: 'PostgreSQL 15 or later, instead of the embedded one.' }),
  REDIS_URL: z
    .string()
    .refine((text) => parseRedisUrl(text) !== null, redisUrlRule)
    .optional()
    .register(texts, {
      default: 'none',
      meaning:
        'Redis 6 or later, for wake-ups between processes; of a Redis Cluster (7 or later) one node or several, separated by commas and tried in turn; without it other processes are heard by polling.',
    }),
  PUBLIC_URL: url(['https:', 'http:'], 'https://carillon.example.com')
    .transform((text) => text.replace(/\/+$/, ''))
    .refine((text) => /^[^?#@]+$/.test(text), 'must be an address without user, query and fragment.')
    .optional()
    .register(texts, {
      default: 'in development `http://HOST:PORT`, else none',
      meaning:
        'Where people and providers reach this program: for links to unsubscribe, tracked links, and the receipts of Twilio, which is told of it where it is set.',
    }),
  TRUSTED_PROXIES: z
    .string()
    .transform((text) => text.split(',').map((part) => part.trim()))
    .refine(
      (networks) => networks.every(isNetwork),
      'must be IP addresses or networks like 10.0.0.0/8, separated by commas.',
    )
    .optional()
    .register(texts, {
      default: 'none',
      meaning:
        'Addresses and networks of the proxies before this program, separated by commas: their `X-Forwarded-For` tells whom to throttle.',
    }),
  DATA_ENCRYPTION_KEY: bytes(32, 'base64')
    .transform((text) => Buffer.from(text, 'base64'))
    .optional()
    .register(texts, {
      default: 'generated',
      meaning: '32 bytes in base64 that encrypt push addresses and credentials at rest; required with `DATABASE_URL`.',
    }),
  ROLE: z.enum(['all', 'gateway', 'worker'], 'must be all, gateway or worker.').default('all').register(texts, {
    default: 'all',
    meaning: '`gateway` answers GraphQL, `worker` delivers, `all` does both; other than `all` needs `DATABASE_URL`.',
  }),
  EVENT_RETENTION_DAYS: count(1, 3_650).default(30).register(texts, {
    default: '30',
    meaning:
      'How many days delivery events are kept at least; a stream that stays away for longer may be told a `GAP`.',
  }),
  TRACKED_EVENT_RETENTION_DAYS: count(1, 3_650).default(400).register(texts, {
    default: '400',
    meaning: 'How many days events that `trackEvents` has kept stay at least; filters look no further back.',
  }),
  BLOCKED_IDENTIFIERS: z
    .string()
    .transform((text) => text.split(',').map((part) => part.trim().normalize('NFC').toLowerCase()))
    .refine(
      (values) => values.every((value) => value !== ''),
      'must be values separated by commas, none of them empty.',
    )
    .default(blockedIdentifiers)
    .register(texts, {
      default: `\`${blockedIdentifiers.join(',')}\``,
      meaning:
        'Identifiers that name nobody, separated by commas, in any casing, besides empty ones and zeros: `personalize` drops them, other writes refuse them.',
    }),
  UNDECLARED_ATTRIBUTES: z
    .string()
    .toLowerCase()
    .pipe(z.enum(['refuse', 'infer'], 'must be refuse or infer.'))
    .default('refuse')
    .register(texts, {
      default: 'refuse',
      meaning:
        '`infer`: a text, number or boolean that a back end writes under a name that no attribute has defines the attribute; `refuse`: it is `ATTRIBUTE_INVALID`.',
    }),
  INSTALLATIONS_PER_USER: count(1, 10_000).default(100).register(texts, {
    default: '100',
    meaning: 'How many installations a user has at most: one more logs out the one that was seen least lately.',
  }),
  MERGES_PER_USER_AND_DAY: count(1, 10_000).default(100).register(texts, {
    default: '100',
    meaning: 'How many users may be merged into one within 24 hours; leads that are absorbed do not count.',
  }),
  SERVER_KEY: accessKey()
    .optional()
    .register(texts, { default: 'generated', meaning: 'Secret of the first server key, at least 20 characters.' }),
  APP_KEY: accessKey()
    .optional()
    .register(texts, { default: 'generated', meaning: "Secret of the first app's key, at least 20 characters." }),
  NODE_ENV: z
    .enum(['development', 'production', 'test'], 'must be development or production.')
    .default('development')
    .transform((text): 'development' | 'production' => (text === 'production' ? 'production' : 'development'))
    .register(texts, {
      default: 'development',
      meaning: '`production`: no GraphiQL, no introspection without a server key, no outbox, logs as JSON.',
    }),
  ALLOW_OUTBOX: flag().default(false).register(texts, {
    default: '0',
    meaning: '1: channels without a provider write to the outbox in production too.',
  }),
  SMTP_URL: url(['smtp:', 'smtps:'], 'smtps://user:password@host')
    .optional()
    .register(texts, { default: 'outbox', meaning: 'SMTP server that sends e-mail.' }),
  MAIL_FROM: z
    .string()
    .regex(mailbox, 'must be an address like ann@example.com or Ann <ann@example.com>.')
    .optional()
    .register(texts, { default: 'none', meaning: 'Sender of e-mail; required with `SMTP_URL`.' }),
  MAIL_RATE_PER_SECOND: rate().register(texts, {
    default: 'unlimited',
    meaning: 'How many e-mails a worker process hands to the server in a second at most.',
  }),
  FCM_SERVICE_ACCOUNT: parsed(
    parseServiceAccount,
    'must be the JSON file of a key of a Google service account, as it is or in base64.',
  )
    .optional()
    .register(texts, {
      default: 'outbox',
      meaning:
        'Key of the Google service account that sends push by FCM: the JSON file that Google Cloud gives out, as it is or in base64.',
    }),
  FCM_BASE_URL: url(['https:', 'http:'], 'https://fcm.googleapis.com').optional().register(texts, {
    default: 'https://fcm.googleapis.com',
    meaning: 'The API of FCM; `https:` is spoken to by HTTP/2, `http:` by HTTP/1.1.',
  }),
  FCM_RATE_PER_SECOND: rate().register(texts, {
    default: 'unlimited',
    meaning: 'How many pushes a worker process hands to FCM in a second at most.',
  }),
  APNS_KEY: parsed(parseApnsKey, 'must be a private key on P-256: the .p8 file, as it is or in base64.')
    .optional()
    .register(texts, {
      default: 'outbox',
      meaning:
        'Key that sends push by APNs: the `.p8` file that Apple gives out, as it is or in base64; makes the next three required.',
    }),
  APNS_KEY_ID: z
    .string()
    .regex(appleId, 'must be 10 letters and digits.')
    .optional()
    .register(texts, { default: 'none', meaning: 'Id of `APNS_KEY`: 10 letters and digits.' }),
  APNS_TEAM_ID: z
    .string()
    .regex(appleId, 'must be 10 letters and digits.')
    .optional()
    .register(texts, { default: 'none', meaning: "Id of the developer's team at Apple: 10 letters and digits." }),
  APNS_TOPIC: z
    .string()
    .regex(bundleId, 'must be a bundle id like com.example.shop.')
    .optional()
    .register(texts, { default: 'none', meaning: "The iOS app's bundle id, such as `com.example.shop`." }),
  APNS_BASE_URL: url(['https:', 'http:'], 'https://api.push.apple.com').optional().register(texts, {
    default: 'https://api.push.apple.com',
    meaning: 'APNs; `https://api.sandbox.push.apple.com` for an app that is signed for development.',
  }),
  APNS_RATE_PER_SECOND: rate().register(texts, {
    default: 'unlimited',
    meaning: 'How many pushes a worker process hands to APNs in a second at most.',
  }),
  VAPID_SUBJECT: url(['mailto:', 'https:'], 'mailto:ann@example.com or https://example.com')
    .optional()
    .register(texts, {
      default: "`MAIL_FROM`'s address, else https://carillon.invalid",
      meaning: 'How push services reach the operator (RFC 8292): a mailto: or https: URL.',
    }),
  VAPID_PUBLIC_KEY: bytes(65, 'base64url')
    .optional()
    .register(texts, { default: 'generated', meaning: 'Public key of web push, base64url; with `VAPID_PRIVATE_KEY`.' }),
  VAPID_PRIVATE_KEY: bytes(32, 'base64url')
    .optional()
    .register(texts, { default: 'generated', meaning: 'Private key of web push, base64url; with `VAPID_PUBLIC_KEY`.' }),
  WEB_PUSH_RATE_PER_SECOND: rate().register(texts, {
    default: 'unlimited',
    meaning:
      'How many pushes a worker process hands to the push services of browsers in a second at most, to all together.',
  }),
  SMS_PROVIDER: z.enum(['infobip', 'twilio', 'smpp'], 'must be infobip, twilio or smpp.').optional().register(texts, {
    default: 'outbox',
    meaning: '`infobip`, `twilio` or `smpp`: who sends SMS; makes `SMS_FROM` and its credentials required.',
  }),
  SMS_BASE_URL: url(['https:', 'http:', 'smpp:', 'smpps:'], 'https://host, or smpp://user:password@host')
    .optional()
    .register(texts, {
      default: "Twilio's; else none",
      meaning:
        "The SMS provider's API, such as `https://abc123.api.infobip.com`; with `smpp` the SMSC, `smpp://user:password@host:2775` or `smpps://…` for TLS, with `?system_type=…` where it wants one.",
    }),
  SMS_FROM: z.string().regex(smsSender, 'must have 1 to 50 characters.').optional().register(texts, {
    default: 'none',
    meaning:
      'Sender of SMS: a number or a name that the provider has approved; at Twilio also a Messaging Service (`MG…`).',
  }),
  SMS_RATE_PER_SECOND: rate().register(texts, {
    default: 'unlimited',
    meaning: 'How many SMS a worker process hands to the provider in a second at most.',
  }),
  WHATSAPP_PROVIDER: z.enum(['infobip', 'twilio'], 'must be infobip or twilio.').optional().register(texts, {
    default: 'outbox',
    meaning: '`infobip` or `twilio`: who sends WhatsApp messages; makes `WHATSAPP_FROM` and its credentials required.',
  }),
  WHATSAPP_BASE_URL: url(['https:', 'http:'], 'https://host').optional().register(texts, {
    default: "Twilio's; else none",
    meaning: "The WhatsApp provider's API, such as `https://abc123.api.infobip.com`.",
  }),
  WHATSAPP_FROM: z
    .string()
    .regex(whatsAppSender, 'must have 1 to 50 characters, without blanks.')
    .optional()
    .register(texts, { default: 'none', meaning: 'Sender of WhatsApp messages: the number of the WhatsApp account.' }),
  WHATSAPP_RATE_PER_SECOND: rate().register(texts, {
    default: 'unlimited',
    meaning: 'How many WhatsApp messages a worker process hands to the provider in a second at most.',
  }),
  INFOBIP_API_KEY: secret().optional().register(texts, { default: 'none', meaning: 'Key of the Infobip API.' }),
  TWILIO_ACCOUNT_SID: z
    .string()
    .regex(twilioAccountSid, 'must be AC and 32 hexadecimal digits.')
    .optional()
    .register(texts, { default: 'none', meaning: 'Account at Twilio, `AC…`.' }),
  TWILIO_AUTH_TOKEN: secret().optional().register(texts, {
    default: 'none',
    meaning: "That account's auth token, with which Twilio also signs its receipts: they need `PUBLIC_URL` too.",
  }),
  OTEL_EXPORTER_OTLP_ENDPOINT: url(['https:', 'http:'], 'http://127.0.0.1:4318').optional().register(texts, {
    default: 'none',
    meaning:
      'OpenTelemetry collector that takes traces by OTLP over HTTP, at `/v1/traces` below; `OTEL_EXPORTER_OTLP_HEADERS` and `…_TIMEOUT` are heeded too.',
  }),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: url(['https:', 'http:'], 'http://127.0.0.1:4318/v1/traces')
    .optional()
    .register(texts, { default: 'none', meaning: 'The same, as the whole URL; goes before the other one.' }),
  OTEL_SERVICE_NAME: z
    .string()
    .default('carillon')
    .register(texts, { default: 'carillon', meaning: "The program's name in traces." }),
  ALLOW_PRIVATE_ENDPOINTS: flag().default(false).register(texts, {
    default: '0',
    meaning: '1: web push endpoints may be loopback, private or plain http. For tests only.',
  }),
  ALLOW_PRIVATE_WEBHOOKS: flag().optional().register(texts, {
    default: 'in development 1, else 0',
    meaning:
      '1: webhooks may be loopback, private or plain http: for receivers beside this program, where everybody who has a server key may reach what stands there.',
  }),
});

/** A variable's name. */
export type SettingName = keyof typeof settingsSchema.shape;

/** The table of the README: every setting in its order. */
export function listSettings(): (SettingText & { name: string })[] {
  return Object.entries(settingsSchema.shape).map(([name, schema]) => {
    const text = texts.get(schema);
    if (!text) throw new Error(`${name} is not described.`);
    return { name, ...text };
  });
}
