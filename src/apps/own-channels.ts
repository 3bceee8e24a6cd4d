import { z } from 'zod';
import { parseApnsKey } from '../channels/apns-key.ts';
import {
  appleId,
  bundleId,
  isUrlOf,
  mailbox,
  smsSender,
  twilioAccountSid,
  visibleAscii,
  whatsAppSender,
} from '../channels/credential-forms.ts';
import { parseServiceAccount } from '../channels/service-account.ts';
import { DomainError } from '../errors.ts';
import { AppChannelProvider } from '../generated/prisma/enums.ts';

/** Longest text taken. A service account's file has 2,400 characters. @default 16_384 */
const charactersMax = 16_384;

const text = (message: string) => z.string().min(1, message).max(charactersMax, `At most ${charactersMax} characters.`);

const url = (schemes: string[], example: string) =>
  text('Not a URL.').refine((given) => isUrlOf(schemes, given), `Not a URL like ${example}.`);

/** Absent and null: the provider's own. */
const baseUrl = (example: string) =>
  url(['https:', 'http:'], example)
    .nullish()
    .transform((given) => given ?? undefined);

/** An address whose path and parameters mean something: nothing may stand there but what `rest` takes. */
const server = (schemes: string[], example: string, rest: RegExp, message: string) =>
  url(schemes, example).refine((given) => {
    const { pathname = '', search = '', hash = '' } = URL.parse(given) ?? {};
    return rest.test(`${pathname}${search}${hash}`);
  }, message);

const secret = (message: string) => text(message).regex(visibleAscii, 'Not visible ASCII characters without blanks.');

const infobipAccount = {
  baseUrl: url(['https:', 'http:'], 'https://abc123.api.infobip.com'),
  apiKey: secret('A key is needed.'),
};

const twilioAccount = {
  accountSid: text('An account has an id.').regex(twilioAccountSid, 'Not AC and 32 hexadecimal digits.'),
  authToken: secret('A token is needed.'),
  baseUrl: baseUrl('https://api.twilio.com'),
};

const smsFrom = text('An SMS has a sender.').regex(smsSender, 'Not 1 to 50 characters.');
const whatsAppFrom = text('A WhatsApp has a sender.').regex(whatsAppSender, 'Not 1 to 50 characters without blanks.');

const parsed = <Value>(parse: (given: string) => Value | null, message: string) =>
  text(message).transform((given, context) => {
    const value = parse(given);
    if (value !== null) return value;
    context.addIssue(message);
    return z.NEVER;
  });

/**
 * What each provider needs, as a caller says it and as it is kept, encrypted; parsed, it is what `channels/registry.ts` takes.
 * `account` tells a person which one it is, without a secret.
 */
const forms = {
  FCM: form(
    z
      .object({
        serviceAccount: parsed(
          parseServiceAccount,
          'Not the JSON file of a key of a Google service account, as it is or in base64.',
        ),
        baseUrl: baseUrl('https://fcm.googleapis.com'),
      })
      .transform(({ serviceAccount, ...rest }) => ({ account: serviceAccount, ...rest })),
    ({ account }) => account.projectId,
  ),
  APNS: form(
    z.object({
      key: parsed(parseApnsKey, 'Not a private key on P-256: the .p8 file, as it is or in base64.'),
      keyId: text('A key has an id.').regex(appleId, 'Not 10 letters and digits.'),
      teamId: text('A team has an id.').regex(appleId, 'Not 10 letters and digits.'),
      topic: text('An app has a bundle id.').regex(bundleId, 'Not a bundle id like com.example.shop.'),
      baseUrl: baseUrl('https://api.push.apple.com'),
    }),
    ({ keyId, teamId, topic }) => `${topic} by key ${keyId} of team ${teamId}`,
  ),
  WEB_PUSH: form(
    z.object({ subject: url(['mailto:', 'https:'], 'mailto:ann@example.com or https://example.com') }),
    ({ subject }) => subject,
  ),
  SMTP: form(
    z.object({
      // Parameters would be options of the mail library, of which one runs a program.
      url: server(
        ['smtp:', 'smtps:'],
        'smtps://user:password@host',
        /^\/?$/,
        'Nothing may follow the host and its port.',
      ),
      from: text('A mail has a sender.').regex(
        mailbox,
        'Not an address like ann@example.com or Ann <ann@example.com>.',
      ),
    }),
    ({ from }) => from,
  ),
  INFOBIP: form(z.object({ ...infobipAccount, from: smsFrom }), ({ from }) => from),
  TWILIO: form(z.object({ ...twilioAccount, from: smsFrom }), ({ from }) => from),
  SMPP: form(
    z.object({
      url: server(
        ['smpp:', 'smpps:'],
        'smpp://user:password@host:2775',
        /^\/?(\?system_type=[^&#]*)?$/,
        'Nothing may follow the host and its port but ?system_type=….',
      ),
      from: smsFrom,
    }),
    ({ from }) => from,
  ),
  INFOBIP_WHATSAPP: form(z.object({ ...infobipAccount, from: whatsAppFrom }), ({ from }) => from),
  TWILIO_WHATSAPP: form(z.object({ ...twilioAccount, from: whatsAppFrom }), ({ from }) => from),
};

/** Each sends the whole of a channel: an app has one of them. */
const exclusive: readonly { what: string; providers: readonly AppChannelProvider[] }[] = [
  { what: 'SMS', providers: ['INFOBIP', 'TWILIO', 'SMPP'] },
  { what: 'WhatsApp', providers: ['INFOBIP_WHATSAPP', 'TWILIO_WHATSAPP'] },
];

/** Their messages are to people, who are of no app: the default app sends them, as keys that send are of no app either. */
const ofDefaultAppOnly: ReadonlySet<AppChannelProvider> = new Set([
  'SMTP',
  ...exclusive.flatMap(({ providers }) => providers),
]);

interface Form<Schema extends z.ZodType> {
  schema: Schema;
  accountOf(credentials: z.output<Schema>): string;
}

function form<Schema extends z.ZodType>(
  schema: Schema,
  accountOf: (credentials: z.output<Schema>) => string,
): Form<Schema> {
  return { schema, accountOf };
}

type Forms = typeof forms;

/** An app's own credentials, by provider; what is absent, it has not. */
export type OwnCredentials = { [Provider in keyof Forms]?: z.output<Forms[Provider]['schema']> };

/** What a caller says of an app's credentials: null removes them, and what is absent stays as it is. */
export type OwnChannelsInput = {
  [Provider in keyof Forms as InputName<Provider>]?: z.input<Forms[Provider]['schema']> | null | undefined;
};

/** `webPush` for `WEB_PUSH`. */
type InputName<Provider extends string> = Provider extends `${infer Head}_${infer Rest}`
  ? `${Lowercase<Head>}${Capitalize<Lowercase<Rest>>}`
  : Lowercase<Provider>;

const toInputName = (provider: AppChannelProvider) =>
  provider.toLowerCase().replace(/_(\w)/, (_, letter: string) => letter.toUpperCase());

/** What is to be kept of one provider; `credentials` null: nothing any more. */
export interface OwnChannelChange {
  provider: AppChannelProvider;
  account: string;
  /** JSON. */
  credentials: string | null;
}

/**
 * What changes.
 *
 * @param present what the app has credentials for.
 * @throws DomainError `VALUE_INVALID` at the place of the mistake, which it does not repeat: it can be a secret.
 */
export function parseOwnChannels(
  input: OwnChannelsInput,
  { isDefaultApp, present }: { isDefaultApp: boolean; present: readonly AppChannelProvider[] },
): OwnChannelChange[] {
  const given = new Map<string, unknown>(Object.entries(input));
  const changes = Object.values(AppChannelProvider).flatMap((provider): OwnChannelChange[] => {
    const name = toInputName(provider);
    const value = given.get(name);
    if (value === undefined) return [];
    if (value === null) return [{ provider, account: '', credentials: null }];
    if (ofDefaultAppOnly.has(provider) && !isDefaultApp) {
      throw new DomainError(
        'VALUE_INVALID',
        'E-mail, SMS and WhatsApp are sent by the default app, whoever they are to.',
        ['channels', name],
      );
    }
    return [{ provider, account: accountOf(provider, value, name), credentials: JSON.stringify(value) }];
  });
  refuseRivals(changes, present);
  return changes;
}

/** Of those that would each send a whole channel, none is chosen by guess. */
function refuseRivals(changes: readonly OwnChannelChange[], present: readonly AppChannelProvider[]): void {
  const isLeft = new Map(present.map((provider) => [provider, true]));
  for (const { provider, credentials } of changes) isLeft.set(provider, credentials !== null);
  for (const { what, providers } of exclusive) {
    const [first, second] = providers.filter((provider) => isLeft.get(provider));
    if (first === undefined || second === undefined) continue;
    const isGiven = changes.some(({ provider }) => provider === second);
    const [given, other] = isGiven ? [second, first] : [first, second];
    throw new DomainError(
      'VALUE_INVALID',
      `${what} has one provider: set ${toInputName(other)} to null with this one.`,
      ['channels', toInputName(given)],
    );
  }
}

function accountOf(provider: AppChannelProvider, value: unknown, name: string): string {
  const { schema, accountOf: read }: Form<z.ZodType> = forms[provider];
  const result = schema.safeParse(value);
  if (result.success) return read(result.data);
  const [issue] = result.error.issues;
  throw new DomainError('VALUE_INVALID', issue?.message ?? 'Not of its form.', [
    'channels',
    name,
    ...(issue?.path ?? []).map(String),
  ]);
}

/** Adds what is kept of one provider to what is known of an app. Throws when it is not in its form. */
export function withCredentials(
  known: OwnCredentials,
  provider: AppChannelProvider,
  credentials: string,
): OwnCredentials {
  return { ...known, [provider]: forms[provider].schema.parse(JSON.parse(credentials)) };
}
