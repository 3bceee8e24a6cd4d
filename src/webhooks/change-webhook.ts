import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import { sql } from '../storage/database.ts';
import { write } from '../storage/write.ts';

/** Names a webhook that changes. */
export interface WebhookChange {
  principal: string;
  webhookId: string;
  idempotencyKey?: string | null | undefined;
}

/** Removes a webhook. A message that is under way may still arrive. @throws DomainError `NOT_FOUND`, `IDEMPOTENCY_KEY_REUSED`. */
export async function deleteWebhook(deployment: Deployment, change: WebhookChange): Promise<{ webhookId: string }> {
  const { principal, webhookId, idempotencyKey } = change;
  const about = { principal, mutation: 'deleteWebhook', idempotencyKey, input: { webhookId } };
  return write(deployment, about, async (tx) => {
    const count = await tx.$executeRaw(sql`delete from webhooks where id = ${webhookId}::uuid`);
    if (count === 0) throw noSuchWebhook();
    return { webhookId };
  });
}

/**
 * Has a webhook tried again at once, also one that was disabled: it goes on where it stopped, as far back as the log is kept.
 *
 * @throws DomainError `NOT_FOUND`, `IDEMPOTENCY_KEY_REUSED`.
 */
export async function resumeWebhook(deployment: Deployment, change: WebhookChange): Promise<{ webhookId: string }> {
  const { principal, webhookId, idempotencyKey } = change;
  const about = { principal, mutation: 'resumeWebhook', idempotencyKey, input: { webhookId } };
  return write(deployment, about, async (tx) => {
    const count = await tx.$executeRaw(sql`
      update webhooks set disabled_at = null, failing_since = null, failures = 0, next_attempt_at = now()
      where id = ${webhookId}::uuid
    `);
    if (count === 0) throw noSuchWebhook();
    return { webhookId };
  });
}

function noSuchWebhook(): DomainError {
  return new DomainError('NOT_FOUND', 'There is no such webhook.', ['webhook']);
}
