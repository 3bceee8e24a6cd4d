import type { MessageContent } from '../channels/channel.ts';
import { parseWhatsAppTemplate } from '../channels/whatsapp-template.ts';
import { DomainError } from '../errors.ts';
import { isHttpUrl } from '../users/user-attributes.ts';
import { contentSchema } from './content.ts';

/** What a caller wants said. */
export interface ContentInput {
  title?: string | null | undefined;
  body: string;
  subtitle?: string | null | undefined;
  icon?: string | null | undefined;
  image?: string | null | undefined;
  url?: string | null | undefined;
  data?: Record<string, unknown> | null | undefined;
}

/** The content as JSON. @default 65_536 // bytes */
const contentBytesMax = 65_536;
/** @throws DomainError `VALUE_INVALID`, `LIMIT_EXCEEDED` */
export function parseContent(input: ContentInput): MessageContent {
  const { title, body, subtitle, icon, image, url, data } = input;
  if (body.trim() === '')
    throw new DomainError('VALUE_INVALID', 'There is nothing to say: the body is empty.', ['content', 'body']);
  for (const [name, value] of Object.entries({ icon, image, url })) {
    if (typeof value === 'string' && !isHttpUrl(value)) {
      throw new DomainError('VALUE_INVALID', 'Not an http or https URL.', ['content', name]);
    }
  }
  if (parseWhatsAppTemplate(data ?? null) === undefined) {
    throw new DomainError('VALUE_INVALID', 'Not a WhatsApp template: { template, language, parameters }.', [
      'content',
      'data',
      'whatsApp',
    ]);
  }
  const content = contentSchema.parse({
    title: title ?? null,
    body,
    subtitle: subtitle ?? null,
    icon: icon ?? null,
    image: image ?? null,
    url: url ?? null,
    data: data ?? null,
  });
  if (Buffer.byteLength(JSON.stringify(content)) > contentBytesMax) {
    throw new DomainError('LIMIT_EXCEEDED', `The content has more than ${contentBytesMax} bytes.`, ['content']);
  }
  return content;
}
