import type { Channel, MessageContent } from './channel.ts';
import { renderSms } from './render-sms.ts';
import { sendByTwilio, type TwilioOptions } from './twilio.ts';
import { parseWhatsAppTemplate } from './whatsapp-template.ts';

/**
 * WhatsApp by Twilio: the same request as an SMS, between addresses of the form `whatsapp:+385…`
 * (https://www.twilio.com/docs/whatsapp/api). A template is sent by its ContentSid. Free text to whom has not written within
 * 24 hours ends as PROVIDER_REJECTED, with code 63016.
 */
export function createTwilioWhatsAppChannel(options: TwilioOptions): Channel {
  const from = /^(MG|whatsapp:)/.test(options.from) ? options.from : `whatsapp:${options.from}`;
  return {
    name: 'twilio',
    async send({ address, content, deliveryId, expiresAt }, signal) {
      if (address.kind !== 'phone') throw new TypeError('Twilio WhatsApp sends to phone numbers.');
      const rendered = renderContent(content);
      if (!rendered) return { kind: 'rejected', reason: 'RENDER_FAILED', providerCode: 'TEMPLATE_UNREADABLE' };
      const message = { deliveryId, expiresAt, to: `whatsapp:${address.phone}`, from, content: rendered };
      return sendByTwilio(options, message, signal);
    },
    // Connections are fetch's own, which keeps them for seconds and lets the process end meanwhile.
    close: () => Promise.resolve(),
  };
}

function renderContent(content: MessageContent): Record<string, string> | null {
  const template = parseWhatsAppTemplate(content.data);
  if (template === undefined) return null;
  if (template === null) return { Body: renderSms(content) };
  const variables = Object.fromEntries(template.parameters.map((value, index) => [String(index + 1), value]));
  return { ContentSid: template.template, ContentVariables: JSON.stringify(variables) };
}
