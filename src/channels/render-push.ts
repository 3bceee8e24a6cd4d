import { toPushButtons } from './buttons.ts';
import type { Message } from './channel.ts';

/** What a push carries to the app or the page's push worker, as JSON; what was not said is absent. */
export interface PushPayload {
  title?: string;
  body: string;
  subtitle?: string;
  icon?: string;
  image?: string;
  url?: string;
  /** As many as clients of the platform show. `action` tells them apart; `url` is what one opens. */
  buttons?: { label: string; action: string; url?: string }[];
  data?: Record<string, unknown>;
  deliveryId: string;
  notificationId: string;
  /** Lets the receiver report DELIVERED, OPENED, CLICKED and DISMISSED without other credentials. */
  receiptToken: string;
}

/** What a push says, and to which delivery it belongs. */
type PushMessage = Pick<Message, 'content' | 'platform' | 'deliveryId' | 'notificationId' | 'receiptToken'>;

/** The payload of a push. Pure. */
export function renderPush({ content, platform, ...ids }: PushMessage): PushPayload {
  const { title, body, subtitle, icon, image, url, data } = content;
  const buttons = toPushButtons(content.buttons, platform).map(({ url: opened, ...button }) => ({
    ...button,
    ...(opened !== null && { url: opened }),
  }));
  return {
    ...(title !== null && { title }),
    body,
    ...(subtitle !== null && { subtitle }),
    ...(icon !== null && { icon }),
    ...(image !== null && { image }),
    ...(url !== null && { url }),
    ...(buttons.length > 0 && { buttons }),
    ...(data !== null && { data }),
    deliveryId: ids.deliveryId,
    notificationId: ids.notificationId,
    receiptToken: ids.receiptToken,
  };
}
