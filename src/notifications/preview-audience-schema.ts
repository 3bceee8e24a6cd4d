import { DeliveryReasonEnum } from '../deliveries/schema.ts';
import { DeliveryReason } from '../generated/prisma/enums.ts';
import { builder } from '../graphql/builder.ts';
import { parseId } from '../graphql/global-id.ts';
import { ChannelEnum } from '../users/schema.ts';
import { type AudiencePreview, type ChannelPreview, previewAudience } from './fan-out/preview-audience.ts';
import { OrchestrationEnum, PurposeEnum } from './schema.ts';
import { TargetInput, toLocalApps, toLocalTarget } from './target/target-schema.ts';

const LeftOutObject = builder.objectRef<ChannelPreview['leftOut'][number]>('AudienceLeftOut').implement({
  description: 'How many recipients would not be sent to, for one reason.',
  authScopes: { readAll: true },
  fields: (t) => ({
    reason: t.expose('reason', { type: DeliveryReasonEnum, description: 'Why not.' }),
    count: t.exposeInt('count', { description: 'How many.' }),
  }),
});

const ChannelPreviewObject = builder.objectRef<ChannelPreview>('AudienceChannel').implement({
  description: 'What would become of the recipients of one channel.',
  authScopes: { readAll: true },
  fields: (t) => ({
    channel: t.expose('channel', {
      type: ChannelEnum,
      nullable: true,
      description: 'Which channel; null: users without an address by any.',
    }),
    reachable: t.exposeInt('reachable', { description: 'Recipients that would be sent to.' }),
    leftOut: t.expose('leftOut', {
      type: [LeftOutObject],
      description: 'Those that would not, by reason.',
      extensions: { listSizeMax: Object.keys(DeliveryReason).length },
    }),
  }),
});

const AudiencePreviewObject = builder.objectRef<AudiencePreview>('AudiencePreview').implement({
  description: 'Whom a notification would go to, if it were fanned out right now.',
  authScopes: { readAll: true },
  fields: (t) => ({
    users: t.exposeInt('users', {
      description: 'Users who are meant; installations that are named are not among them.',
    }),
    unknownUsers: t.exposeInt('unknownUsers', { description: 'References that name nobody, each once.' }),
    total: t.exposeInt('total', { description: 'Deliveries that would be made, DISCARDED ones too.' }),
    channels: t.expose('channels', {
      type: [ChannelPreviewObject],
      description: 'By channel.',
      extensions: { listSizeMax: 10 },
    }),
    countedAt: t.expose('countedAt', { type: 'DateTime', description: 'When it was counted.' }),
  }),
});

builder.queryField('previewAudience', (t) =>
  t.field({
    type: AudiencePreviewObject,
    authScopes: { readAll: true },
    description:
      'Counts whom `sendNotification` with these arguments would reach right now, by the statement that fans out, and who would be left out and why. Writes nothing. Refused with LIMIT_EXCEEDED when counting takes more than 15 seconds.',
    args: {
      target: t.arg({ type: TargetInput, required: true, description: 'Whom it is meant for.' }),
      channels: t.arg({
        type: [ChannelEnum],
        description: 'By which channels. Default: every configured one that a user has an address for.',
      }),
      orchestration: t.arg({
        type: OrchestrationEnum,
        description: 'Which of the channels for a user; of FALLBACK the first. Default: ALL.',
      }),
      topic: t.arg.id({ description: 'What it is about. Global id.' }),
      purpose: t.arg({ type: PurposeEnum, description: 'Default: MARKETING with a topic, TRANSACTIONAL without one.' }),
      targetOnlyPrimaryDevices: t.arg.boolean({
        required: true,
        defaultValue: false,
        description: "Push only to users' primary devices.",
      }),
      onePerUser: t.arg.boolean({ description: 'Push to one installation of each user. Default: false.' }),
      apps: t.arg.idList({ description: 'Push only to installations of these apps. Global ids. Default: of any.' }),
      subscribedFrom: t.arg({ type: 'DateTime', description: 'Only to what was subscribed then or later.' }),
      subscribedTo: t.arg({ type: 'DateTime', description: 'Only to what was subscribed before this.' }),
    },
    resolve: async (_, { target, apps, topic, purpose, ...rest }, { db, findConfigured }) =>
      previewAudience(db, {
        ...rest,
        target: toLocalTarget(target),
        apps: toLocalApps(apps),
        configured: await findConfigured(),
        topicId: parseId(topic, 'Topic', ['topic']) ?? null,
        purpose: purpose ?? (topic ? 'MARKETING' : 'TRANSACTIONAL'),
      }),
  }),
);
