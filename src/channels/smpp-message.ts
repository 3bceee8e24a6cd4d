import type { Pdu } from 'smpp';

/** A text that a person has sent us. */
export interface SmppMessage {
  /** As the SMSC writes it: international, with or without "+". */
  phone: string;
  text: string;
}

/** `esm_class`: which kind of message it is; 0: one that somebody has written (SMPP 3.4, section 5.2.12). */
export const kindMask = 0x3c;

/** `source_addr_ton` that can be an international number: unknown, and international (section 5.2.5). */
const internationalTons: ReadonlySet<unknown> = new Set([undefined, 0, 1]);

/** The text of a PDU, which is in `message_payload` where it is long; null: it is no text. Pure. */
export function textOf({ short_message, message_payload }: Pdu): string | null {
  const message = short_message?.message || message_payload?.message;
  return typeof message === 'string' ? message : null;
}

/** The message that a `deliver_sm` is; null: it is none, or not from a phone that can be told by its number alone. Pure. */
export function parseSmppMessage(pdu: Pdu): SmppMessage | null {
  const text = textOf(pdu);
  const isMessage = ((pdu.esm_class ?? 0) & kindMask) === 0 && internationalTons.has(pdu.source_addr_ton);
  return isMessage && text !== null && typeof pdu.source_addr === 'string' ? { phone: pdu.source_addr, text } : null;
}
