import type { Channel, DeliveryStatus } from '../../generated/prisma/enums.ts';

/** How it stands with the channel that is being tried. */
export interface Attempt {
  channel: Channel;
  /** Of its deliveries to the user that are waited for. */
  statuses: readonly DeliveryStatus[];
  /** Whether it has a time in which it is to be opened; else it is enough that a provider takes it over. */
  hasTime: boolean;
  /** Whether that time has passed. */
  isDue: boolean;
}

const opened: readonly DeliveryStatus[] = ['OPENED', 'CLICKED'];
const takenOver: readonly DeliveryStatus[] = ['SENT', 'DELIVERED', ...opened];
const alive: readonly DeliveryStatus[] = ['QUEUED', 'SENDING', ...takenOver];

/** Ends without success. */
export const failedStatuses: readonly DeliveryStatus[] = ['FAILED', 'BOUNCED', 'DISCARDED', 'EXPIRED', 'CANCELLED'];

/** Channels that nobody tells of when a message is opened: that it has arrived is all there is to know. */
const channelsWithoutOpening: readonly Channel[] = ['SMS'];

/**
 * Whether the next channel follows: when all deliveries by this one have ended without success, or none was opened in time. SETTLED:
 * none follows any more. WAIT: it is not known yet. Pure.
 */
export function decideFallback({ channel, statuses, hasTime, isDue }: Attempt): 'NEXT' | 'SETTLED' | 'WAIT' {
  const isAny = (those: readonly DeliveryStatus[]) => statuses.some((status) => those.includes(status));
  if (isAny(hasTime ? opened : takenOver)) return 'SETTLED';
  if (isDue && channelsWithoutOpening.includes(channel) && isAny(['DELIVERED'])) return 'SETTLED';
  return isDue || !isAny(alive) ? 'NEXT' : 'WAIT';
}

/** Statuses in which a delivery may settle something: what is not told of is looked at when its time has passed. */
export const tellingStatuses = (hasTime: boolean): DeliveryStatus[] => [
  ...(hasTime ? opened : takenOver),
  ...failedStatuses,
];
