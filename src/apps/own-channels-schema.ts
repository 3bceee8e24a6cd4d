import type { AppChannel } from '../generated/prisma/client.ts';
import { AppChannelProvider } from '../generated/prisma/enums.ts';
import { builder } from '../graphql/builder.ts';
import type { Loader } from '../graphql/loaders.ts';

const AppChannelProviderEnum = builder.enumType('AppChannelProvider', {
  description: 'A way to send for which an app can have credentials of its own.',
  values: {
    [AppChannelProvider.FCM]: { description: 'Push by Firebase Cloud Messaging.' },
    [AppChannelProvider.APNS]: { description: 'Push by the Apple Push Notification service.' },
    [AppChannelProvider.WEB_PUSH]: { description: 'Push to browsers.' },
    [AppChannelProvider.SMTP]: { description: 'E-mail by an SMTP server.' },
    [AppChannelProvider.INFOBIP]: { description: 'SMS by Infobip.' },
    [AppChannelProvider.TWILIO]: { description: 'SMS by Twilio.' },
    [AppChannelProvider.SMPP]: { description: 'SMS by an SMSC that speaks SMPP 3.4.' },
    [AppChannelProvider.INFOBIP_WHATSAPP]: { description: 'WhatsApp by Infobip.' },
    [AppChannelProvider.TWILIO_WHATSAPP]: { description: 'WhatsApp by Twilio.' },
  },
});

const FcmCredentialsInput = builder.inputType('FcmCredentialsInput', {
  description: 'Who sends push by Firebase Cloud Messaging.',
  fields: (t) => ({
    serviceAccount: t.string({
      required: true,
      description: 'Key of a Google service account: the JSON file that Google Cloud gives out, as it is or in base64.',
    }),
    baseUrl: t.string({ description: 'The API. Default: `https://fcm.googleapis.com`.' }),
  }),
});

const ApnsCredentialsInput = builder.inputType('ApnsCredentialsInput', {
  description: 'Who sends push by the Apple Push Notification service.',
  fields: (t) => ({
    key: t.string({
      required: true,
      description: 'Private key: the `.p8` file that Apple gives out, as it is or in base64.',
    }),
    keyId: t.string({ required: true, description: "The key's id, 10 letters and digits." }),
    teamId: t.string({ required: true, description: "Id of the developer's team, 10 letters and digits." }),
    topic: t.string({ required: true, description: "The iOS app's bundle id, such as `com.example.shop`." }),
    baseUrl: t.string({
      description:
        'Default: `https://api.push.apple.com`. An app that is signed for development has `https://api.sandbox.push.apple.com`.',
    }),
  }),
});

const WebPushCredentialsInput = builder.inputType('WebPushCredentialsInput', {
  description: 'Who sends push to browsers. The key is the one of the deployment (`App.webPushPublicKey`).',
  fields: (t) => ({
    subject: t.string({
      required: true,
      description: 'How push services reach whoever runs the app (RFC 8292): a `mailto:` or `https:` URL.',
    }),
  }),
});

const SmtpCredentialsInput = builder.inputType('SmtpCredentialsInput', {
  description: 'The server that e-mail is handed to.',
  fields: (t) => ({
    url: t.string({
      required: true,
      description: '`smtps://user:password@host`, or `smtp://…:587`, where STARTTLS is used if it is offered.',
    }),
    from: t.string({ required: true, description: 'Sender: `ann@example.com` or `Ann <ann@example.com>`.' }),
  }),
});

const InfobipCredentialsInput = builder.inputType('InfobipCredentialsInput', {
  description: 'An account at Infobip that sends SMS.',
  fields: (t) => ({
    baseUrl: t.string({ required: true, description: "The account's API, such as `https://abc123.api.infobip.com`." }),
    apiKey: t.string({ required: true, description: 'Key of the API.' }),
    from: t.string({ required: true, description: 'Sender: a number or a name that Infobip has approved.' }),
  }),
});

const TwilioCredentialsInput = builder.inputType('TwilioCredentialsInput', {
  description: 'An account at Twilio that sends SMS. With its auth token Twilio also signs what it tells afterwards.',
  fields: (t) => ({
    accountSid: t.string({ required: true, description: 'The account: `AC` and 32 hexadecimal digits.' }),
    authToken: t.string({ required: true, description: "The account's auth token." }),
    from: t.string({
      required: true,
      description: 'Sender: a number, short code or name of the account, or a Messaging Service (`MG…`).',
    }),
    baseUrl: t.string({ description: 'The API. Default: `https://api.twilio.com`.' }),
  }),
});

const SmppCredentialsInput = builder.inputType('SmppCredentialsInput', {
  description: 'An account at an SMSC that sends SMS by SMPP 3.4.',
  fields: (t) => ({
    url: t.string({
      required: true,
      description:
        '`smpp://user:password@host:2775`, or `smpps://…` for TLS, with `?system_type=…` where the SMSC wants one.',
    }),
    from: t.string({
      required: true,
      description: 'Sender: a number with `+`, a short code, or a name of up to 11 letters and digits.',
    }),
  }),
});

const InfobipWhatsAppCredentialsInput = builder.inputType('InfobipWhatsAppCredentialsInput', {
  description: 'An account at Infobip that sends WhatsApp messages.',
  fields: (t) => ({
    baseUrl: t.string({ required: true, description: "The account's API, such as `https://abc123.api.infobip.com`." }),
    apiKey: t.string({ required: true, description: 'Key of the API.' }),
    from: t.string({ required: true, description: 'Sender: the number of the WhatsApp account.' }),
  }),
});

const TwilioWhatsAppCredentialsInput = builder.inputType('TwilioWhatsAppCredentialsInput', {
  description:
    'An account at Twilio that sends WhatsApp messages. With its auth token Twilio also signs what it tells afterwards.',
  fields: (t) => ({
    accountSid: t.string({ required: true, description: 'The account: `AC` and 32 hexadecimal digits.' }),
    authToken: t.string({ required: true, description: "The account's auth token." }),
    from: t.string({
      required: true,
      description: 'Sender: the number of the WhatsApp account, or a Messaging Service (`MG…`).',
    }),
    baseUrl: t.string({ description: 'The API. Default: `https://api.twilio.com`.' }),
  }),
});

export const AppChannelsInput = builder.inputType('AppChannelsInput', {
  description:
    'Credentials of an app. They are kept encrypted and never told. Null removes them, so that the ones of the environment count again; what is absent stays as it is. SMS has one provider, and so has WhatsApp: who gives another one sets the first to null. A change is heard by all workers within two seconds.',
  fields: (t) => ({
    fcm: t.field({ type: FcmCredentialsInput, description: 'For its installations with an FCM registration token.' }),
    apns: t.field({ type: ApnsCredentialsInput, description: 'For its installations with an APNs device token.' }),
    webPush: t.field({ type: WebPushCredentialsInput, description: 'For its installations in browsers.' }),
    smtp: t.field({
      type: SmtpCredentialsInput,
      description: 'For all e-mail. Of the default app only: whom an e-mail is to is of no app.',
    }),
    infobip: t.field({
      type: InfobipCredentialsInput,
      description: 'For all SMS. Of the default app only: whom an SMS is to is of no app.',
    }),
    twilio: t.field({
      type: TwilioCredentialsInput,
      description: 'For all SMS. Of the default app only: whom an SMS is to is of no app.',
    }),
    smpp: t.field({
      type: SmppCredentialsInput,
      description: 'For all SMS. Of the default app only: whom an SMS is to is of no app.',
    }),
    infobipWhatsapp: t.field({
      type: InfobipWhatsAppCredentialsInput,
      description: 'For all WhatsApp messages. Of the default app only: whom one is to is of no app.',
    }),
    twilioWhatsapp: t.field({
      type: TwilioWhatsAppCredentialsInput,
      description: 'For all WhatsApp messages. Of the default app only: whom one is to is of no app.',
    }),
  }),
});

export const AppChannelObject = builder.prismaObject('AppChannel', {
  description: 'That an app has credentials of its own for a way to send. The credentials are never told.',
  authScopes: { readAll: true },
  fields: (t) => ({
    provider: t.expose('provider', { type: AppChannelProviderEnum, description: 'By whom it sends.' }),
    account: t.exposeString('account', {
      description:
        "Which account that is: FCM's project, the topic, key and team of APNs, the sender of e-mail, SMS and WhatsApp, the subject of web push.",
    }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When they were set, last.' }),
  }),
});

/** What apps send by themselves by, by provider. */
export const channelsOfApp: Loader<string, AppChannel[]> = {
  async load(db, appIds) {
    const channels = await db.appChannel.findMany({
      where: { appId: { in: [...appIds] } },
      orderBy: { provider: 'asc' },
    });
    const byApp = Map.groupBy(channels, ({ appId }) => appId);
    return appIds.map((id) => byApp.get(id) ?? []);
  },
};
