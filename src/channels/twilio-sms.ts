import type { Channel } from './channel.ts';
import { renderSms } from './render-sms.ts';
import { sendByTwilio, type TwilioOptions } from './twilio.ts';

/** SMS by Twilio. What a repeat means there, and what each answer does, stands in `twilio.ts`. */
export function createTwilioSmsChannel(options: TwilioOptions): Channel {
  return {
    name: 'twilio',
    async send({ address, content, deliveryId, expiresAt }, signal) {
      if (address.kind !== 'phone') throw new TypeError('Twilio SMS sends to phone numbers.');
      const { from } = options;
      const message = { deliveryId, expiresAt, to: address.phone, from, content: { Body: renderSms(content) } };
      return sendByTwilio(options, message, signal);
    },
    // Connections are fetch's own, which keeps them for seconds and lets the process end meanwhile.
    close: () => Promise.resolve(),
  };
}
