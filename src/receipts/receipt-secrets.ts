import { createHmac, randomBytes } from 'node:crypto';
import type { Deployment } from '../deployment.ts';
import { sql } from '../storage/database.ts';
import { keepSecret } from '../storage/deployment-secrets.ts';
import { toWebhookSecret } from '../webhooks/signature.ts';
import type { ReceiptChannel } from './told.ts';

const name = 'receipt secret';

/** What a provider shows when it brings receipts: another secret for each channel, `whsec_` and base64. */
export type ReceiptSecrets = (channel: ReceiptChannel) => string;

/**
 * The secrets of this deployment. They are derived from one that it has made for itself and keeps encrypted (rule M9), so that
 * who knows the one of a channel knows none of another.
 */
export async function openReceiptSecrets({ db, cipher }: Pick<Deployment, 'db' | 'cipher'>): Promise<ReceiptSecrets> {
  const root = await keepSecret(db, cipher, { name, make: () => randomBytes(32).toString('base64') });
  return (channel) =>
    toWebhookSecret(createHmac('sha256', Buffer.from(root, 'base64')).update(`receipts ${channel}`).digest());
}

/** Has all secrets made anew: for when one has become known. Gateways take the new ones from their next start on. */
export async function forgetReceiptSecrets({ db }: Pick<Deployment, 'db'>): Promise<void> {
  await db.$executeRaw(sql`delete from deployment_secrets where name = ${name}`);
}
