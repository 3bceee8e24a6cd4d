import type { Receipt } from '../deliveries/delivery-state.ts';
import type { DeliveryReason } from '../generated/prisma/enums.ts';
import { isUuid } from '../ids.ts';
import { type ProviderReceipt, type Told, toldNothing, UnreadableReceiptError } from './told.ts';

/** `SM` or `MM` and 32 hexadecimal digits. */
const messageSid = /^[SM]M[0-9a-f]{32}$/i;

/**
 * What Twilio has understood by the keywords of its Advanced Opt-Out, which are the account's own, in any language
 * (https://www.twilio.com/docs/messaging/tutorials/advanced-opt-out). Null: it says nothing of wanting more.
 */
const optOutTypes = new Map([
  ['STOP', false],
  ['START', true],
  ['HELP', null],
]);

/**
 * What Twilio tells in one call: the status of a message
 * (https://www.twilio.com/docs/messaging/guides/track-outbound-message-status), or a message that a person has written
 * (https://www.twilio.com/docs/messaging/guides/webhook-request).
 *
 * @param deliveryId from the callback's own address, `?delivery=<id>`: it may come before Twilio's id of the message is kept.
 * @throws UnreadableReceiptError when it is not Twilio's form.
 */
export function parseTwilioForm(form: URLSearchParams, deliveryId: string | null): Told {
  const sid = form.get('MessageSid') ?? form.get('SmsSid') ?? '';
  if (!messageSid.test(sid)) throw new UnreadableReceiptError('This is not a callback of Twilio.');
  const status = form.get('MessageStatus') ?? form.get('SmsStatus') ?? '';
  if (status === 'received') {
    // A number of WhatsApp is written `whatsapp:+38516419710`.
    const phone = (form.get('From') ?? '').replace(/^whatsapp:/, '');
    return {
      ...toldNothing,
      messages: [{ phone, text: form.get('Body') ?? '', wantsMore: optOutTypes.get(form.get('OptOutType') ?? '') }],
    };
  }
  const errorCode = /^\d{1,6}$/.exec(form.get('ErrorCode') ?? '')?.[0] ?? null;
  const meaning = classifyTwilioStatus(status, errorCode);
  if (!meaning) return toldNothing;
  const about = deliveryId !== null && isUuid(deliveryId) ? { deliveryId } : { providerMessageId: sid };
  const receipt: ProviderReceipt = { about, ...meaning, providerCode: errorCode ?? status, at: null };
  return { ...toldNothing, receipts: [receipt] };
}

type Meaning = Pick<ProviderReceipt, 'receipt' | 'reason' | 'isAddressGone'>;

const bounced = (reason: DeliveryReason, isAddressGone = false): Meaning => ({
  receipt: 'BOUNCED',
  reason,
  isAddressGone,
});

/** Error codes that say more than the status does (https://www.twilio.com/docs/api/errors). */
const byErrorCode = new Map<string, Meaning>([
  ['21211', bounced('HARD_BOUNCE', true)], // invalid "To" number
  ['21614', bounced('HARD_BOUNCE', true)], // "To" is no mobile number
  ['21635', bounced('HARD_BOUNCE')], // "To" is a landline
  ['30003', bounced('SOFT_BOUNCE')], // unreachable handset: switched off, or without service
  ['30005', bounced('HARD_BOUNCE', true)], // unknown destination handset
  ['30006', bounced('HARD_BOUNCE')], // landline, or unreachable carrier
  ['63003', bounced('HARD_BOUNCE')], // WhatsApp: "To" is inactive or invalid
  ['63024', bounced('HARD_BOUNCE')], // WhatsApp: invalid message recipient
]);

const states = new Map<string, Receipt>([
  ['delivered', 'DELIVERED'],
  ['read', 'OPENED'], // WhatsApp
]);

/**
 * What a status means. Null: nothing new, such as `queued` and `sent`.
 *
 * | Status | Outcome |
 * |---|---|
 * | delivered | DELIVERED |
 * | read | OPENED |
 * | undelivered, failed | by the error code above; else FAILED, PROVIDER_REJECTED |
 */
function classifyTwilioStatus(status: string, errorCode: string | null): Meaning | null {
  if (status === 'undelivered' || status === 'failed') {
    const known = errorCode === null ? undefined : byErrorCode.get(errorCode);
    return known ?? { receipt: 'FAILED', reason: 'PROVIDER_REJECTED', isAddressGone: false };
  }
  const receipt = states.get(status);
  return receipt ? { receipt, reason: null, isAddressGone: false } : null;
}
