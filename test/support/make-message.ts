import type { Message, MessageContent } from '../../src/channels/channel.ts';
import { newId } from '../../src/ids.ts';

/** A message to `address` that says "Hello", with whatever else is given. It expires in an hour. */
export function makeMessage({
  content,
  ...given
}: Pick<Message, 'channel' | 'address'> &
  Partial<Omit<Message, 'content'>> & { content?: Partial<MessageContent> }): Message {
  return {
    deliveryId: newId(),
    notificationId: newId(),
    platform: null,
    bodyLinks: new Map(),
    unsubscribeUrl: null,
    openUrl: null,
    receiptToken: 'receipt-token',
    expiresAt: new Date(Date.now() + 3_600_000),
    attempt: 1,
    ...given,
    content: {
      title: null,
      body: 'Hello',
      subtitle: null,
      icon: null,
      image: null,
      url: null,
      buttons: [],
      data: null,
      ...content,
    },
  };
}
