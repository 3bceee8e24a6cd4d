import type { DeliveryStatus } from '../generated/prisma/enums.ts';

/**
 * What may follow what. Receipts are decided by it; each statement that moves deliveries by itself names the state that it
 * moves them from, and its pair stands here.
 *
 * SENDING is a claim by one worker; it goes back to QUEUED when the send is to be tried again. SENT means that the
 * provider took the message over. A state without followers is an end.
 */
const followers: Record<DeliveryStatus, readonly DeliveryStatus[]> = {
  QUEUED: ['SENDING', 'SENT', 'DISCARDED', 'EXPIRED', 'CANCELLED'],
  SENDING: ['QUEUED', 'SENT', 'FAILED', 'BOUNCED', 'DISCARDED', 'EXPIRED', 'CANCELLED'],
  SENT: ['DELIVERED', 'OPENED', 'CLICKED', 'FAILED', 'BOUNCED'],
  DELIVERED: ['OPENED', 'CLICKED'],
  OPENED: ['CLICKED'],
  CLICKED: [],
  FAILED: [],
  BOUNCED: [],
  DISCARDED: [],
  EXPIRED: [],
  CANCELLED: [],
};

/** Whether a delivery may go from one state to another. */
export function mayFollow(from: DeliveryStatus, to: DeliveryStatus): boolean {
  return followers[from].includes(to);
}

/** What a receiver can tell about a delivery. DISMISSED is told, but is no state. */
export type ReceiverReceipt = 'DELIVERED' | 'OPENED' | 'CLICKED';

/** What a receiver or a provider can tell about a delivery. */
export type Receipt = ReceiverReceipt | 'FAILED' | 'BOUNCED';

/**
 * The states that a receipt moves a delivery through, in order; none when it tells nothing new or comes too late, so that
 * a repeated or late receipt never moves a delivery backwards. A receipt that overtakes the worker's own record proves
 * that the message was sent, so SENT comes first then.
 */
export function decideReceipt(
  current: { status: DeliveryStatus; attempts: number },
  receipt: Receipt,
): DeliveryStatus[] {
  const isUnderWay = mayFollow(current.status, 'SENT');
  if (isUnderWay) return current.attempts > 0 ? ['SENT', receipt] : [];
  return mayFollow(current.status, receipt) ? [receipt] : [];
}
