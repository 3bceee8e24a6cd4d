import type { MessageContent } from '../channels/channel.ts';
import { builder } from '../graphql/builder.ts';

export const ContentObject = builder.objectRef<MessageContent>('NotificationContent').implement({
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
    data: t.expose('data', { type: 'JSONObject', nullable: true, description: 'Travels with a push, untouched.' }),
  }),
});

export const ContentInput = builder.inputType('NotificationContentInput', {
  description: 'What is to be said. At most 64 KiB in all.',
  fields: (t) => ({
    title: t.string({ description: 'Title; the subject of an e-mail.' }),
    body: t.string({ required: true, description: 'Text.' }),
    subtitle: t.string({ description: 'Second line of a push, where the client shows one.' }),
    icon: t.string({ description: 'http or https URL of an icon.' }),
    image: t.string({ description: 'http or https URL of a picture.' }),
    url: t.string({ description: 'http or https URL that a click opens.' }),
    data: t.field({
      type: 'JSONObject',
      description:
        "Travels with a push, untouched. A WhatsApp is sent by the template that its `whatsApp` names, `{ template, language, parameters }`, else as text, which WhatsApp takes within 24 hours of the person's last message only.",
    }),
  }),
});
