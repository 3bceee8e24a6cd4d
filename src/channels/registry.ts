import type { Channel as ChannelName } from '../generated/prisma/enums.ts';
import type { Database } from '../storage/database.ts';
import { type ApnsOptions, createApnsChannel } from './apns.ts';
import type { AddressKind, Channel } from './channel.ts';
import { createFcmChannel, type FcmOptions } from './fcm.ts';
import { createInboxChannel } from './inbox.ts';
import { createInfobipSmsChannel, type InfobipOptions } from './infobip-sms.ts';
import { createInfobipWhatsAppChannel } from './infobip-whatsapp.ts';
import { createOutboxChannel } from './outbox.ts';
import { createSmppChannel, type SmppOptions } from './smpp.ts';
import { createSmtpChannel, type SmtpOptions } from './smtp.ts';
import type { TwilioOptions } from './twilio.ts';
import { createTwilioSmsChannel } from './twilio-sms.ts';
import { createTwilioWhatsAppChannel } from './twilio-whatsapp.ts';
import { createWebPushChannel, type Vapid } from './web-push.ts';

/** Who sends WhatsApp messages. */
export type WhatsAppOptions = ({ provider: 'infobip' } & InfobipOptions) | ({ provider: 'twilio' } & TwilioOptions);

/** What decides which provider serves which channel. A provider that is null is not configured. */
export interface ChannelsOptions {
  smtp: SmtpOptions | null;
  /** SMS has one provider at most. */
  infobip: InfobipOptions | null;
  twilio: TwilioOptions | null;
  smpp: SmppOptions | null;
  whatsApp: WhatsAppOptions | null;
  /** Null: web push has no key pair, so that browsers are not served. */
  vapid: Vapid | null;
  fcm: FcmOptions | null;
  apns: ApnsOptions | null;
  /** Whether a channel without provider goes to the outbox; else its deliveries end as CHANNEL_NOT_CONFIGURED. */
  isOutboxAllowed: boolean;
  /** Lets web push endpoints be plain http, loopback or private. For tests. */
  arePrivateEndpointsAllowed: boolean;
  db: Database;
}

/** Nothing is configured. */
export const noProviders = {
  smtp: null,
  infobip: null,
  twilio: null,
  smpp: null,
  whatsApp: null,
  vapid: null,
  fcm: null,
  apns: null,
  isOutboxAllowed: false,
} satisfies Partial<ChannelsOptions>;

/** The channels of one process, or of one app. */
export interface Channels {
  /** What sends to such an address; null: nothing is configured for it (CHANNEL_NOT_CONFIGURED). */
  channelFor(channel: ChannelName, addressKind: AddressKind): Channel | null;
  /** The channels for which at least one form of address has a provider or the outbox. */
  configuredChannels(): ChannelName[];
  /** By which providers each channel is served, the outbox among them: each once. */
  listProviders(): { channel: ChannelName; provider: string }[];
  /** Each form of address of each channel, and what serves it; `provider` null: nothing does. */
  listRoutes(): { channel: ChannelName; addressKind: AddressKind; provider: string | null }[];
  /** What serves each channel, for a person: `smtp`, `web-push, outbox for apps`, `not configured`. */
  describe(): Record<ChannelName, string>;
  /** Opens the sessions over which providers tell of messages, where they are not open. Rejects when one cannot be. */
  listen(): Promise<void>;
  /** Ends idle connections. Sends under way end by themselves, or by their signal. */
  close(): Promise<void>;
}

/** Serves one form of address of one channel. */
interface Route {
  channel: ChannelName;
  address: AddressKind;
  /** For `describe`, where a channel has several providers. */
  audience: string;
  via: Channel | null;
}

/** Opens the channels that the options name. Connections are made at the first send. */
export function createChannels({ db, ...options }: ChannelsOptions): Channels {
  const outbox = options.isOutboxAllowed ? createOutboxChannel(db) : null;

  // A provider is added here: what serves which address of which channel.
  const routes: readonly Route[] = [
    { channel: 'PUSH', address: 'webPush', audience: 'browsers', via: openWebPush(options) },
    { channel: 'PUSH', address: 'fcm', audience: 'apps', via: options.fcm ? createFcmChannel(options.fcm) : outbox },
    {
      channel: 'PUSH',
      address: 'apns',
      audience: 'apps',
      via: options.apns ? createApnsChannel(options.apns) : outbox,
    },
    {
      channel: 'EMAIL',
      address: 'email',
      audience: 'all',
      via: options.smtp ? createSmtpChannel(options.smtp) : outbox,
    },
    {
      channel: 'SMS',
      address: 'phone',
      audience: 'all',
      via: openSms(options) ?? outbox,
    },
    {
      channel: 'WHATSAPP',
      address: 'phone',
      audience: 'all',
      via: openWhatsApp(options) ?? outbox,
    },
    { channel: 'IN_APP', address: 'inbox', audience: 'all', via: createInboxChannel(db) },
  ];

  return {
    channelFor: (channel, addressKind) =>
      routes.find((route) => route.channel === channel && route.address === addressKind)?.via ?? null,
    configuredChannels: () => [...new Set(routes.filter((route) => route.via).map((route) => route.channel))],
    listProviders: () =>
      [...Map.groupBy(routes, ({ channel }) => channel)].flatMap(([channel, served]) =>
        [...new Set(served.flatMap(({ via }) => via?.name ?? []))].map((provider) => ({ channel, provider })),
      ),
    listRoutes: () =>
      routes.map(({ channel, address, via }) => ({ channel, addressKind: address, provider: via?.name ?? null })),
    describe: () => ({
      PUSH: describeRoutes(routes, 'PUSH'),
      EMAIL: describeRoutes(routes, 'EMAIL'),
      SMS: describeRoutes(routes, 'SMS'),
      WHATSAPP: describeRoutes(routes, 'WHATSAPP'),
      IN_APP: describeRoutes(routes, 'IN_APP'),
    }),
    async listen() {
      await Promise.all([...new Set(routes.map((route) => route.via))].map((channel) => channel?.listen?.()));
    },
    async close() {
      await Promise.all([...new Set(routes.map((route) => route.via))].map((channel) => channel?.close()));
    },
  };
}

function openSms({ infobip, twilio, smpp }: Pick<ChannelsOptions, 'infobip' | 'twilio' | 'smpp'>): Channel | null {
  if (infobip) return createInfobipSmsChannel(infobip);
  if (twilio) return createTwilioSmsChannel(twilio);
  return smpp && createSmppChannel(smpp);
}

function openWhatsApp({ whatsApp }: Pick<ChannelsOptions, 'whatsApp'>): Channel | null {
  switch (whatsApp?.provider) {
    case undefined:
      return null;
    case 'infobip':
      return createInfobipWhatsAppChannel(whatsApp);
    case 'twilio':
      return createTwilioWhatsAppChannel(whatsApp);
  }
}

function openWebPush({ vapid, ...options }: Omit<ChannelsOptions, 'db'>): Channel | null {
  return vapid && createWebPushChannel({ vapid, ...options });
}

/** The provider of a channel's first route, then those that serve others otherwise: `web-push, outbox for apps`. */
function describeRoutes(routes: readonly Route[], channel: ChannelName): string {
  const [first, ...others] = routes.filter((route) => route.channel === channel);
  const name = first?.via?.name ?? 'not configured';
  const exceptions = others
    .filter((route) => (route.via?.name ?? 'not configured') !== name)
    .map((route) => `${route.via?.name ?? 'not configured'} for ${route.audience}`);
  return [name, ...new Set(exceptions)].join(', ');
}
