import type { MessageContent } from './channel.ts';

/** The text message that says `content`: title and body, then the link. Pure. */
export function renderSms(content: MessageContent): string {
  return [content.title, content.body, content.url].filter((part) => part !== null).join('\n');
}
