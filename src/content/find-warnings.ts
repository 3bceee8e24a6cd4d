import { buttonsMax, toPushButtons } from '../channels/buttons.ts';
import type { MessageContent } from '../channels/channel.ts';
import { renderSms } from '../channels/render-sms.ts';
import { renderWhatsApp, whatsAppCharactersMax } from '../channels/render-whatsapp.ts';
import { parseWhatsAppTemplate } from '../channels/whatsapp-template.ts';
import { type Channel, Platform } from '../generated/prisma/enums.ts';
import { type Content, fieldsOf } from './content.ts';
import { hasPlaceholders } from './liquid.ts';
import { payloadsOf } from './push-payload.ts';
import { countSmsSegments } from './sms-segments.ts';

/** What a client does with a field. */
export const warningEffects = {
  DROPPED: 'It is not shown or sent at all.',
  CUT: 'Not all of it is shown.',
  DEPENDS: 'It is shown by some clients, sent by some providers, or needs the app to do something for it.',
  SPLIT: 'It goes out as several messages, each of which is paid for.',
  FAILS: 'It cannot be sent: the delivery would end as RENDER_FAILED.',
} as const;
export type WarningEffect = keyof typeof warningEffects;

/** What becomes of a field by a channel (rule M3). */
export interface Warning {
  channel: Channel;
  /** PUSH only. */
  platform: Platform | null;
  /** Of the content; `payload`: all of it together. */
  field: Field | 'payload';
  effect: WarningEffect;
  /** Why, as a sentence. */
  message: string;
}

type Field = keyof MessageContent;

/** What one client does to one field, where it does anything. */
interface Rule extends Warning {
  /** Whether it is so for this content, of which the field is there. @default always */
  applies?(content: MessageContent): boolean;
}

// product.md, "Limits to enforce".
const titleCharactersMax = 45;
const textCharactersMax = 4_000;
/** A subject line is one line: RFC 5322, 2.1.1; `renderEmail` cuts it. */
const subjectCharactersMax = 255;
/** Twilio, error 21617: of `Body`, of an SMS and of a WhatsApp. */
const twilioCharactersMax = 1_600;

/** Characters of what is the same for everybody: what placeholders make longer, a preview shows. */
const isLonger = (text: string | null, max: number): boolean =>
  text !== null && !hasPlaceholders(text) && [...text].length > max;

/** One row for each platform. */
const onPlatforms = (platforms: readonly Platform[], rule: Omit<Rule, 'channel' | 'platform'>): Rule[] =>
  platforms.map((platform) => ({ channel: 'PUSH', platform, ...rule }));
const dropped = (channel: Channel, field: Field, message: string): Rule => ({
  channel,
  platform: null,
  field,
  effect: 'DROPPED',
  message,
});
const everyPlatform = Object.values(Platform);

/** Which client drops or cuts what. A client that is not here takes the field as it is. */
const rules: readonly Rule[] = [
  ...onPlatforms(everyPlatform, {
    field: 'title',
    effect: 'CUT',
    message: `Clients show about ${titleCharactersMax} characters of a title.`,
    applies: ({ title }) => isLonger(title, titleCharactersMax),
  }),
  ...onPlatforms(everyPlatform, {
    field: 'body',
    effect: 'CUT',
    message: `Clients show at most ${textCharactersMax} characters of a text.`,
    applies: ({ body }) => isLonger(body, textCharactersMax),
  }),
  // Notifications API (notifications.spec.whatwg.org): title, body, icon, image, badge, actions; no subtitle.
  ...onPlatforms(['WEB'], { field: 'subtitle', effect: 'DROPPED', message: 'A browser has no subtitle.' }),
  // FCM HTTP v1, AndroidNotification: there is no subtitle; an app shows it as sub-text if it makes the notification itself.
  ...onPlatforms(['ANDROID'], { field: 'subtitle', effect: 'DEPENDS', message: 'The app must show it itself.' }),
  // MDN, Notification.icon and .image, browser compatibility: Safari shows the icon of the site; image is Chromium's only.
  ...onPlatforms(['WEB'], { field: 'icon', effect: 'DEPENDS', message: 'Safari shows the icon of the site.' }),
  ...onPlatforms(['WEB'], { field: 'image', effect: 'DEPENDS', message: 'Firefox and Safari show no image.' }),
  // Apple: the icon is the app's. AndroidNotification.icon names a drawable of the app, no URL.
  ...onPlatforms(['IOS', 'ANDROID'], { field: 'icon', effect: 'DROPPED', message: "The icon is the app's own." }),
  // UNNotificationServiceExtension: downloads the image and attaches it; the payload has mutable-content.
  ...onPlatforms(['IOS'], {
    field: 'image',
    effect: 'DEPENDS',
    message: 'The app needs a notification service extension.',
  }),
  ...onPlatforms(['WEB'], {
    field: 'buttons',
    effect: 'DEPENDS',
    message: 'Firefox and Safari show no buttons.',
  }),
  // UNNotificationCategory: actions are registered by the app, and a banner shows two.
  ...onPlatforms(['IOS'], {
    field: 'buttons',
    effect: 'DEPENDS',
    message: 'The app must have registered them as a category; a banner shows two.',
  }),
  ...onPlatforms(['ANDROID'], { field: 'buttons', effect: 'DEPENDS', message: 'The app must show them itself.' }),
  ...everyPlatform.flatMap((platform) =>
    onPlatforms([platform], {
      field: 'buttons',
      effect: 'CUT',
      message: `The first ${buttonsMax[platform]} buttons are sent.`,
      applies: ({ buttons }) => buttons.length > toPushButtons(buttons, platform).length,
    }),
  ),
  ...everyPlatform.flatMap(payloadRules),
  {
    channel: 'EMAIL',
    platform: null,
    field: 'title',
    effect: 'CUT',
    message: `A subject has at most ${subjectCharactersMax} characters.`,
    applies: ({ title }) => isLonger(title, subjectCharactersMax),
  },
  dropped('EMAIL', 'subtitle', 'An e-mail has a title and a text.'),
  dropped('EMAIL', 'icon', 'An e-mail has no icon.'),
  dropped('EMAIL', 'data', 'Data travels with a push.'),
  {
    ...dropped('EMAIL', 'buttons', 'A button without a URL opens nothing.'),
    applies: ({ buttons }) => buttons.some(({ url }) => url === null),
  },
  dropped('SMS', 'subtitle', 'An SMS is a text.'),
  dropped('SMS', 'icon', 'An SMS is a text.'),
  dropped('SMS', 'image', 'An SMS is a text.'),
  dropped('SMS', 'buttons', 'An SMS is a text.'),
  dropped('SMS', 'data', 'Data travels with a push.'),
  {
    channel: 'SMS',
    platform: null,
    field: 'body',
    effect: 'SPLIT',
    message: 'It is longer than one SMS: 160 characters of GSM-7, else 70.',
    applies: (content) => !hasPlaceholders(renderSms(content)) && countSmsSegments(renderSms(content)).count > 1,
  },
  {
    channel: 'SMS',
    platform: null,
    field: 'body',
    effect: 'DEPENDS',
    message: `Twilio takes at most ${twilioCharactersMax} characters, title and URL included.`,
    applies: (content) => isLonger(renderSms(content), twilioCharactersMax),
  },
  // `renderWhatsApp`: a template says what Meta has approved, with the values that it is given; anything else is a text.
  ...(['title', 'body', 'url'] as const).map((field) => ({
    ...dropped('WHATSAPP', field, 'The template that the data names is sent instead.'),
    applies: namesTemplate,
  })),
  dropped('WHATSAPP', 'subtitle', 'A WhatsApp is a text, or a template.'),
  dropped('WHATSAPP', 'icon', 'A WhatsApp is a text, or a template.'),
  dropped('WHATSAPP', 'image', 'A WhatsApp is a text, or a template.'),
  dropped('WHATSAPP', 'buttons', 'A WhatsApp is a text, or a template, which has its own.'),
  {
    ...dropped('WHATSAPP', 'data', 'Data travels with a push: of a WhatsApp it names the template, by `whatsApp`.'),
    applies: ({ data }) => Object.keys(data ?? {}).some((key) => key !== 'whatsApp'),
  },
  {
    channel: 'WHATSAPP',
    platform: null,
    field: 'data',
    effect: 'FAILS',
    message: 'Its `whatsApp` is no template: each parameter has 1 to 1,024 characters.',
    applies: (content) => renderWhatsApp(content) === 'TEMPLATE_UNREADABLE',
  },
  {
    channel: 'WHATSAPP',
    platform: null,
    field: 'body',
    effect: 'FAILS',
    message: `A WhatsApp has at most ${whatsAppCharactersMax} characters, title and URL included.`,
    applies: (content) => isLongerWhatsApp(content, whatsAppCharactersMax),
  },
  {
    channel: 'WHATSAPP',
    platform: null,
    field: 'body',
    effect: 'DEPENDS',
    message: `Twilio takes at most ${twilioCharactersMax} characters, title and URL included.`,
    applies: (content) =>
      isLongerWhatsApp(content, twilioCharactersMax) && !isLongerWhatsApp(content, whatsAppCharactersMax),
  },
];

function namesTemplate({ data }: MessageContent): boolean {
  return parseWhatsAppTemplate(data) !== null;
}

function isLongerWhatsApp(content: MessageContent, max: number): boolean {
  return !namesTemplate(content) && isLonger(renderSms(content), max);
}

/** Warnings that one message can have. */
export const warningsMax = rules.length;

/** It fails where it is too large for all providers of a platform; else it depends on whose address an installation has. */
function payloadRules(platform: Platform): Rule[] {
  const payloads = payloadsOf(platform);
  const bytesMax = Math.max(...payloads.map((payload) => payload.bytesMax));
  const isForAll = (content: MessageContent) => payloads.every((payload) => payload.isTooLarge(content, platform));
  return [
    ...onPlatforms([platform], {
      field: 'payload',
      effect: 'FAILS',
      message: `A push has at most ${bytesMax} bytes.`,
      applies: isForAll,
    }),
    ...payloads.flatMap(({ provider, bytesMax: itsMax, isTooLarge }) =>
      onPlatforms([platform], {
        field: 'payload',
        effect: 'DEPENDS',
        message: `By ${provider} a push has at most ${itsMax} bytes.`,
        applies: (content) => isTooLarge(content, platform) && !isForAll(content),
      }),
    ),
  ];
}

/** Whom a message may go to. */
export interface Outlets {
  /** Empty: any. */
  channels: readonly Channel[];
  /** Of pushes; null: any. */
  platform?: Platform | null | undefined;
}

/** What clients drop or cut of one message. Pure. */
export function findWarnings(content: MessageContent, { channels, platform = null }: Outlets): Warning[] {
  return rules
    .filter((rule) => channels.length === 0 || channels.includes(rule.channel))
    .filter((rule) => platform === null || rule.platform === null || rule.platform === platform)
    .filter((rule) => rule.field === 'payload' || isThere(content[rule.field]))
    .filter((rule) => rule.applies?.(content) ?? true)
    .map(({ applies: _, ...warning }) => warning);
}

function isThere(value: MessageContent[Field]): boolean {
  return value !== null && (!Array.isArray(value) || value.length > 0);
}

/** What clients drop or cut of what is said to anybody, each warning once. Pure. */
export function findContentWarnings(content: Content, outlets: Outlets): Warning[] {
  const found = [null, ...content.variations.keys()].flatMap((variation) =>
    findWarnings(fieldsOf(content, variation), outlets),
  );
  return [...new Map(found.map((warning) => [Object.values(warning).join(), warning])).values()];
}
