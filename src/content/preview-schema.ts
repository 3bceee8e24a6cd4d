import { NotificationEventInput } from '../events/notification-event-schema.ts';
import { builder } from '../graphql/builder.ts';
import { PlatformEnum } from '../installations/schema.ts';
import { ChannelEnum, toUserReferenceInput, UserRefInput } from '../users/schema.ts';
import { ContentInput, ContentObject, toLocalSaid } from './content-schema.ts';
import { warningsMax } from './find-warnings.ts';
import { type NotificationPreview, previewNotification, type RenderedPreview } from './preview-notification.ts';
import type { SmsSegments } from './sms-segments.ts';
import { WarningObject } from './warning-schema.ts';

const RenderFailureEnum = builder.enumType('RenderFailure', {
  description:
    'Why a message cannot be rendered: its delivery would end as RENDER_FAILED, with this as its `providerCode`.',
  values: {
    TEMPLATE_FAILED: { description: 'A filter cannot do what it is told.' },
    TEMPLATE_LIMIT: { description: 'A text takes too long, or becomes too long.' },
    URL_INVALID: { description: 'What came out as a URL is no http or https URL.' },
    BODY_EMPTY: { description: 'Nothing is left to say.' },
  },
});

const SmsEncodingEnum = builder.enumType('SmsEncoding', {
  description: 'How the characters of an SMS are written.',
  values: {
    GSM_7: { description: 'Only characters of the default alphabet: 160 in a message.' },
    UCS_2: { description: 'As soon as one is not in it: 70 in a message.' },
  },
});

const SmsSegmentsObject = builder.objectRef<SmsSegments>('SmsSegments').implement({
  description: 'How a text goes out as SMS.',
  fields: (t) => ({
    encoding: t.expose('encoding', { type: SmsEncodingEnum, description: 'How its characters are written.' }),
    count: t.exposeInt('count', { description: 'Messages that it takes, each of which is paid for.' }),
  }),
});

const RenderedPreviewObject = builder.objectRef<RenderedPreview>('NotificationPreviewMessage').implement({
  description: 'A message as one client would get it.',
  authScopes: { administer: true },
  fields: (t) => ({
    channel: t.expose('channel', { type: ChannelEnum, description: 'By which channel.' }),
    platform: t.expose('platform', {
      type: PlatformEnum,
      nullable: true,
      description: 'Of a push, to which clients; else null.',
    }),
    variation: t.exposeInt('variation', {
      nullable: true,
      description: 'Which variation, by its place from 0; null: what is said to everybody.',
    }),
    content: t.expose('content', {
      type: ContentObject,
      nullable: true,
      description: 'The fields with their placeholders filled in; null when it cannot be rendered.',
    }),
    failure: t.expose('failure', {
      type: RenderFailureEnum,
      nullable: true,
      description: 'Why it cannot be rendered; else null.',
    }),
    rendered: t.expose('rendered', {
      type: 'JSONObject',
      nullable: true,
      description:
        'What would be sent, in the form of its channel, as `outboxMessages` shows it; its ids are examples. Null when nothing could be.',
    }),
    sms: t.expose('sms', { type: SmsSegmentsObject, nullable: true, description: 'Of an SMS: how it goes out.' }),
  }),
});

/** Clients of one preview: each channel once, a push for each platform. */
const messagesMax = 10;

const NotificationPreviewObject = builder.objectRef<NotificationPreview>('NotificationPreview').implement({
  description: 'What would be sent to a user, and what becomes of it.',
  authScopes: { administer: true },
  fields: (t) => ({
    messages: t.expose('messages', {
      type: [RenderedPreviewObject],
      description: 'One for each channel, of pushes one for each platform.',
      extensions: { listSizeMax: messagesMax },
    }),
    warnings: t.expose('warnings', {
      type: [WarningObject],
      description: 'What clients drop or cut of it, as it was rendered.',
      extensions: { listSizeMax: warningsMax },
    }),
  }),
});

builder.queryField('previewNotification', (t) =>
  t.field({
    type: NotificationPreviewObject,
    authScopes: { administer: true },
    description:
      'Renders what would be sent to a user, for each client, and says what each drops or cuts of it. Sends and saves nothing; whether anything may be sent to the user is not asked.',
    args: {
      content: t.arg({ type: ContentInput, description: 'What is to be said. Exactly one of this and `template`.' }),
      template: t.arg.id({ description: 'Global id or name of a template.' }),
      user: t.arg({ type: UserRefInput, required: true, description: 'Who reads it.' }),
      channels: t.arg({ type: [ChannelEnum], description: 'By which channels. Default: all.' }),
      platform: t.arg({ type: PlatformEnum, description: 'Of pushes, to which clients. Default: all.' }),
      data: t.arg({ type: 'JSONObject', description: 'What texts may name: `{{ data.x }}`. At most 64 KiB.' }),
      event: t.arg({
        type: NotificationEventInput,
        description: 'The event of the send: `{{ event.x }}` in the text is a property of it. It is not tracked.',
      }),
    },
    resolve: (_, { content, template, user, ...rest }, { db }) =>
      previewNotification(db, { ...rest, ...toLocalSaid({ content, template }), user: toUserReferenceInput(user) }),
  }),
);
