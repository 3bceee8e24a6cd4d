import type { Message } from './channel.ts';

/** What a push carries to the app or the page's push worker, as JSON; what was not said is absent. */
export interface PushPayload {
  title?: string;
  body: string;
  subtitle?: string;
  icon?: string;
  image?: string;
  url?: string;
  data?: Record<string, unknown>;
  deliveryId: string;
  notificationId: string;
  /** Lets the receiver report DELIVERED, OPENED, CLICKED and DISMISSED without other credentials. */
  receiptToken: string;
}

/** The payload of a push. Pure. */
export function renderPush({ content, deliveryId, notificationId, receiptToken }: Message): PushPayload {
  const { title, body, subtitle, icon, image, url, data } = content;
  return {
    ...(title !== null && { title }),
    body,
    ...(subtitle !== null && { subtitle }),
    ...(icon !== null && { icon }),
    ...(image !== null && { image }),
    ...(url !== null && { url }),
    ...(data !== null && { data }),
    deliveryId,
    notificationId,
    receiptToken,
  };
}
