import type { Pdu } from 'smpp';
import { kindMask, textOf } from './smpp-message.ts';

/** What an SMSC tells of a message later. */
export interface SmppReceipt {
  /** As the answer to its `submit_sm` named it. */
  messageId: string;
  status: 'DELIVERED' | 'BOUNCED';
  /** The state, and the SMSC's own error code: `UNDELIV 034`. */
  providerCode: string;
}

/** `esm_class` of a delivery receipt (SMPP 3.4, section 5.2.12). */
const receiptKind = 0x04;

/** `message_id` (section 5.2.23): at most 64 characters before its NUL. Anything else is no id that could be stored. */
export const messageIdPattern = /^[!-~]{1,64}$/;

/** States by the text of a receipt (Appendix B). Those that are no end are not here. */
const byText: Readonly<Record<string, SmppReceipt['status']>> = {
  DELIVRD: 'DELIVERED',
  EXPIRED: 'BOUNCED',
  DELETED: 'BOUNCED',
  UNDELIV: 'BOUNCED',
  REJECTD: 'BOUNCED',
};

/** The texts of `message_state` (section 5.2.28). */
const stateTexts = new Map([
  [2, 'DELIVRD'],
  [3, 'EXPIRED'],
  [4, 'DELETED'],
  [5, 'UNDELIV'],
  [8, 'REJECTD'],
]);

/**
 * The receipt that a `deliver_sm` is: its parameters go before its text, `id:… sub:… dlvrd:… submit date:… done date:… stat:…
 * err:… text:…`. Null: it is none, or tells of no end. Pure.
 */
export function parseSmppReceipt(pdu: Pdu): SmppReceipt | null {
  if (((pdu.esm_class ?? 0) & kindMask) !== receiptKind) return null;
  const text = textOf(pdu) ?? '';
  const messageId = pdu.receipted_message_id ?? /\bid:(\S+)/.exec(text)?.[1];
  const state = stateTexts.get(pdu.message_state ?? 0) ?? /\bstat:([A-Z]{7})/.exec(text)?.[1];
  const status = state === undefined ? undefined : byText[state];
  if (messageId === undefined || !messageIdPattern.test(messageId)) return null;
  if (state === undefined || status === undefined) return null;
  const [, errorCode] = /\berr:(\w{1,8})/.exec(text) ?? [];
  return { messageId, status, providerCode: [state, errorCode].filter(Boolean).join(' ') };
}
