import type { MessageContent } from './channel.ts';
import { renderSms } from './render-sms.ts';
import { parseWhatsAppTemplate, type WhatsAppTemplate } from './whatsapp-template.ts';

/** Meta's text object (Cloud API, "Text messages"), and so Infobip's `content.text`; Twilio takes fewer. @default 4_096 // characters */
export const whatsAppCharactersMax = 4_096;

/** Why nothing can be sent: the template that is named cannot be read, or the text is longer than WhatsApp takes. */
type WhatsAppFailure = 'TEMPLATE_UNREADABLE' | 'TEXT_TOO_LONG';

/**
 * What goes out as WhatsApp: the template that the content's data names, and nothing else of the content then; else a text, as an
 * SMS has it. Pure.
 */
export function renderWhatsApp(content: MessageContent): { text: string } | WhatsAppTemplate | WhatsAppFailure {
  const template = parseWhatsAppTemplate(content.data);
  if (template === undefined) return 'TEMPLATE_UNREADABLE';
  if (template !== null) return template;
  const text = renderSms(content);
  return [...text].length > whatsAppCharactersMax ? 'TEXT_TOO_LONG' : { text };
}
