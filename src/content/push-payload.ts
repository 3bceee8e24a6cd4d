import { payloadBytesMax as apnsBytesMax } from '../channels/apns.ts';
import type { Message, MessageContent } from '../channels/channel.ts';
import { renderApns } from '../channels/render-apns.ts';
import { renderFcm } from '../channels/render-fcm.ts';
import { renderPush } from '../channels/render-push.ts';
import { payloadBytesMax as webPushBytesMax } from '../channels/web-push.ts';
import type { Platform } from '../generated/prisma/enums.ts';

/** As large as those of a delivery are. */
export const exampleIds = {
  deliveryId: '00000000-0000-7000-8000-000000000000',
  notificationId: '00000000-0000-7000-8000-000000000000',
  receiptToken: 'receipt-token'.padEnd(43, '-'),
};

/** What one provider of pushes takes. */
interface Payload {
  /** For a person. */
  provider: string;
  bytesMax: number;
  /** Whether what it is sent for this content is more than that. */
  isTooLarge(content: MessageContent, platform: Platform): boolean;
}

/** "About FCM messages": of a notification with its data. @default 4_096 // bytes */
const fcmBytesMax = 4_096;

/** A message of which only what it says, and to which platform, makes its payload longer or shorter. */
const toExample = (content: MessageContent, platform: Platform): Message => ({
  ...exampleIds,
  channel: 'PUSH',
  platform,
  address: { kind: 'fcm', token: '' },
  content,
  bodyLinks: new Map(),
  unsubscribeUrl: null,
  openUrl: null,
  expiresAt: new Date(0),
  attempt: 1,
});

const toPayload = (provider: string, bytesMax: number, render: (message: Message) => object): Payload => ({
  provider,
  bytesMax,
  isTooLarge: (content, platform) => Buffer.byteLength(JSON.stringify(render(toExample(content, platform)))) > bytesMax,
});

const byWebPush = toPayload('web push', webPushBytesMax, renderPush);
const byApns = toPayload('APNs', apnsBytesMax, renderApns);
const byFcm = toPayload('FCM', fcmBytesMax, (message) => {
  const { notification, data } = renderFcm(message);
  return { notification, data };
});

const byPlatform: Record<Platform, readonly Payload[]> = {
  WEB: [byWebPush, byFcm],
  IOS: [byApns, byFcm],
  ANDROID: [byFcm],
};

/** Of each provider of which an installation of the platform may have its address. */
export const payloadsOf = (platform: Platform): readonly Payload[] => byPlatform[platform];
