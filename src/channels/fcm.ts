import { z } from 'zod';
import { untilAborted } from '../stream/until-aborted.ts';
import type { Channel, SendOutcome, Verdict } from './channel.ts';
import { toFailureCode } from './failure-code.ts';
import { createAccessTokens, NoAccessTokenError } from './google-access-token.ts';
import { createHttp1Client, type HttpReply } from './http-client.ts';
import { createHttp2Client, type Http2Options } from './http2-client.ts';
import { parseJson } from './parse-json.ts';
import { renderFcm } from './render-fcm.ts';
import { parseRetryAfter, parseRetryDelay } from './retry-after.ts';
import type { ServiceAccount } from './service-account.ts';

/** A Firebase project that sends. */
export interface FcmOptions {
  account: ServiceAccount;
  /** `https:` is spoken to by HTTP/2, `http:` by HTTP/1.1. @default https://fcm.googleapis.com */
  baseUrl?: string | undefined;
  /** One send, with its access token, to the end of the reply. @default 10_000 // 10 seconds */
  timeoutMs?: number | undefined;
  tls?: Http2Options['tls'];
}

/** @default https://fcm.googleapis.com */
const defaultBaseUrl = 'https://fcm.googleapis.com';

const scope = 'https://www.googleapis.com/auth/firebase.messaging';

/**
 * Push by Firebase Cloud Messaging: `POST {base}/v1/projects/{project}/messages:send`
 * (https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages/send), with an access token of the service
 * account. A token that is refused is replaced once for that send.
 */
export function createFcmChannel({ account, baseUrl = defaultBaseUrl, timeoutMs = 10_000, tls }: FcmOptions): Channel {
  const tokens = createAccessTokens(account, { scope, timeoutMs });
  const url = new URL(
    `v1/projects/${account.projectId}/messages:send`,
    baseUrl.endsWith('/') ? baseUrl : `${baseUrl}/`,
  );
  const http =
    url.protocol === 'https:' ? createHttp2Client(url.origin, { timeoutMs, tls }) : createHttp1Client(url.origin);

  const post = (body: string, token: string, signal: AbortSignal) =>
    http.post({
      path: url.pathname,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body,
      signal,
    });

  return {
    name: 'fcm',
    async send(message, givenUp) {
      const body = JSON.stringify({ message: renderFcm(message) });
      const signal = AbortSignal.any([givenUp, AbortSignal.timeout(timeoutMs)]);
      try {
        const token = await untilAborted(tokens.get(), signal);
        const reply = await post(body, token, signal);
        if (!isTokenRefused(reply)) return classifyFcmReply(reply);
        return classifyFcmReply(await post(body, await untilAborted(tokens.renew(token), signal), signal));
      } catch (error) {
        if (error instanceof NoAccessTokenError) return error.outcome;
        return { kind: 'retry', providerCode: toFailureCode(error) };
      }
    },
    close: () => http.close(),
  };
}

const replySchema = z.object({
  error: z.object({
    message: z.string().default(''),
    /** `google.rpc.Code`. */
    status: z.string().default(''),
    details: z
      .array(
        z.object({
          /** Of `google.firebase.fcm.v1.FcmError`. */
          errorCode: z.string().optional(),
          /** Of `google.rpc.BadRequest`. */
          fieldViolations: z.array(z.object({ field: z.string().default('') })).optional(),
          /** Of `google.rpc.RetryInfo`: `53s`, `0.5s`. */
          retryDelay: z.string().optional(),
        }),
      )
      .default([]),
  }),
});

/** FCM's own error is about the message; without one, 401 is about the access token. */
function isTokenRefused({ status, text }: HttpReply): boolean {
  return status === 401 && parseError(text).code === null;
}

interface FcmError {
  /** FCM's code; null: the error is not FCM's, but of the API before it. */
  code: string | null;
  /** `google.rpc.Code`; null when the reply is not in the form of Google's APIs. */
  status: string | null;
  isAboutToken: boolean;
  /** Milliseconds; undefined: it does not say. */
  retryDelayMs: number | undefined;
}

function parseError(text: string): FcmError {
  const reply = replySchema.safeParse(parseJson(text));
  if (!reply.success) return { code: null, status: null, isAboutToken: false, retryDelayMs: undefined };
  const { message, status, details } = reply.data.error;
  const fields = details.flatMap(({ fieldViolations = [] }) => fieldViolations.map(({ field }) => field));
  return {
    code: details.find(({ errorCode }) => errorCode !== undefined)?.errorCode ?? null,
    status,
    // The documentation's own example of an invalid token names no field: only the sentence tells it from a message that is too big.
    retryDelayMs: details.map(({ retryDelay }) => parseRetryDelay(retryDelay)).find((delay) => delay !== undefined),
    isAboutToken: fields.length > 0 ? fields.includes('message.token') : /\bregistration token\b/i.test(message),
  };
}

const gone: Verdict = { kind: 'gone' };
const refused: Verdict = { kind: 'rejected', reason: 'PROVIDER_REJECTED' };
const suspect: Verdict = { kind: 'rejected', reason: 'PROVIDER_REJECTED', isSuspect: true };
const unsendable: Verdict = { kind: 'rejected', reason: 'RENDER_FAILED' };
const channelDown: Verdict = { kind: 'channelDown' };
const retry: Verdict = { kind: 'retry' };
const overQuota: Verdict = { kind: 'retry', isThrottled: true, retryAfterMs: 60_000 };
/** The project's quota, or the one of this device. */
const overSomeQuota: Verdict = { ...overQuota, othersWaitMs: 1_000 };

/** FCM's error codes (https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode). */
const byErrorCode = new Map<string, Verdict>([
  ['UNREGISTERED', gone], // 404: "the app instance was unregistered from FCM … the token used is no longer valid"
  // 403: the token is another project's. Of the wrong service account all of them are, so that none is retired.
  ['SENDER_ID_MISMATCH', suspect],
  ['INVALID_ARGUMENT', unsendable], // 400: but see classifyFcmReply for one about the token
  ['QUOTA_EXCEEDED', overSomeQuota], // 429: "retry with a minimum initial delay of 1 minute"
  ['UNAVAILABLE', { kind: 'retry', retryAfterMs: 10_000 }], // 503: "initial retry timeout 10 seconds"
  ['INTERNAL', { kind: 'retry', retryAfterMs: 10_000 }], // 500: as for 503
  // 401: the project's key for APNs, or for web push, is missing or wrong. Android is served all the same, so that the
  // channel is not stopped; with twelve attempts there are two hours to set it right.
  ['THIRD_PARTY_AUTH_ERROR', { kind: 'retry', isMessageOnly: true, retryAfterMs: 600_000 }],
  ['UNSPECIFIED_ERROR', retry], // "no more information is available about this error"
]);

/**
 * Statuses without a code of FCM's (https://cloud.google.com/apis/design/errors; delays:
 * https://firebase.google.com/docs/cloud-messaging/scale-fcm#handling-retries). What is not here: 5xx is `retry`, other 4xx
 * are refusals of the message, anything else is not FCM: channelDown.
 */
const byHttpStatus = new Map<number, Verdict>([
  [401, channelDown], // UNAUTHENTICATED, with a fresh access token too
  [403, channelDown], // PERMISSION_DENIED: the account may not send, or the API is not enabled for the project
  [404, channelDown], // NOT_FOUND: no such project, or not FCM's base URL
  [405, channelDown],
  [408, retry],
  [429, overQuota], // RESOURCE_EXHAUSTED: the project's quota
]);

const acceptedSchema = z.object({ name: z.string() });

/** What FCM's reply means. A Retry-After, then a RetryInfo, goes before the delays of the tables; a success that is not in FCM's form is `retry`. */
function classifyFcmReply({ status, retryAfter, text }: HttpReply): SendOutcome {
  if (status === 200) {
    const isFcms = acceptedSchema.safeParse(parseJson(text)).success;
    return isFcms ? { kind: 'accepted', providerCode: '200' } : { kind: 'retry', providerCode: 'REPLY_UNREADABLE' };
  }
  const error = parseError(text);
  const providerCode =
    [error.code, error.status].find((code) => /^[A-Z0-9_]{1,64}$/.test(code ?? '')) ?? String(status);
  const verdict = decideVerdict(status, error);
  if (verdict.kind !== 'retry') return { ...verdict, providerCode };
  const retryAfterMs = parseRetryAfter(retryAfter) ?? error.retryDelayMs ?? verdict.retryAfterMs;
  return { ...verdict, providerCode, ...(retryAfterMs !== undefined && { retryAfterMs }) };
}

function decideVerdict(httpStatus: number, { code, status, isAboutToken }: FcmError): Verdict {
  if (httpStatus === 400 && isAboutToken) return gone;
  // A request that the API before FCM cannot read has no code of FCM's, and a status that is called the same.
  const verdict = byErrorCode.get(code ?? status ?? '') ?? byHttpStatus.get(httpStatus);
  if (verdict) return verdict;
  if (httpStatus >= 500 || (httpStatus >= 200 && httpStatus < 300)) return retry;
  return httpStatus >= 400 ? refused : channelDown;
}
