import { toPushButtons } from './buttons.ts';
import type { Message } from './channel.ts';
import { type ApsDictionary, renderAps, toApnsHeaders } from './render-aps.ts';

/** An FCM message, as far as we use it (https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages). */
export interface FcmMessage {
  token: string;
  notification: { title?: string; body: string; image?: string };
  /** Texts only. */
  data: Record<string, string>;
  android?: { ttl: string; priority: 'HIGH'; notification: { tag: string } };
  apns?: {
    headers: Record<string, string>;
    payload: { aps: ApsDictionary };
    fcm_options?: { image: string };
  };
  webpush?: {
    headers: Record<string, string>;
    notification: { tag: string; icon?: string };
    fcm_options?: { link: string };
  };
}

/** Seconds that FCM keeps a message at most: four weeks. */
const ttlSecondsMax = 2_419_200;

/**
 * The message for an app's FCM client. Pure. The delivery's id is the tag, so that a repeat after a crash replaces what the
 * first attempt has shown; it is not the collapse key, of which FCM keeps four a device.
 */
export function renderFcm(message: Message): FcmMessage {
  const { address, content, platform } = message;
  if (address.kind !== 'fcm') throw new TypeError('FCM sends to registration tokens.');
  const { title, body, image } = content;
  return {
    token: address.token,
    notification: { ...(title !== null && { title }), body, ...(image !== null && { image }) },
    data: toData(message),
    ...forms[platform ?? 'ANDROID'](
      message,
      Math.max(0, Math.floor((message.expiresAt.getTime() - Date.now()) / 1_000)),
    ),
  };
}

type Form = (message: Message, secondsLeft: number) => Partial<FcmMessage>;

const forms: Record<NonNullable<Message['platform']>, Form> = {
  ANDROID: ({ deliveryId }, secondsLeft) => ({
    android: {
      ttl: `${Math.min(secondsLeft, ttlSecondsMax)}s`,
      priority: 'HIGH',
      notification: { tag: deliveryId },
    },
  }),
  IOS: (message) => ({
    apns: {
      headers: toApnsHeaders(message),
      payload: { aps: renderAps(message.content) },
      ...(message.content.image !== null && { fcm_options: { image: message.content.image } }),
    },
  }),
  WEB: ({ deliveryId, content: { icon, url } }, secondsLeft) => ({
    webpush: {
      headers: { TTL: String(Math.min(secondsLeft, ttlSecondsMax)), Urgency: 'high' },
      notification: { tag: deliveryId, ...(icon !== null && { icon }) },
      // "For all URL values, HTTPS is required."
      ...(url?.startsWith('https://') && { fcm_options: { link: url } }),
    },
  }),
};

/**
 * What travels beside the notification: our ids, what FCM's notification has no field for, and the caller's data by its own
 * keys, values that are no texts as JSON. A key that FCM keeps for itself, or that is one of ours, has `data.` before it.
 */
function toData({ deliveryId, notificationId, receiptToken, content, platform }: Message): Record<string, string> {
  const { subtitle, icon, url, data } = content;
  const buttons = toPushButtons(content.buttons, platform);
  const own = {
    deliveryId,
    notificationId,
    receiptToken,
    ...(subtitle !== null && { subtitle }),
    ...(icon !== null && { icon }),
    ...(url !== null && { url }),
    // A list of `{ label, url, action }`, as JSON.
    ...(buttons.length > 0 && { buttons: JSON.stringify(buttons) }),
  };
  const given = Object.entries(data ?? {}).map(([key, value]): [string, string] => [
    isReserved(key) || Object.hasOwn(own, key) ? `data.${key}` : key,
    typeof value === 'string' ? value : JSON.stringify(value),
  ]);
  return { ...Object.fromEntries(given), ...own };
}

/** "The key should not be a reserved word (from, message_type, or any word starting with google or gcm)." */
function isReserved(key: string): boolean {
  return key === 'from' || key === 'message_type' || /^(google|gcm)/.test(key);
}
