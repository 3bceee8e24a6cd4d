import { createPrivateKey } from 'node:crypto';
import { SignJWT } from 'jose';

/** A key for APNs, as Apple gives it out. */
export interface ApnsKey {
  /** P-256, PEM (the `.p8` file). */
  key: string;
  keyId: string;
  teamId: string;
}

/** The provider tokens made with one key, one at a time. */
export interface ProviderTokens {
  get(): Promise<string>;
  /** One that is newer than `refused`; null: none may be made yet. */
  renew(refused: string): Promise<string | null>;
}

// "Refresh your token no more than once every 20 minutes and no less than once every 60 minutes"
// (https://developer.apple.com/documentation/usernotifications/establishing-a-token-based-connection-to-apns).
const ageMsMin = 20 * 60_000;
/** @default 2_400_000 // 40 minutes: as far from one limit as from the other */
const renewedAfterMs = 40 * 60_000;

/** @param now milliseconds since 1970, which Apple's clock is compared with. */
export function createProviderTokens({ key, keyId, teamId }: ApnsKey, now = () => Date.now()): ProviderTokens {
  const privateKey = createPrivateKey(key);
  let known: { token: Promise<string>; at: number } | null = null;

  function make(): Promise<string> {
    const at = now();
    const token = new SignJWT()
      .setProtectedHeader({ alg: 'ES256', kid: keyId })
      .setIssuer(teamId)
      .setIssuedAt(Math.floor(at / 1_000))
      .sign(privateKey);
    known = { token, at };
    return token;
  }

  /** A clock that was set back counts as time passed. */
  const isOlderThan = (ageMs: number) => known === null || Math.abs(now() - known.at) >= ageMs;

  return {
    async get() {
      return known === null || isOlderThan(renewedAfterMs) ? make() : known.token;
    },
    async renew(refused) {
      if (known !== null && (await known.token) !== refused) return known.token;
      return isOlderThan(ageMsMin) ? make() : null;
    },
  };
}
