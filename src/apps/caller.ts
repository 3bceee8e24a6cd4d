/**
 * Who calls. `principal` names the caller in records (`createdBy`, `actor`, idempotency): stable over token renewal.
 *
 * - `SERVER`: a back end, with a server key. May do everything.
 * - `APP`: an app's client before it has registered, with the publishable key.
 * - `INSTALLATION`: one installation, with its token. `isExpired`: the token only serves to register again. `tokenHash`:
 *   SHA-256, as the token is kept.
 */
export type Caller =
  | { kind: 'SERVER'; principal: string }
  | { kind: 'APP'; principal: string; appId: string }
  | {
      kind: 'INSTALLATION';
      principal: string;
      appId: string;
      installationId: string;
      tokenHash: Uint8Array;
      isExpired: boolean;
    };
