import type { AddressKind } from '../channels/channel.ts';
import type { AppChannelProvider, Channel } from '../generated/prisma/enums.ts';

/** A form of address of one channel: what one provider serves. */
export interface Route {
  channel: Channel;
  addressKind: AddressKind;
}

/** What each of an app's own credentials make: what it serves, and its `Channel.name`. */
export const appProviders: Record<AppChannelProvider, Route & { provider: string }> = {
  FCM: { channel: 'PUSH', addressKind: 'fcm', provider: 'fcm' },
  APNS: { channel: 'PUSH', addressKind: 'apns', provider: 'apns' },
  WEB_PUSH: { channel: 'PUSH', addressKind: 'webPush', provider: 'web-push' },
  SMTP: { channel: 'EMAIL', addressKind: 'email', provider: 'smtp' },
  INFOBIP: { channel: 'SMS', addressKind: 'phone', provider: 'infobip' },
  TWILIO: { channel: 'SMS', addressKind: 'phone', provider: 'twilio' },
  SMPP: { channel: 'SMS', addressKind: 'phone', provider: 'smpp' },
  INFOBIP_WHATSAPP: { channel: 'WHATSAPP', addressKind: 'phone', provider: 'infobip' },
  TWILIO_WHATSAPP: { channel: 'WHATSAPP', addressKind: 'phone', provider: 'twilio' },
};
