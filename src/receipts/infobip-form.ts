import { z } from 'zod';
import type { Receipt } from '../deliveries/delivery-state.ts';
import type { DeliveryReason } from '../generated/prisma/enums.ts';
import { isUuid } from '../ids.ts';
import { type ProviderReceipt, type Told, toMoment, toProviderCode, UnreadableReceiptError } from './told.ts';

// Infobip posts batches of 100 by default, 2,000 at most (Subscriptions API, `maxBucketSize`).
const resultsMax = 2_000;

const statusSchema = z.object({ groupName: z.string(), name: z.string() });
const errorSchema = z.object({ name: z.string(), permanent: z.boolean().optional() });

/**
 * One entry of `results`: a delivery report
 * (https://www.infobip.com/docs/api/channels/sms/sms-messaging/logs-and-status-reports/receive-outbound-sms-message-report,
 * and the same of WhatsApp), a report that a WhatsApp message was seen (`seenAt`), or a message that a person has written.
 */
const resultSchema = z.object({
  messageId: z.string().optional(),
  from: z.string().optional(),
  doneAt: z.string().optional(),
  seenAt: z.string().optional(),
  receivedAt: z.string().optional(),
  status: statusSchema.optional(),
  error: errorSchema.optional(),
  text: z.string().optional(),
  message: z.object({ text: z.string().optional() }).optional(),
});
type Result = z.infer<typeof resultSchema>;

const bodySchema = z.object({ results: z.array(resultSchema).max(resultsMax) });

/**
 * What Infobip tells in one call. Its message ids are the deliveries'.
 *
 * @throws UnreadableReceiptError when it is not Infobip's form.
 */
export function parseInfobipForm(body: unknown): Told {
  const parsed = bodySchema.safeParse(body);
  if (!parsed.success) throw new UnreadableReceiptError('This is not a report of Infobip.');
  const { results } = parsed.data;
  return {
    receipts: results.flatMap(toReceipts),
    messages: results.flatMap(toMessages),
    complaints: [],
  };
}

function toMessages({ receivedAt, status, from, text, message }: Result) {
  const said = text ?? message?.text;
  return receivedAt !== undefined && !status && from !== undefined && said !== undefined
    ? [{ phone: from, text: said }]
    : [];
}

function toReceipts({ messageId, doneAt, seenAt, status, error }: Result): ProviderReceipt[] {
  if (messageId === undefined || !isUuid(messageId)) return [];
  const about = { deliveryId: messageId };
  if (seenAt !== undefined) {
    const seen = { receipt: 'OPENED', reason: null, providerCode: null } as const;
    return [{ about, ...seen, at: toMoment(seenAt), isAddressGone: false }];
  }
  const meaning = status && classifyInfobipReport(status, error);
  if (!status || !meaning) return [];
  const word = error && error.name !== 'NO_ERROR' ? error.name : status.name;
  return [
    {
      about,
      ...meaning,
      providerCode: toProviderCode(word),
      at: toMoment(doneAt),
      isAddressGone: error !== undefined && unknownNumbers.has(error.name),
    },
  ];
}

/**
 * Errors that say that there is no such number
 * (https://www.infobip.com/docs/essentials/api-essentials/response-status-and-error-codes, "General error codes"). One of
 * EC_ILLEGAL_SUBSCRIBER is there, and is barred by its operator.
 */
const unknownNumbers = new Set(['EC_UNKNOWN_SUBSCRIBER']);

/**
 * What a report means (the same page, "General status codes"). Null: nothing new, such as PENDING, or DELIVERED to the
 * operator, which is on no handset yet.
 *
 * | Group | Outcome |
 * |---|---|
 * | PENDING, DELIVERED_TO_OPERATOR | nothing |
 * | DELIVERED | DELIVERED |
 * | UNDELIVERABLE, permanent error | BOUNCED, HARD_BOUNCE |
 * | UNDELIVERABLE | BOUNCED, SOFT_BOUNCE |
 * | EXPIRED | BOUNCED, SOFT_BOUNCE: the phone was not reached in the message's time |
 * | REJECTED | FAILED, PROVIDER_REJECTED |
 */
function classifyInfobipReport(
  { groupName, name }: z.infer<typeof statusSchema>,
  error?: z.infer<typeof errorSchema>,
): { receipt: Receipt; reason: DeliveryReason | null } | null {
  switch (groupName) {
    case 'DELIVERED':
      return name === 'DELIVERED_TO_OPERATOR' ? null : { receipt: 'DELIVERED', reason: null };
    case 'UNDELIVERABLE':
      return { receipt: 'BOUNCED', reason: error?.permanent ? 'HARD_BOUNCE' : 'SOFT_BOUNCE' };
    case 'EXPIRED':
      return { receipt: 'BOUNCED', reason: 'SOFT_BOUNCE' };
    case 'REJECTED':
      return { receipt: 'FAILED', reason: 'PROVIDER_REJECTED' };
    default:
      return null;
  }
}
