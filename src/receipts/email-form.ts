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

/** Permanent failures that say nothing of the address (RFC 3463, section 3). */
const notOfTheAddress = [
  /^5\.1\.[78]$/, // our sender
  /^5\.2\.[2-4]$/, // mailbox full, message too long, list
  /^5\.[34567]\./, // mail system, network, protocol, content, policy
];

/**
 * What an enhanced status code (RFC 3463) of a mail that came back means: 5.x.x is a hard bounce, else it is a soft one. The
 * address is nobody's when the code is about the address; a mailbox that is full, or a policy, is not.
 */
export function classifyStatusCode(code: string): Pick<ProviderReceipt, 'reason' | 'isAddressGone'> {
  if (!code.startsWith('5.')) return { reason: 'SOFT_BOUNCE', isAddressGone: false };
  return { reason: 'HARD_BOUNCE', isAddressGone: !notOfTheAddress.some((pattern) => pattern.test(code)) };
}
