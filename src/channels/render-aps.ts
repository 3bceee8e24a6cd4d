import type { Message, MessageContent } from './channel.ts';

/** What iOS shows (https://developer.apple.com/documentation/usernotifications/generating-a-remote-notification). */
export interface ApsDictionary {
  alert: { title?: string; subtitle?: string; body: string };
  sound: 'default';
  /** Lets the app's service extension add the image, and report the arrival, before the notification is shown. */
  'mutable-content': 1;
}

/** What an alert looks like on iOS. */
export function renderAps({ title, subtitle, body }: MessageContent): ApsDictionary {
  return {
    alert: { ...(title !== null && { title }), ...(subtitle !== null && { subtitle }), body },
    sound: 'default',
    'mutable-content': 1,
  };
}

/**
 * How APNs is to treat an alert (https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns).
 * What has expired is tried once (0). The delivery's id is the collapse id, so that a repeat replaces the first attempt.
 */
export function toApnsHeaders({ deliveryId, expiresAt }: Message): Record<string, string> {
  const isExpired = expiresAt.getTime() <= Date.now();
  return {
    'apns-push-type': 'alert',
    'apns-priority': '10',
    'apns-expiration': String(isExpired ? 0 : Math.floor(expiresAt.getTime() / 1_000)),
    'apns-collapse-id': deliveryId,
  };
}
