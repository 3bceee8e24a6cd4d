import type { Channel } from '../generated/prisma/enums.ts';

/**
 * The channel of the recipients that a channel reaches: its own, but for WhatsApp, which goes to the phone of an SMS
 * recipient, with that one's opt-out and owner.
 */
export function recipientChannelOf(channel: Channel): Exclude<Channel, 'WHATSAPP'> {
  return channel === 'WHATSAPP' ? 'SMS' : channel;
}
