import type { Channel, MessageContent } from './channel.ts';
import { renderWhatsApp } from './render-whatsapp.ts';
import { isMessagingService, sendByTwilio, type TwilioOptions } from './twilio.ts';

/**
 * WhatsApp by Twilio: the same request as an SMS, between addresses of the form `whatsapp:+385…`
 * (https://www.twilio.com/docs/whatsapp/api). A template is sent by its ContentSid. Free text to whom has not written within
 * 24 hours ends as PROVIDER_REJECTED, with code 63016.
 */
export function createTwilioWhatsAppChannel(options: TwilioOptions): Channel {
  const isComplete = options.from.startsWith('whatsapp:') || isMessagingService(options.from);
  const from = isComplete ? options.from : `whatsapp:${options.from}`;
  return {
    name: 'twilio',
    async send({ address, content, deliveryId, expiresAt }, signal) {
      if (address.kind !== 'phone') throw new TypeError('Twilio WhatsApp sends to phone numbers.');
      const rendered = toParameters(content);
      if (typeof rendered === 'string') return { kind: 'rejected', reason: 'RENDER_FAILED', providerCode: rendered };
      const message = { deliveryId, expiresAt, to: `whatsapp:${address.phone}`, from, content: rendered };
      return sendByTwilio(options, message, signal);
    },
    // Connections are fetch's own, which keeps them for seconds and lets the process end meanwhile.
    close: () => Promise.resolve(),
  };
}

/** Of the request. A text: why there are none. */
function toParameters(content: MessageContent): Record<string, string> | string {
  const rendered = renderWhatsApp(content);
  if (typeof rendered === 'string') return rendered;
  if ('text' in rendered) return { Body: rendered.text };
  const variables = Object.fromEntries(rendered.parameters.map((value, index) => [String(index + 1), value]));
  return { ContentSid: rendered.template, ContentVariables: JSON.stringify(variables) };
}
