import { listSealedChannels, openCredentials, type SealedChannel } from '../apps/own-channel-store.ts';
import { type OwnCredentials, withCredentials } from '../apps/own-channels.ts';
import type { AddressKind, Channel } from '../channels/channel.ts';
import { type Channels, type ChannelsOptions, createChannels, noProviders } from '../channels/registry.ts';
import type { Vapid } from '../channels/web-push.ts';
import { Channel as ChannelName } from '../generated/prisma/enums.ts';
import type { Logger } from '../logger.ts';
import type { Cipher } from '../storage/cipher.ts';
import type { Database } from '../storage/database.ts';
import { appProviders, type Route } from './app-providers.ts';

/** What sends, and by whose credentials. */
export interface Sender {
  via: Channel;
  /** The app whose own they are; null: the environment's. */
  ownerId: string | null;
}

/** For which addresses there is something that sends. */
export interface Configured {
  /** Channels by which people can be reached, some forms of their addresses at least. */
  channels: readonly ChannelName[];
  /** Forms of push addresses that can be sent to, of installations of any app. */
  pushKinds: readonly AddressKind[];
  /** And of installations of one app, by its own credentials. */
  ownPushKinds: readonly { appId: string; kind: AddressKind }[];
}

/** The channels of all apps: an app's own credentials go before the environment's. */
export interface AppChannels {
  /** What sends for an app to such an address; null: nothing is configured for it (CHANNEL_NOT_CONFIGURED). */
  senderFor(appId: string, channel: ChannelName, addressKind: AddressKind): Promise<Sender | null>;
  /** For which addresses {@link senderFor} has something that sends, for people as for this app; null: of no app's own. */
  findConfigured(appId: string | null): Promise<Configured>;
  /** By which providers messages are sent, and whose they are, as far as it is known: `ownerId` null, the environment's. */
  listProviders(): { ownerId: string | null; channel: ChannelName; provider: string }[];
  /** With which the Twilio accounts of apps sign what they tell. */
  listTwilioAuthTokens(): Promise<string[]>;
  /** Opens the sessions over which providers tell of messages, the environment's too, where they are not open. */
  listen(): Promise<void>;
  /** Ends idle connections of apps' own channels. */
  close(): Promise<void>;
}

/** Providers that are told at each message, or over their session, where to say what became of it. */
export type ToldProviders = Pick<ChannelsOptions, 'twilio' | 'smpp' | 'whatsApp'>;

interface AppChannelsOptions {
  db: Database;
  cipher: Cipher;
  log: Logger;
  /** By what the environment says. */
  environment: Channels;
  /** The key pair that an app's own subject goes with. */
  vapid: Vapid;
  /** Has providers tell where the environment's do. */
  wireReceipts: (providers: ToldProviders) => ToldProviders;
  arePrivateEndpointsAllowed: boolean;
}

/** How long credentials are taken for what they were. @default 1_000 // 1 second */
const rememberedMs = 1_000;

/** A route, to look it up by. */
type RouteKey = `${ChannelName} ${AddressKind}`;

const toKey = ({ channel, addressKind }: Route): RouteKey => `${channel} ${addressKind}`;

const pushKinds = ['webPush', 'fcm', 'apns'] as const satisfies readonly AddressKind[];

/** Nothing is lost, and nobody else's credentials are used, until they are set anew. */
const unreadable: Channel = {
  name: 'unreadable',
  send: () => Promise.resolve({ kind: 'channelDown', providerCode: 'CREDENTIALS_UNREADABLE' }),
  close: () => Promise.resolve(),
};

interface OwnChannels {
  /** What they were made of: other credentials are another text, and the same sealed anew too. */
  made: string;
  channels: Channels;
  /** What it sends by itself. */
  routes: ReadonlySet<RouteKey>;
  /** Of these, those for which the credentials cannot be read. */
  unreadable: ReadonlySet<RouteKey>;
  twilioAuthTokens: readonly string[];
}

/**
 * Looks at the credentials of all apps at most once a second, when something is to be sent: a deployment has a handful of
 * apps. Channels are made when an app first has credentials, and anew when these change; what is under way on the old ones ends
 * on them.
 */
export function createAppChannels(options: AppChannelsOptions): AppChannels {
  const { db, log, environment } = options;
  const own = new Map<string, OwnChannels>();
  let looked: { at: number; done: Promise<void> } | null = null;

  async function look(): Promise<void> {
    const byApp = Map.groupBy(await listSealedChannels(db), ({ appId }) => appId);
    for (const [appId, { channels }] of own) {
      if (byApp.has(appId)) continue;
      own.delete(appId);
      discard(channels);
    }
    for (const [appId, sealed] of byApp) {
      const made = sealed.map(({ credentialsCipher }) => Buffer.from(credentialsCipher).toString('base64')).join();
      const known = own.get(appId);
      if (known?.made === made) continue;
      own.set(appId, { made, ...openOwn(options, appId, sealed) });
      if (known) discard(known.channels);
    }
  }

  function discard(channels: Channels): void {
    channels
      .close()
      .catch((err: unknown) => log.warn({ err }, 'Channels that are no longer used could not be closed.'));
  }

  /** Until `own` is what it was a second ago, at the earliest. */
  async function lookAgain(): Promise<void> {
    if (!looked || performance.now() - looked.at > rememberedMs) {
      const mine = { at: performance.now(), done: look() };
      looked = mine;
      mine.done.catch(() => {
        if (looked === mine) looked = null;
      });
    }
    await looked.done;
  }

  async function ownOf(appId: string): Promise<OwnChannels | undefined> {
    await lookAgain();
    return own.get(appId);
  }

  return {
    async senderFor(appId, channel, addressKind) {
      const its = await ownOf(appId);
      const route = toKey({ channel, addressKind });
      if (its?.unreadable.has(route)) return { via: unreadable, ownerId: appId };
      const via = its?.routes.has(route) ? its.channels.channelFor(channel, addressKind) : null;
      if (via) return { via, ownerId: appId };
      const common = environment.channelFor(channel, addressKind);
      return common && { via: common, ownerId: null };
    },
    async findConfigured(appId) {
      await lookAgain();
      const its = appId === null ? [] : [...(own.get(appId)?.routes ?? [])];
      const common = environment.configuredChannels();
      return {
        channels: Object.values(ChannelName).filter(
          (channel) => common.includes(channel) || its.some((route) => route.startsWith(`${channel} `)),
        ),
        pushKinds: pushKinds.filter((kind) => environment.channelFor('PUSH', kind) !== null),
        ownPushKinds: [...own].flatMap(([ownerId, { routes }]) =>
          pushKinds.filter((kind) => routes.has(`PUSH ${kind}`)).map((kind) => ({ appId: ownerId, kind })),
        ),
      };
    },
    listProviders() {
      const itsOwn = [...own].flatMap(([ownerId, { channels }]) =>
        channels.listProviders().map((provider) => ({ ...provider, ownerId })),
      );
      return [...environment.listProviders().map((provider) => ({ ...provider, ownerId: null })), ...itsOwn];
    },
    async listTwilioAuthTokens() {
      await lookAgain();
      return [...own.values()].flatMap(({ twilioAuthTokens }) => twilioAuthTokens);
    },
    async listen() {
      await lookAgain();
      await Promise.all([environment, ...[...own.values()].map(({ channels }) => channels)].map((all) => all.listen()));
    },
    async close() {
      await Promise.all([...own.values()].map(({ channels }) => channels.close()));
    },
  };
}

/** An app's own channels. */
function openOwn(
  options: AppChannelsOptions,
  appId: string,
  sealed: readonly SealedChannel[],
): Omit<OwnChannels, 'made'> {
  const { db, cipher, log, vapid, wireReceipts, arePrivateEndpointsAllowed } = options;
  const lost = new Set<RouteKey>();
  let credentials: OwnCredentials = {};
  for (const one of sealed) {
    try {
      credentials = withCredentials(credentials, one.provider, openCredentials(cipher, one));
    } catch (err) {
      log.error(
        { err, appId, provider: one.provider },
        "An app's own credentials cannot be read; its deliveries wait.",
      );
      lost.add(toKey(appProviders[one.provider]));
    }
  }
  const channels = createChannels({
    ...noProviders,
    fcm: credentials.FCM ?? null,
    apns: credentials.APNS ?? null,
    vapid: credentials.WEB_PUSH ? { ...vapid, subject: credentials.WEB_PUSH.subject } : null,
    smtp: credentials.SMTP ?? null,
    infobip: credentials.INFOBIP ?? null,
    ...wireReceipts({
      twilio: credentials.TWILIO ?? null,
      smpp: credentials.SMPP ?? null,
      whatsApp: toWhatsApp(credentials),
    }),
    arePrivateEndpointsAllowed,
    db,
  });
  return {
    channels,
    routes: new Set(sealed.map(({ provider }) => toKey(appProviders[provider]))),
    unreadable: lost,
    twilioAuthTokens: [credentials.TWILIO, credentials.TWILIO_WHATSAPP].flatMap((account) => account?.authToken ?? []),
  };
}

function toWhatsApp({ INFOBIP_WHATSAPP: infobip, TWILIO_WHATSAPP: twilio }: OwnCredentials): ToldProviders['whatsApp'] {
  if (infobip) return { provider: 'infobip', ...infobip };
  return twilio ? { provider: 'twilio', ...twilio } : null;
}
