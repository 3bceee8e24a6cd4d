import { findDefaultAppId } from '../apps/default-app.ts';
import { AppObject, appById } from '../apps/schema.ts';
import type { App, ChannelPause } from '../generated/prisma/client.ts';
import { type AppChannelProvider, type Channel, ChannelPauseCause } from '../generated/prisma/enums.ts';
import { builder } from '../graphql/builder.ts';
import { refusedWith } from '../graphql/errors.ts';
import { parseId } from '../graphql/global-id.ts';
import type { Loader } from '../graphql/loaders.ts';
import { principalOf } from '../graphql/principal.ts';
import { ChannelEnum } from '../users/schema.ts';
import { appProviders } from './app-providers.ts';
import { concerns } from './pauses-of-app.ts';
import { resumeChannel } from './resume-channel.ts';

/** No more are expected of an app, for the price of an operation. */
const providersMax = 16;

/** By what an app sends, and what of it is paused. */
interface SendersOfApp {
  ownCredentials: AppChannelProvider[];
  /** The default app's, by which all e-mail, SMS and WhatsApp goes. */
  commonCredentials: AppChannelProvider[];
  pauses: ChannelPause[];
}

const sendersOfApp: Loader<string, SendersOfApp> = {
  async load(db, ids) {
    const defaultAppId = await findDefaultAppId(db);
    const where = { appId: { in: defaultAppId === null ? [...ids] : [...ids, defaultAppId] } };
    const pauses = await db.channelPause.findMany({ where });
    const own = await db.appChannel.findMany({ where, select: { appId: true, provider: true } });
    const ownOf = (id: string | null) => own.flatMap(({ appId, provider }) => (appId === id ? [provider] : []));
    return ids.map((id) => ({
      ownCredentials: ownOf(id),
      commonCredentials: ownOf(defaultAppId),
      pauses: pauses.filter((pause) => concerns(pause, { appId: id, defaultAppId, own: ownOf(id) })),
    }));
  },
};

const PauseCauseEnum = builder.enumType('ChannelPauseCause', {
  description: 'Why a channel is paused.',
  values: {
    [ChannelPauseCause.REFUSED]: {
      description:
        "The provider said that nothing can be sent, as with wrong credentials or without credit, or rejected many pushes in a row as it does with another app's credentials.",
    },
    [ChannelPauseCause.UNAVAILABLE]: { description: 'The provider failed, or did not answer, many times in a row.' },
  },
});

/** A provider of a channel of an app, and its pause. */
interface ChannelSender {
  channel: Channel;
  provider: string;
  pause: ChannelPause | null;
}

const ChannelSenderObject = builder.objectRef<ChannelSender>('ChannelSender').implement({
  description: 'A provider that sends by a channel, and whether it is down.',
  authScopes: { readAll: true },
  fields: (t) => ({
    channel: t.expose('channel', { type: ChannelEnum, description: 'By which channel it sends.' }),
    provider: t.exposeString('provider', {
      description: 'Such as `smtp` or `twilio`; `outbox`: there is none, and messages are kept instead of being sent.',
    }),
    isPaused: t.boolean({
      description:
        'It is down: deliveries wait, and one of them tries it now and then. It goes on by itself when that succeeds, or with `resumeChannel`.',
      resolve: ({ pause }) => pause !== null,
    }),
    pausedSince: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'Since when it is down; null: it is not.',
      resolve: ({ pause }) => pause?.pausedAt,
    }),
    cause: t.field({
      type: PauseCauseEnum,
      nullable: true,
      description: 'Why it is paused; null: it is not.',
      resolve: ({ pause }) => pause?.cause,
    }),
    providerCode: t.string({
      nullable: true,
      description: "The provider's own word for what is wrong, or why it was not reached.",
      resolve: ({ pause }) => pause?.providerCode,
    }),
    nextTryAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'From when on one delivery tries it; null: it is not paused.',
      resolve: ({ pause }) => pause?.probeAt,
    }),
  }),
});

builder.prismaObjectField(AppObject, 'senders', (t) =>
  t.field({
    type: [ChannelSenderObject],
    authScopes: { readAll: true },
    description:
      'What sends for it, and what of it is paused: its own credentials, and where it has none those of the first app and of the environment of the program. E-mail, SMS and WhatsApp go by the first app, whoever they are to. For server and dashboard keys.',
    extensions: { listSizeMax: providersMax },
    resolve: async ({ id }, _, { loaders, channels }) => {
      const { ownCredentials, commonCredentials, pauses } = await loaders.load(sendersOfApp, id);
      const configured = channels.listRoutes().flatMap(({ channel, addressKind, provider: common }) => {
        const credentials = (channel === 'PUSH' ? ownCredentials : commonCredentials).map((name) => appProviders[name]);
        const own = credentials.find((one) => one.channel === channel && one.addressKind === addressKind);
        const provider = own?.provider ?? common;
        return provider === null ? [] : [{ channel, provider }];
      });
      return toSenders(configured, pauses);
    },
  }),
);

/** What is configured, as far as this process knows, and what is paused, each once. */
function toSenders(
  configured: readonly { channel: Channel; provider: string }[],
  pauses: readonly ChannelPause[],
): ChannelSender[] {
  const toKey = ({ channel, provider }: { channel: Channel; provider: string }) => `${channel} ${provider}`;
  const paused = new Map(pauses.map((pause) => [toKey(pause), pause]));
  const all = new Map([...configured, ...pauses].map((one) => [toKey(one), one]));
  return [...all].map(([key, { channel, provider }]) => ({ channel, provider, pause: paused.get(key) ?? null }));
}

async function getApp(found: Promise<App | null>): Promise<App> {
  const app = await found;
  if (!app) throw new Error('The app that was written is not there.');
  return app;
}

builder.relayMutationField(
  'resumeChannel',
  {
    description: 'Which channel is to be used again.',
    inputFields: (t) => ({
      app: t.id({ required: true, description: 'Global id.' }),
      channel: t.field({
        type: ChannelEnum,
        required: true,
        description: 'All of its providers that send for the app.',
      }),
      idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 24 hours.' }),
    }),
  },
  {
    description:
      'Ends the pause of a channel whose provider was down, once what was wrong is mended; else the next send would try. What has waited is due at once, and workers go on within seconds. A provider that sends for several apps goes on for all of them. One that is still down is paused again.',
    authScopes: { administer: true },
    errors: refusedWith('NOT_FOUND', 'VALUE_INVALID', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input: { app, ...input } }, context) => {
      const done = await resumeChannel(context, {
        ...input,
        appId: parseId(app, 'App', ['app']),
        principal: principalOf(context),
      });
      context.loaders.renew();
      return done;
    },
  },
  {
    description: 'The app.',
    outputFields: (t) => ({
      app: t.field({
        type: AppObject,
        description: 'As it is now.',
        resolve: ({ appId }, _, { loaders }) => getApp(loaders.load(appById, appId)),
      }),
    }),
  },
);
