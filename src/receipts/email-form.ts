import { z } from 'zod';
import { idSchema } from '../ids.ts';
import { readMessageId } from './message-id.ts';
import type { Complaint, ProviderReceipt, Told } from './told.ts';
import { toMoment, toProviderCode, UnreadableReceiptError } from './told.ts';

/** Receipts in one call. @default 1_000 */
const receiptsMax = 1_000;

const receiptSchema = z.object({
  /** Which message: our id of the delivery … */
  delivery: idSchema.optional(),
  /** … or the mail's Message-ID, as it was sent. */
  messageId: z.string().max(998).optional(),
  status: z.enum(['DELIVERED', 'OPENED', 'CLICKED', 'BOUNCED', 'COMPLAINED']),
  /** RFC 3463, of BOUNCED: `5.1.1`. */
  code: z
    .string()
    .regex(/^[245]\.\d{1,3}\.\d{1,3}$/)
    .optional(),
  at: z.iso.datetime({ offset: true }).optional(),
});

const bodySchema = z.object({ receipts: z.array(receiptSchema).max(receiptsMax) });

/**
 * The JSON form of receipts for e-mail:
 *
 * ```json
 * { "receipts": [{ "delivery": "<uuid>", "status": "BOUNCED", "code": "5.1.1", "at": "2026-11-22T15:04:05Z" }] }
 * ```
 *
 * `messageId`, the mail's Message-ID, may stand for `delivery`; `status` is DELIVERED, OPENED, CLICKED, BOUNCED or COMPLAINED
 * (the person has called it spam, which opts the address out); `code` says of BOUNCED whether for good. Of what names no
 * delivery of ours, nothing is recorded.
 *
 * @throws UnreadableReceiptError when it is not in this form.
 */
export function parseEmailForm(body: unknown): Told {
  const parsed = bodySchema.safeParse(body);
  if (!parsed.success) throw new UnreadableReceiptError('This is not a list of receipts for e-mail.');
  const receipts: ProviderReceipt[] = [];
  const complaints: Complaint[] = [];
  for (const { delivery, messageId, status, code, at } of parsed.data.receipts) {
    const deliveryId = delivery ?? readMessageId(messageId ?? '');
    if (deliveryId === null) continue;
    if (status === 'COMPLAINED') complaints.push({ deliveryId });
    else {
      const bounce =
        status === 'BOUNCED' ? classifyStatusCode(code ?? '4.0.0') : { reason: null, isAddressGone: false };
      const providerCode = code === undefined ? null : toProviderCode(code);
      receipts.push({
        about: { deliveryId },
        receipt: status,
        providerCode,
        at: toMoment(at),
        ...bounce,
      });
    }
  }
  return { receipts, messages: [], complaints };
}

/** That there is no such address, or nobody there any more (RFC 3463, sections 3.2 and 3.3; RFC 7505). */
const addressGoneCodes = new Set([
  '5.1.1', // bad destination mailbox address: nobody of that name
  '5.1.2', // bad destination system address: no such domain
  '5.1.3', // bad destination mailbox address syntax
  '5.1.6', // destination mailbox has moved, no forwarding address
  '5.1.10', // recipient address has null MX
  '5.2.1', // mailbox disabled, not accepting messages
]);

/**
 * What an enhanced status code (RFC 3463) of a mail that came back means: 5.x.x is a hard bounce, else it is a soft one. The
 * address is nobody's only where the code says so: what says no more than that the mail was refused, as 5.0.0 does, does not (it
 * stands for any reply without such a code: that of a policy, too).
 */
export function classifyStatusCode(code: string): Pick<ProviderReceipt, 'reason' | 'isAddressGone'> {
  if (!code.startsWith('5.')) return { reason: 'SOFT_BOUNCE', isAddressGone: false };
  return { reason: 'HARD_BOUNCE', isAddressGone: addressGoneCodes.has(code) };
}
