import { createHash, randomBytes } from 'node:crypto';

/** What a secret is for; its prefix says so to whoever finds one in a log or a repository. */
export const secretPrefixes = {
  SERVER: 'car_server_',
  DASHBOARD: 'car_dash_',
  PARTNER: 'car_partner_',
  APP: 'car_app_',
  INSTALLATION: 'car_inst_',
} as const;

/** A new secret: its kind's prefix and 256 random bits. Shown once; only its hash is kept. */
export function newSecret(kind: keyof typeof secretPrefixes): string {
  return secretPrefixes[kind] + randomBytes(32).toString('base64url');
}

/** What is kept of a secret. SHA-256 is enough: a secret has too many bits to be guessed from it. */
export function hashSecret(secret: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(createHash('sha256').update(secret).digest());
}
