import type { Channel, Message } from './channel.ts';
import { below, postToProvider } from './http-exchange.ts';
import { classifyInfobip, type InfobipOptions, toInfobipHeaders } from './infobip-sms.ts';
import { renderWhatsApp } from './render-whatsapp.ts';

/**
 * WhatsApp by Infobip: `POST {base}/whatsapp/1/message/text`, or `…/template` for a template
 * (https://www.infobip.com/docs/api/channels/whatsapp/whatsapp-outbound-messages). The message's id is the delivery's. Infobip
 * does not say whether it refuses a repeat here, as it does for SMS. It knows of an ended session only after it has taken the message: free text to whom has not written within 24 hours comes
 * back in the delivery report, as EC_NO_SESSION.
 */
export function createInfobipWhatsAppChannel({ baseUrl, apiKey, from, timeoutMs = 10_000 }: InfobipOptions): Channel {
  const headers = toInfobipHeaders(apiKey);
  return {
    name: 'infobip',
    async send(message, signal) {
      const request = toRequest(message, from);
      if (typeof request === 'string') return { kind: 'rejected', reason: 'RENDER_FAILED', providerCode: request };
      const url = below(baseUrl, `whatsapp/1/message/${request.form}`);
      const body = JSON.stringify(request.body);
      return classifyInfobip(await postToProvider({ url, headers, body, signal, timeoutMs }));
    },
    // Connections are fetch's own, which keeps them for seconds and lets the process end meanwhile.
    close: () => Promise.resolve(),
  };
}

/** A text: why there is none. */
function toRequest({ address, content, deliveryId }: Message, sender: string) {
  if (address.kind !== 'phone') throw new TypeError('Infobip WhatsApp sends to phone numbers.');
  const rendered = renderWhatsApp(content);
  if (typeof rendered === 'string') return rendered;
  const base = { from: withoutPlus(sender), to: withoutPlus(address.phone), messageId: deliveryId };
  if ('text' in rendered) return { form: 'text', body: { ...base, content: rendered } };
  const templateData = { body: { placeholders: rendered.parameters } };
  const named = { templateName: rendered.template, templateData, language: rendered.language };
  return { form: 'template', body: { messages: [{ ...base, content: named }] } };
}

/** International format without "+", as in the documentation's examples. */
const withoutPlus = (phone: string) => phone.replace(/^\+/, '');
