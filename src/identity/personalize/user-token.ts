import { errors, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { z } from 'zod';
import { findUserTokenKeys } from '../../apps/user-token-keys.ts';
import type { Deployment } from '../../deployment.ts';
import { DomainError } from '../../errors.ts';
import { parseUserIdentity, type UserIdentity } from '../identifier.ts';

/** @default 8_192 // bytes */
const tokenBytesMax = 8_192;
/** How old a token may be, by its `iat`. @default 3_600 // seconds, rule U11 */
const tokenAgeSecondsMax = 3_600;
/** How far the clocks of an app's back end and of this program may be apart. @default 60 // seconds */
const clockToleranceSeconds = 60;

const compactPattern = /^[\w-]+\.[\w-]+\.[\w-]+$/;

const claimsSchema = z.object({
  sub: z.string(),
  emails: z.array(z.string()).optional(),
  phones: z.array(z.string()).optional(),
});

/** Why a token is not valid: for the log, never for the caller. */
class BadTokenError extends Error {
  override readonly name = 'BadTokenError';
}

/**
 * Who a token (JWT, compact) that an app's back end has signed says that its client is: `sub` is the external user id,
 * `emails` and `phones` (lists of strings, optional) are further identifiers. `aud` is the app, by its id or global id;
 * `exp` and `iat` are required, and a token is at most an hour old, give or take 60 s of clock skew. `kid` names the key,
 * whose algorithm is the only one that counts; it may be left out when the app has one key only.
 *
 * @throws DomainError `TOKEN_INVALID`, which does not tell why; the log does, at debug level.
 */
export async function readUserToken(deployment: Deployment, appId: string, token: string): Promise<UserIdentity> {
  try {
    return await verifyToken(deployment, appId, token);
  } catch (error) {
    const isRefusal =
      error instanceof BadTokenError || error instanceof DomainError || error instanceof errors.JOSEError;
    if (!isRefusal) throw error;
    deployment.log.debug({ appId, reason: reasonOf(error) }, 'A user token was refused.');
    throw tokenInvalid();
  }
}

/** The one thing that a caller is told of a token, bad or missing. */
export function tokenInvalid(): DomainError {
  return new DomainError('TOKEN_INVALID', "A valid token of the app's back end is needed.", ['userToken']);
}

async function verifyToken(deployment: Deployment, appId: string, token: string): Promise<UserIdentity> {
  if (token.length > tokenBytesMax || !compactPattern.test(token)) throw new BadTokenError('form');
  const { payload } = await jwtVerify(token, keyFinder(deployment, appId), {
    audience: [appId, Buffer.from(`App:${appId}`).toString('base64')],
    requiredClaims: ['sub', 'exp', 'iat'],
    maxTokenAge: tokenAgeSecondsMax,
    clockTolerance: clockToleranceSeconds,
  });
  const claims = claimsSchema.safeParse(payload);
  if (!claims.success) throw new BadTokenError('claims');
  const { sub, emails, phones } = claims.data;
  const identity = { externalUserId: sub, emails, phones };
  const { identifiers } = parseUserIdentity(identity, { path: [], rules: deployment.rules });
  // A back end that signs "undefined" has a bug, which must not join strangers.
  if (!identifiers.some(({ kind }) => kind === 'EXTERNAL_USER_ID')) throw new BadTokenError('sub names nobody');
  return identity;
}

/** The key is chosen by the app and `kid`, and the algorithm by the key: never by the token (RFC 8725, 3.1). */
function keyFinder({ db, cipher }: Deployment, appId: string): JWTVerifyGetKey {
  return async ({ kid, alg }) => {
    const keys = await findUserTokenKeys(db, cipher, appId);
    const named = kid === undefined ? keys : keys.filter(({ keyId }) => keyId === kid);
    const [key, another] = named;
    if (!key || another) throw new BadTokenError('kid');
    if (key.algorithm !== alg) throw new BadTokenError('alg');
    return key.toKey();
  };
}

function reasonOf(error: unknown): string {
  if (error instanceof errors.JWTClaimValidationFailed) return `${error.code} ${error.claim}`;
  if (error instanceof errors.JOSEError) return error.code;
  return error instanceof BadTokenError ? error.message : 'identifiers';
}
