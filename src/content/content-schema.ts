import type { MessageButton, MessageContent } from '../channels/channel.ts';
import type { Segment } from '../generated/prisma/client.ts';
import { builder } from '../graphql/builder.ts';
import { parseId, toLocalId } from '../graphql/global-id.ts';
import { SegmentObject, segmentById } from '../segments/schema.ts';
import type { Content, Variation } from './content.ts';
import { installationNames, userNames } from './names.ts';
import { type ContentInput as ParsedInput, variationCountMax } from './parse-content.ts';
import type { SaidInput } from './settle-content.ts';
import type { TemplateReference } from './template.ts';

const ButtonObject = builder.objectRef<MessageButton>('NotificationButton').implement({
  description: 'A button under a message.',
  fields: (t) => ({
    label: t.exposeString('label', { description: 'What it says.' }),
    url: t.exposeString('url', { nullable: true, description: 'What it opens.' }),
    action: t.exposeString('action', { nullable: true, description: 'What the app calls it.' }),
  }),
});

const dataDescription =
  "Travels with a push. A WhatsApp is sent by the template that its `whatsApp` names, `{ template, language, parameters }`, else as text, which WhatsApp takes within 24 hours of the person's last message only.";

const VariationObject = builder.objectRef<Variation>('NotificationVariation').implement({
  description: 'What some are told instead. What is null is said as to everybody, or left out.',
  fields: (t) => ({
    language: t.exposeString('language', { nullable: true, description: 'In which language; null: in any.' }),
    segment: t.field({
      type: SegmentObject,
      nullable: true,
      description: 'For whom; null: for anybody, or the segment was deleted since.',
      resolve: ({ segment }, _, { loaders }): Promise<Segment | null> | null =>
        segment === null ? null : loaders.load(segmentById, segment),
    }),
    title: t.string({
      nullable: true,
      description: 'Title; the subject of an e-mail.',
      resolve: ({ fields }) => fields.title ?? null,
    }),
    body: t.string({ nullable: true, description: 'Text.', resolve: ({ fields }) => fields.body ?? null }),
    subtitle: t.string({
      nullable: true,
      description: 'Second line.',
      resolve: ({ fields }) => fields.subtitle ?? null,
    }),
    icon: t.string({ nullable: true, description: 'URL of an icon.', resolve: ({ fields }) => fields.icon ?? null }),
    image: t.string({
      nullable: true,
      description: 'URL of a picture.',
      resolve: ({ fields }) => fields.image ?? null,
    }),
    url: t.string({ nullable: true, description: 'What a click opens.', resolve: ({ fields }) => fields.url ?? null }),
    buttons: t.field({
      type: [ButtonObject],
      nullable: true,
      description: 'Buttons, all of them.',
      resolve: ({ fields }) => fields.buttons ?? null,
    }),
    data: t.field({
      type: 'JSONObject',
      nullable: true,
      description: dataDescription,
      resolve: ({ fields }) => fields.data ?? null,
    }),
  }),
});

/** Fields of what is said, with placeholders or without. */
export const ContentObject = builder
  .objectRef<MessageContent & Partial<Pick<Content, 'variations'>>>('NotificationContent')
  .implement({
    description: 'What a notification says.',
    fields: (t) => ({
      title: t.exposeString('title', { nullable: true, description: 'Title; the subject of an e-mail.' }),
      body: t.exposeString('body', { description: 'Text.' }),
      subtitle: t.exposeString('subtitle', {
        nullable: true,
        description: 'Second line of a push, where the client shows one.',
      }),
      icon: t.exposeString('icon', { nullable: true, description: 'URL of an icon.' }),
      image: t.exposeString('image', { nullable: true, description: 'URL of a picture.' }),
      url: t.exposeString('url', { nullable: true, description: 'What a click opens.' }),
      buttons: t.field({
        type: [ButtonObject],
        description: 'What can be clicked under it, in the order in which it is shown.',
        resolve: ({ buttons }) => [...buttons],
      }),
      data: t.expose('data', { type: 'JSONObject', nullable: true, description: dataDescription }),
      variations: t.field({
        type: [VariationObject],
        description: 'What some are told instead; of what was rendered, none.',
        extensions: { listSizeMax: variationCountMax },
        resolve: ({ variations }) => variations ?? [],
      }),
    }),
  });

const ButtonInput = builder.inputType('NotificationButtonInput', {
  description:
    'A button under a message. A browser shows two, Android three, iOS up to ten if the app has registered them; an e-mail shows those with a URL as links.',
  fields: (t) => ({
    label: t.string({ required: true, description: 'What it says. A button of which nothing is left is left out.' }),
    url: t.string({ description: 'http or https URL that it opens.' }),
    action: t.string({ description: 'What the app calls it. Default: by its place, `button-1`.' }),
  }),
});

const urlDescription = (what: string) => `http or https URL of ${what}. Left out if nothing is left of it.`;

const VariationInput = builder.inputType('NotificationVariationInput', {
  description:
    'What some are told instead: those who read a language, or are in a segment, or both. What is absent is said as to everybody; null leaves it out.',
  fields: (t) => ({
    language: t.string({
      description:
        'BCP 47. "de" is also for who reads "de-AT", unless a variation that fits is for "de-AT". The language is that of the address, else the one that the user prefers, else that of the installation.',
    }),
    segment: t.id({ description: 'Members of this segment when it is sent. Global id.' }),
    title: t.string({ description: 'Title; the subject of an e-mail.' }),
    body: t.string({ description: 'Text.' }),
    subtitle: t.string({ description: 'Second line of a push, where the client shows one.' }),
    icon: t.string({ description: urlDescription('an icon') }),
    image: t.string({ description: urlDescription('a picture') }),
    url: t.string({ description: urlDescription('what a click opens') }),
    buttons: t.field({ type: [ButtonInput], description: 'Buttons, all of them.' }),
    data: t.field({ type: 'JSONObject', description: dataDescription }),
  }),
});

/** Which names placeholders know, for people. */
const placeholders = [
  'Its texts, those of buttons and data too, may hold Liquid placeholders, filled in for whoever reads it when it is sent: `{{ user.firstName | default: "friend" }}`.',
  `\`user\` has ${userNames.join(', ')}; a custom attribute is \`user.customAttributes.plan\` or \`user.customAttributes["loyalty points"]\`, its number exact, its day as "2020-11-30".`,
  `\`installation\` (of a push) has ${installationNames.join(', ')}.`,
  "`data.x` is of the send's `data`, else of the content's; `event.x` a property of the send's event; `label.x` the value of a label.",
  'Another name, a tag or filter that reads templates, or a mistake is VALUE_INVALID; a text that takes too long or becomes too long whoever reads it, with the `data` and `event` of the send, is LIMIT_EXCEEDED. One that fails, takes too long or becomes too long for its reader, and a URL that comes out as no http or https URL, end that delivery as RENDER_FAILED, and no other.',
  'Texts are escaped where a channel needs it; put `url_encode` on what becomes a part of a URL.',
].join(' ');

export const ContentInput = builder.inputType('NotificationContentInput', {
  description: `What is to be said. At most 64 KiB in all, also when it is rendered. ${placeholders}`,
  fields: (t) => ({
    title: t.string({ description: 'Title; the subject of an e-mail. Left out if nothing is left of it.' }),
    body: t.string({ required: true, description: 'Text.' }),
    subtitle: t.string({ description: 'Second line of a push, where the client shows one.' }),
    icon: t.string({ description: urlDescription('an icon') }),
    image: t.string({ description: urlDescription('a picture') }),
    url: t.string({ description: urlDescription('what a click opens') }),
    buttons: t.field({ type: [ButtonInput], description: 'At most 10.' }),
    data: t.field({ type: 'JSONObject', description: dataDescription }),
    variations: t.field({
      type: [VariationInput],
      description: 'The first that fits is said instead. At most 100.',
    }),
  }),
});

/** Content with local ids. @throws DomainError `NOT_FOUND` at what is no id of a segment. */
export function toLocalContent(
  content: typeof ContentInput.$inferInput,
  path: readonly string[] = ['content'],
): ParsedInput {
  const { variations, ...said } = content;
  return {
    ...said,
    variations: variations?.map(({ segment, ...variation }, index) => ({
      ...variation,
      segment: parseId(segment, 'Segment', [...path, 'variations', String(index), 'segment']),
    })),
  };
}

/** A template as a caller names it: by global id, local id or name. */
export function toTemplateReference(text: string): TemplateReference {
  return { id: toLocalId(text, 'Template'), name: text };
}

/** What is to be said, with local ids. */
export function toLocalSaid({
  content,
  template,
}: {
  content?: typeof ContentInput.$inferInput | null | undefined;
  template?: string | null | undefined;
}): SaidInput {
  return {
    content: content && toLocalContent(content),
    ...(typeof template === 'string' && { template: toTemplateReference(template) }),
  };
}
