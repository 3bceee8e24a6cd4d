import { z } from 'zod';
import type { Channel, Message, SendOutcome, Verdict } from './channel.ts';
import { below, type HttpResult, postToProvider } from './http-exchange.ts';
import { parseJson } from './parse-json.ts';
import { renderSms } from './render-sms.ts';
import { parseRetryAfter } from './retry-after.ts';

/** An account at Infobip. */
export interface InfobipOptions {
  /** The account's own: `https://xxxxx.api.infobip.com`. */
  baseUrl: string;
  apiKey: string;
  /** Sender ID: a number, or up to 11 letters and digits, as registered with the account. */
  from: string;
  /** One send, from resolving the host to the end of the reply. @default 10_000 // 10 seconds */
  timeoutMs?: number;
}

/** Infobip sets a longer validity to this: 48 hours. */
const validityMinutesMax = 2_880;

/**
 * SMS by Infobip's HTTP API: `POST {base}/sms/3/messages` with `Authorization: App <key>`
 * (https://www.infobip.com/docs/api/channels/sms/outbound-sms/send-sms-messages). The message's id is the delivery's, so
 * Infobip refuses a repeat of what it already took (REJECTED_DUPLICATE_MESSAGE_ID), and that counts as accepted.
 */
export function createInfobipSmsChannel({ baseUrl, apiKey, from, timeoutMs = 10_000 }: InfobipOptions): Channel {
  const url = below(baseUrl, 'sms/3/messages');
  const headers = toInfobipHeaders(apiKey);
  return {
    name: 'infobip',
    async send(message, signal) {
      const body = JSON.stringify(toInfobipRequest(message, from));
      return classifyInfobip(await postToProvider({ url, headers, body, signal, timeoutMs }));
    },
    // Connections are fetch's own, which keeps them for seconds and lets the process end meanwhile.
    close: () => Promise.resolve(),
  };
}

/** Headers of every request to Infobip. */
export function toInfobipHeaders(apiKey: string): Record<string, string> {
  return { authorization: `App ${apiKey}`, 'content-type': 'application/json', accept: 'application/json' };
}

/** The request's body. A validity under a minute cannot be said: a minute is the least. */
function toInfobipRequest({ address, content, deliveryId, expiresAt }: Message, from: string) {
  if (address.kind !== 'phone') throw new TypeError('Infobip SMS sends to phone numbers.');
  const minutesLeft = Math.floor((expiresAt.getTime() - Date.now()) / 60_000);
  return {
    messages: [
      {
        sender: from,
        // International format without "+", as in the documentation's examples.
        destinations: [{ to: address.phone.replace(/^\+/, ''), messageId: deliveryId }],
        content: { text: renderSms(content) },
        options: {
          validityPeriod: { amount: Math.min(Math.max(minutesLeft, 1), validityMinutesMax), timeUnit: 'MINUTES' },
        },
      },
    ],
  };
}

/** What came of a request about one message. */
export function classifyInfobip(result: HttpResult): SendOutcome {
  if (!result.isReply) return { kind: 'retry', providerCode: result.failureCode };
  const isAccepted = result.status >= 200 && result.status < 300;
  return isAccepted ? classifyInfobipReply(result.text) : classifyInfobipStatus(result.status, result.retryAfter);
}

const refused: Verdict = { kind: 'rejected', reason: 'PROVIDER_REJECTED' };
const hardBounce: Verdict = { kind: 'rejected', reason: 'HARD_BOUNCE' };
const unsendable: Verdict = { kind: 'rejected', reason: 'RENDER_FAILED' };
const gone: Verdict = { kind: 'gone' };
const retry: Verdict = { kind: 'retry' };
const channelDown: Verdict = { kind: 'channelDown' };

/** HTTP statuses of the request as a whole. What is not here: 5xx is `retry`, the rest `rejected`. */
const byHttpStatus = new Map<number, Verdict>([
  [401, channelDown], // the key is wrong
  [403, channelDown], // the key may not send SMS
  [404, channelDown], // not an Infobip base URL
  [405, channelDown],
  [301, channelDown],
  [302, channelDown],
  [307, channelDown],
  [308, channelDown],
  [408, retry],
  [429, { kind: 'retry', isThrottled: true }], // too many requests
]);

/** What an HTTP status other than 2xx means. `retryAfter` is the header's text. */
export function classifyInfobipStatus(status: number, retryAfter: string | null = null): SendOutcome {
  const verdict: Verdict = byHttpStatus.get(status) ?? (status >= 500 ? retry : refused);
  const providerCode = String(status);
  if (verdict.kind !== 'retry') return { ...verdict, providerCode };
  const retryAfterMs = parseRetryAfter(retryAfter);
  return { ...verdict, providerCode, ...(retryAfterMs !== undefined && { retryAfterMs }) };
}

/**
 * Statuses of a message that mean something else than their group does
 * (https://www.infobip.com/docs/essentials/api-essentials/response-status-and-error-codes, "General status codes"; newer:
 * https://www.infobip.com/docs/developer-resources/api-fundamentals/message-status-codes).
 */
const byStatusName = new Map<string, Verdict>([
  ['DELIVERED_TO_HANDSET', { kind: 'accepted', receipt: 'DELIVERED' }],
  ['REJECTED_DUPLICATE_MESSAGE_ID', { kind: 'accepted' }], // an earlier attempt of this delivery got through
  ['REJECTED_DESTINATION', gone], // no operator has such a number
  ['REJECTED_PREFIX_MISSING', hardBounce], // prefix or length unknown, by a table that is updated now and then
  ['REJECTED_MESSAGE_TOO_LONG', unsendable], // more than 25 parts or 4000 bytes
  ['REJECTED_INVALID_UDH', unsendable],
  ['MISSING_TO', unsendable],
  ['REJECTED_DND', { kind: 'rejected', reason: 'OPTED_OUT' }], // the person wants no such messages, and has told the operator
  ['REJECTED_ROUTE_NOT_AVAILABLE', channelDown], // our account has no route to any network
  ['REJECTED_NOT_ENOUGH_CREDITS', channelDown],
  ['REJECTED_PREPAID_PACKAGE_EXPIRED', channelDown],
  ['REJECTED_SOURCE', channelDown], // our sender ID is not registered
  ['REJECTED_SENDER', channelDown], // our sender ID is blocked
  ['REJECTED_FLOODING_FILTER', { kind: 'retry', isMessageOnly: true }], // too many to this number in an hour
  ['REJECTED_SYSTEM_ERROR', retry], // "retry the submission"
  ['UNDELIVERABLE_REJECTED_PLATFORM', retry], // "temporarily unavailable"
]);

/** Groups of statuses (the same page). */
const byStatusGroup = new Map<string, Verdict>([
  ['PENDING', { kind: 'accepted' }],
  ['DELIVERED', { kind: 'accepted' }], // to the operator: taken over, but on no handset yet
  ['UNDELIVERABLE', hardBounce],
  ['EXPIRED', refused],
  ['REJECTED', refused],
]);

const messageSchema = z.object({ status: z.object({ groupName: z.string(), name: z.string() }) });

/** One message in a list, or by itself as the reply to a WhatsApp text is. */
const replySchema = z.union([
  z.object({ messages: z.tuple([messageSchema], z.unknown()) }).transform(({ messages: [message] }) => message),
  messageSchema,
]);

/** What the reply to an accepted request says of its one message. What is not Infobip's form, or a group unknown, is `retry`. */
export function classifyInfobipReply(text: string): SendOutcome {
  const reply = replySchema.safeParse(parseJson(text));
  if (!reply.success) return { kind: 'retry', providerCode: 'REPLY_UNREADABLE' };
  const { groupName, name } = reply.data.status;
  const verdict = byStatusName.get(name) ?? byStatusGroup.get(groupName) ?? retry;
  return { ...verdict, providerCode: /^[A-Z0-9_]{1,64}$/.test(name) ? name : 'STATUS_UNKNOWN' };
}
