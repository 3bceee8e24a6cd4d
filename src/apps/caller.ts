/** What is known of every caller. */
interface Credential {
  /** Names the caller in records (`createdBy`, `actor`, idempotency): stable over token renewal and key rotation. */
  principal: string;
  /** Whose rights these are, as `access_changes` name it: the key's id, or the installation's. */
  subjectId: string;
  /** SHA-256 of the key or token, as it is kept. */
  secretHash: Uint8Array<ArrayBuffer>;
}

/**
 * Who calls.
 *
 * - `SERVER`: a back end, with a server key. May do everything.
 * - `DASHBOARD`: may read everything but keys, webhooks, the audit log, exports, and messages as they are rendered.
 * - `PARTNER`: may run the operations that are registered for it.
 * - `APP`: an app's client before it has registered, with the publishable key.
 * - `INSTALLATION`: one installation, with its token. `isExpired`: the token only serves to register again.
 */
export type Caller = Credential &
  (
    | { kind: 'SERVER' }
    | { kind: 'DASHBOARD' }
    | { kind: 'PARTNER'; partner: string }
    | { kind: 'APP'; appId: string }
    | { kind: 'INSTALLATION'; appId: string; installationId: string; expiresAt: Date; isExpired: boolean }
  );
