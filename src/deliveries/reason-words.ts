import type { DeliveryReason } from '../generated/prisma/enums.ts';

/** Why a delivery ended as it did, in a sentence. */
export const reasonWords: Record<DeliveryReason, string> = {
  UNKNOWN_USER: 'The target named a user that nobody knows.',
  NO_ADDRESS: 'The user has no address for the channel.',
  OPTED_OUT: 'The person has opted out at this address.',
  TOPIC_OPTED_OUT: 'The person wants nothing of this topic by this channel.',
  PUSH_DISABLED: 'Push is switched off for the installation.',
  PERMISSION_ASK: 'The person was not asked for permission yet.',
  PERMISSION_BLOCKED: 'The person refused permission.',
  NOT_PRIMARY: 'Only primary devices were meant, and this is none.',
  DEPERSONALIZED: "The address is not the person's any more.",
  ADDRESS_GONE: 'The address is no longer in use.',
  PROVIDER_REJECTED: 'The provider refused the message for good.',
  PROVIDER_UNAVAILABLE: 'The provider could not be reached in all attempts.',
  HARD_BOUNCE: 'The address accepts no messages, for good.',
  SOFT_BOUNCE: 'The address accepted no message for now; it may later.',
  TTL_PASSED: 'Its time to live passed.',
  CALLER_CANCELLED: 'The sender called it off.',
  RENDER_FAILED: 'The message could not be made, such as one too large for a push.',
  ERASED: 'The user was erased.',
  FREQUENCY_CAPPED: 'The person had got as many as may be sent in that time.',
  CHANNEL_NOT_CONFIGURED: 'No provider is configured for such an address.',
};
