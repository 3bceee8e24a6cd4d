import type { GoogleToken } from 'google-auth-library';
import { z } from 'zod';
import type { SendOutcome } from './channel.ts';
import { toFailureCode } from './failure-code.ts';
import type { ServiceAccount } from './service-account.ts';

/** The access tokens of a service account, one at a time, however many ask. */
export interface AccessTokens {
  /** The present one for as long as it lives, then a new one. In its last five minutes it is replaced while it is used. */
  get(): Promise<string>;
  /** One that is newer than `refused`, which the API did not take. */
  renew(refused: string): Promise<string>;
}

/** Why there is no token, as the outcome of the send that needed one. */
export class NoAccessTokenError extends Error {
  override readonly name = 'NoAccessTokenError';
  readonly outcome: SendOutcome;

  constructor(outcome: SendOutcome) {
    super('There is no access token.');
    this.outcome = outcome;
  }
}

/** Before its end a token is replaced. Google's live for an hour. */
const renewedBeforeMs = 5 * 60_000;

/**
 * Tokens by the JWT bearer grant (RFC 7523;
 * https://developers.google.com/identity/protocols/oauth2/service-account#httprest). `get` and `renew` reject with
 * {@link NoAccessTokenError}.
 */
export function createAccessTokens(account: ServiceAccount, options: TokenOptions): AccessTokens {
  let opening: Promise<GoogleToken> | null = null;
  let renewal: Promise<string> | null = null;

  const open = () => {
    opening ??= openGoogleToken(account, options);
    return opening;
  };

  return {
    async get() {
      const google = await open();
      if (google.accessToken === undefined || google.hasExpired()) return ask(google, false);
      // Nobody waits for it, and there is time to try again: what is wrong is told when the present one has ended.
      if (google.isTokenExpiring()) ask(google, false).catch(() => undefined);
      return google.accessToken;
    },
    async renew(refused) {
      const google = await open();
      if (google.accessToken !== undefined && google.accessToken !== refused) return google.accessToken;
      renewal ??= ask(google, true).finally(() => {
        renewal = null;
      });
      return renewal;
    },
  };
}

interface TokenOptions {
  scope: string;
  timeoutMs: number;
}

/**
 * The library has Google's token URL built in: the one of the account's file stands in for it. It is loaded with the first
 * token, as most programs need none.
 */
async function openGoogleToken(
  { clientEmail, privateKey, tokenUri }: ServiceAccount,
  { scope, timeoutMs }: TokenOptions,
): Promise<GoogleToken> {
  const { gaxios, GoogleToken } = await import('google-auth-library');
  return new GoogleToken({
    iss: clientEmail,
    key: privateKey,
    scope,
    additionalClaims: { aud: tokenUri },
    eagerRefreshThresholdMillis: renewedBeforeMs,
    transporter: {
      request: (options) =>
        gaxios.request({
          ...options,
          url: tokenUri,
          fetchImplementation: fetch,
          redirect: 'manual',
          timeout: timeoutMs,
          // A delivery is tried again as a whole.
          retryConfig: { retry: 0 },
        }),
    },
  });
}

async function ask(google: GoogleToken, forceRefresh: boolean): Promise<string> {
  try {
    const { access_token: token } = await google.getToken({ forceRefresh });
    if (typeof token === 'string' && token !== '') return token;
  } catch (error) {
    // Not as the cause: it holds what was sent.
    throw new NoAccessTokenError(classifyTokenFailure(error));
  }
  throw new NoAccessTokenError({ kind: 'retry', providerCode: 'OAUTH_REPLY_UNREADABLE' });
}

const refusalSchema = z.object({ response: z.object({ status: z.number(), data: z.unknown() }) });

/**
 * What it means that the token endpoint gave none. A refusal (RFC 6749, section 5.2: 400, or 401 for `invalid_client`) is
 * about the account or its key, and so is a redirect or any other 4xx; being asked to wait (408, 429), 5xx and no reply at all are not.
 */
function classifyTokenFailure(error: unknown): SendOutcome {
  const refusal = refusalSchema.safeParse(error);
  if (!refusal.success) return { kind: 'retry', providerCode: toFailureCode(error) };
  const { status, data } = refusal.data.response;
  const isTransient = status < 300 || status >= 500 || status === 408 || status === 429;
  return { kind: isTransient ? 'retry' : 'channelDown', providerCode: toOauthCode(data) ?? `OAUTH_${status}` };
}

/** `OAUTH_INVALID_GRANT`, for `{ "error": "invalid_grant", … }`. */
function toOauthCode(body: unknown): string | null {
  if (typeof body !== 'object' || body === null || !('error' in body) || typeof body.error !== 'string') return null;
  return /^[a-z_]{1,40}$/.test(body.error) ? `OAUTH_${body.error.toUpperCase()}` : null;
}
