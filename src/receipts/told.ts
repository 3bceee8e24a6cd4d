import type { Receipt } from '../deliveries/delivery-state.ts';
import type { DeliveryReason } from '../generated/prisma/enums.ts';

/** Whom a receipt may come from: the last part of `/receipts/<channel>`. */
export const receiptChannels = ['sms', 'whatsapp', 'email'] as const;
export type ReceiptChannel = (typeof receiptChannels)[number];

/** What a provider tells of one message. */
export interface ProviderReceipt {
  /** The delivery, by our id or by what the provider calls it. */
  about: { deliveryId: string } | { providerMessageId: string };
  receipt: Receipt;
  /** Why, of FAILED and BOUNCED. */
  reason: DeliveryReason | null;
  /** The provider's own word for it; never an address, nor text that could hold one. */
  providerCode: string | null;
  /** When it happened; null: now. */
  at: Date | null;
  /** Whether it says that the address is nobody's. */
  isAddressGone: boolean;
}

/** What a person has written to us. */
export interface InboundMessage {
  /** The person's number, as the provider writes it. */
  phone: string;
  text: string;
  /**
   * What the provider has understood it to say of wanting more, as `decideConsent` does: null: nothing. Absent: it does not tell,
   * and the text says it.
   */
  wantsMore?: boolean | null | undefined;
}

/** A person who has called a message spam. */
export interface Complaint {
  deliveryId: string;
}

/** What one call of a provider tells. */
export interface Told {
  receipts: readonly ProviderReceipt[];
  messages: readonly InboundMessage[];
  complaints: readonly Complaint[];
}

export const toldNothing: Told = { receipts: [], messages: [], complaints: [] };

/** Throw when what was sent is in none of the documented forms. */
export class UnreadableReceiptError extends Error {
  override readonly name = 'UnreadableReceiptError';
}

/** A provider's word as it is kept: short, of one line, and nothing that could be an address. */
export function toProviderCode(text: string): string | null {
  return /^[A-Za-z0-9_.-]{1,64}$/.test(text) ? text : null;
}

/** A moment of a provider; null when it is none, or of a year that PostgreSQL cannot read as JavaScript writes it. */
export function toMoment(text: string | undefined): Date | null {
  const at = new Date(text ?? '');
  const year = at.getUTCFullYear();
  return year >= 1 && year <= 9999 ? at : null;
}
