import { z } from 'zod';
import type { SendOutcome, Verdict } from './channel.ts';
import { below, type HttpResult, postToProvider } from './http-exchange.ts';
import { parseJson } from './parse-json.ts';
import { parseRetryAfter } from './retry-after.ts';

/** An account at Twilio, and one of its senders. */
export interface TwilioOptions {
  /** `AC` and 32 hexadecimal digits. */
  accountSid: string;
  authToken: string;
  /** A number (E.164), short code or alphanumeric sender of the account, or a Messaging Service (`MG…`). */
  from: string;
  /** @default https://api.twilio.com */
  baseUrl?: string | undefined;
  /** Where Twilio tells what became of a delivery: how its receipt says which one it is about. Absent: nowhere. */
  toStatusCallback?: (deliveryId: string) => string;
  /** One send, from resolving the host to the end of the reply. @default 10_000 // 10 seconds */
  timeoutMs?: number;
}

/** Whether a sender is a Messaging Service, by its SID. Other senders may begin so too: `MG Motor`. */
export const isMessagingService = (from: string): boolean => /^MG[0-9a-f]{32}$/i.test(from);

/** Twilio keeps a message in its queue for no longer: 10 hours (https://www.twilio.com/docs/api/errors/90007). */
const validitySecondsMax = 36_000;

/** What a message is, in the parameters of Twilio's Message resource. */
export interface TwilioMessage {
  deliveryId: string;
  expiresAt: Date;
  to: string;
  from: string;
  /** `Body`, or `ContentSid` and `ContentVariables`. */
  content: Record<string, string>;
}

/**
 * Creates a Message: `POST {base}/2010-04-01/Accounts/{sid}/Messages.json`
 * (https://www.twilio.com/docs/messaging/api/message-resource#create-a-message-resource).
 *
 * Twilio knows no key that makes a repeat harmless: whoever sends again what it took without an answer being heard (a timeout,
 * a reset, a worker that died) sends it twice. That is the bargain of every channel here, at least once, and elsewhere a key
 * makes the second one vanish; here the phone rings twice. Only what was certainly not taken is answered otherwise than by
 * `retry`.
 */
export async function sendByTwilio(
  options: TwilioOptions,
  message: TwilioMessage,
  signal: AbortSignal,
): Promise<SendOutcome> {
  const { accountSid, authToken, baseUrl = 'https://api.twilio.com', timeoutMs = 10_000, toStatusCallback } = options;
  const secondsLeft = Math.floor((message.expiresAt.getTime() - Date.now()) / 1_000);
  const form = new URLSearchParams({
    To: message.to,
    [isMessagingService(message.from) ? 'MessagingServiceSid' : 'From']: message.from,
    ValidityPeriod: String(Math.min(Math.max(secondsLeft, 1), validitySecondsMax)),
    ...message.content,
    ...(toStatusCallback && { StatusCallback: toStatusCallback(message.deliveryId) }),
  });
  const result = await postToProvider({
    url: below(baseUrl, `2010-04-01/Accounts/${encodeURIComponent(accountSid)}/Messages.json`),
    headers: {
      authorization: `Basic ${Buffer.from(`${accountSid}:${authToken}`).toString('base64')}`,
      'content-type': 'application/x-www-form-urlencoded',
      accept: 'application/json',
    },
    body: form.toString(),
    signal,
    timeoutMs,
  });
  return classifyTwilio(result, { isShortCode: /^\d{3,8}$/.test(message.from) });
}

const accepted: Verdict = { kind: 'accepted' };
const refused: Verdict = { kind: 'rejected', reason: 'PROVIDER_REJECTED' };
const optedOut: Verdict = { kind: 'rejected', reason: 'OPTED_OUT' };
const hardBounce: Verdict = { kind: 'rejected', reason: 'HARD_BOUNCE' };
const unsendable: Verdict = { kind: 'rejected', reason: 'RENDER_FAILED' };
const gone: Verdict = { kind: 'gone' };
const retry: Verdict = { kind: 'retry' };
const channelDown: Verdict = { kind: 'channelDown' };

/** More than the account, its sender or WhatsApp takes at a time. */
const throttled: Verdict = { kind: 'retry', isThrottled: true };

/** What is wrong with this number alone, for now. */
const notNow: Verdict = { kind: 'retry', isMessageOnly: true };

/**
 * Codes of an error, or of a message that failed at once: Twilio's Error and Warning Dictionary
 * (https://www.twilio.com/docs/api/errors, one page for each; all of them in …/errors/twilio-error-codes.json).
 */
const byErrorCode = new Map<number, Verdict>([
  [10001, channelDown], // the account is not active
  [14107, notNow], // too many between these two numbers within 30 seconds
  [20003, channelDown], // authentication
  [20005, channelDown], // the account is not active
  [20006, channelDown], // access denied
  [20404, channelDown], // there is no such account
  [20429, throttled], // too many requests
  [20500, retry],
  [20503, retry],
  [21211, gone], // "To" is no phone number
  [21212, channelDown], // "From" is none
  [21408, refused], // the account may not send to this country
  [21601, channelDown], // "From" is no number of the account that can send
  [21602, unsendable], // no body
  [21603, channelDown], // no "From"
  [21604, unsendable], // no "To"
  [21608, refused], // a trial account sends to verified numbers only
  [21610, optedOut], // the person has answered STOP to this sender
  [21611, throttled], // the sender's queue is full
  [21612, refused], // not from this sender to this number
  [21614, hardBounce], // "To" is no mobile number
  [21617, unsendable], // more than 1,600 characters
  [21619, unsendable], // neither body nor media
  [21635, hardBounce], // "To" is a landline
  [21655, unsendable], // ContentSid is none
  [21656, unsendable], // ContentVariables are none
  [21658, unsendable], // a parameter is too long
  [21660, channelDown], // "From" is another account's
  [21661, channelDown], // "From" cannot send
  [21701, channelDown], // there is no such Messaging Service
  [21702, channelDown], // the Messaging Service sends nothing new
  [21703, refused], // none of the Messaging Service's senders reaches this number, such as one of another country
  [21704, channelDown], // the Messaging Service has no sender
  [21705, channelDown], // the id is of no Messaging Service
  [21730, retry], // "system under maintenance"
  [30001, throttled], // the queue is full
  [30002, channelDown], // the account is suspended
  [30003, notNow], // the handset cannot be reached: switched off, or without signal
  [30004, refused], // blocked
  [30005, gone], // there is no such handset
  [30006, hardBounce], // a landline, or a carrier that cannot be reached
  [30007, refused], // filtered
  [30008, retry], // unknown
  [30010, refused], // dearer than MaxPrice
  [30034, refused], // to the United States from a number that is not registered
  [30036, refused], // its validity has passed
  [63001, channelDown], // the channel does not take the account's credentials
  [63002, channelDown], // the channel does not know "From"
  [63003, hardBounce], // the channel does not know "To"
  [63005, unsendable], // the channel does not take such content
  [63007, channelDown], // no channel has this "From"
  [63008, channelDown], // the channel is misconfigured
  [63009, retry], // the channel answers 5xx
  [63010, retry], // "internal Twilio error"
  [63012, retry], // the channel's own internal error
  [63013, refused], // against the channel's policy
  [63014, optedOut], // the person has blocked the sender
  [63016, refused], // free text outside of the 24 hours after the person's last message: send a template
  [63017, throttled], // too many
  [63018, throttled], // too many for the channel
  [63020, channelDown], // "Business Manager account error", which is WhatsApp's 402: payment
  [63021, unsendable], // the channel refuses the content
  [63024, hardBounce], // "To" is no recipient of the channel
  [63027, unsendable], // the template is not there in its language
  [63028, unsendable], // as many parameters as the template has not
  [63032, refused], // WhatsApp does not let it through to this person now
  [63038, retry], // the account's messages of the day are used up
  [63051, channelDown], // the WhatsApp account is locked
  [63112, channelDown], // the WhatsApp account is disabled
]);

/**
 * "From" is not the account's, or is a short code of another country than "To"
 * (https://www.twilio.com/docs/api/errors/21606, …/21659): the first is the operator's to mend, the second says nothing of other
 * numbers. Only a short code can mean the second.
 */
const senderCodes = new Set([21606, 21659]);

/** HTTP statuses without a code that is known. What is not here: 3xx is `channelDown`, 5xx `retry`, the rest `rejected`. */
const byHttpStatus = new Map<number, Verdict>([
  [401, channelDown],
  [403, channelDown],
  [404, channelDown], // no Twilio base URL
  [405, channelDown],
  [408, retry],
  [429, throttled],
]);

/** A message's `status` right after it was created. `failed` and `undelivered` are known by their error code. */
const byMessageStatus = new Map<string, Verdict>([
  ['accepted', accepted],
  ['queued', accepted],
  ['scheduled', accepted],
  ['sending', accepted],
  ['sent', accepted],
  ['delivered', { kind: 'accepted', receipt: 'DELIVERED' }],
  ['read', { kind: 'accepted', receipt: 'DELIVERED' }],
  ['canceled', refused],
  ['failed', refused],
  ['undelivered', hardBounce],
]);

const errorSchema = z.object({ code: z.int().min(0) });
const messageSchema = z.object({
  status: z.string(),
  error_code: z.int().nullish(),
  /** `SM` and 32 hexadecimal digits. One that could not be stored is none: the message was taken all the same. */
  sid: z
    .string()
    .regex(/^[!-~]{1,100}$/)
    .optional()
    .catch(undefined),
});

/** What came of a request. What is not Twilio's form is `retry`. */
function classifyTwilio(result: HttpResult, sender: { isShortCode: boolean }): SendOutcome {
  if (!result.isReply) return { kind: 'retry', providerCode: result.failureCode };
  const { status, retryAfter, text } = result;
  const json = parseJson(text);
  if (status < 200 || status > 299) {
    const code = errorSchema.safeParse(json).data?.code;
    const verdict = (code !== undefined && classifyCode(code, sender)) || classifyHttpStatus(status);
    const retryAfterMs = verdict.kind === 'retry' ? parseRetryAfter(retryAfter) : undefined;
    return { ...verdict, providerCode: String(code ?? status), ...(retryAfterMs !== undefined && { retryAfterMs }) };
  }
  const message = messageSchema.safeParse(json);
  if (!message.success) return { kind: 'retry', providerCode: 'REPLY_UNREADABLE' };
  const { error_code: code, status: name, sid } = message.data;
  if (typeof code === 'number') return { ...(classifyCode(code, sender) ?? refused), providerCode: String(code) };
  const verdict = byMessageStatus.get(name);
  if (!verdict) return { kind: 'retry', providerCode: 'STATUS_UNKNOWN' };
  if (verdict.kind !== 'accepted' || sid === undefined) return { ...verdict, providerCode: name };
  return { ...verdict, providerCode: name, providerMessageId: sid };
}

function classifyCode(code: number, { isShortCode }: { isShortCode: boolean }): Verdict | undefined {
  if (senderCodes.has(code)) return isShortCode ? refused : channelDown;
  return byErrorCode.get(code);
}

function classifyHttpStatus(status: number): Verdict {
  const verdict = byHttpStatus.get(status);
  if (verdict) return verdict;
  if (status < 400) return channelDown;
  return status >= 500 ? retry : refused;
}
