import { type Issued, writeSecret } from '../apps/write-secret.ts';
import { isEndpointAllowed } from '../channels/web-push-address.ts';
import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import type { DeliveryStatus } from '../generated/prisma/enums.ts';
import { newId } from '../ids.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { readLogHead } from '../stream/log/log.ts';
import { newWebhookSecret } from './signature.ts';

/** What a webhook's secret is encrypted for. */
export const webhookSecretPurpose = 'webhook secret';

/** A new webhook. */
export interface NewWebhook {
  principal: string;
  url: string;
  events: readonly DeliveryStatus[];
  /** Only of deliveries to this app's installations. Absent: of all. */
  appId?: string | null | undefined;
  idempotencyKey?: string | null | undefined;
}

/** @default 100 // webhooks of a deployment */
const webhooksMax = 100;
/** @default 2_048 // characters */
const urlCharactersMax = 2_048;

/**
 * Makes a webhook, which is told of what happens from now on. Its secret is answered once.
 *
 * @param arePrivateWebhooksAllowed lets the address be plain http, loopback or private .
 * @throws DomainError `VALUE_INVALID`, `NOT_FOUND` (the app), `LIMIT_EXCEEDED`, `IDEMPOTENCY_KEY_REUSED`.
 */
export async function createWebhook(
  deployment: Deployment,
  request: NewWebhook,
  { arePrivateWebhooksAllowed }: { arePrivateWebhooksAllowed: boolean },
): Promise<Issued<{ webhookId: string }>> {
  const { principal, idempotencyKey, ...input } = request;
  const url = parseUrl(request.url, arePrivateWebhooksAllowed);
  const events = parseEvents(request.events);
  // Before it is there: what happens meanwhile is told.
  const { epoch, position, tag } = await readLogHead(deployment.db.pool);
  return writeSecret(deployment, { principal, mutation: 'createWebhook', idempotencyKey, input }, async (tx) => {
    const appId = request.appId ?? null;
    if (appId !== null) await holdApp(tx, appId);
    const [webhookId, secret] = [newId(), newWebhookSecret()];
    const made = await tx.$executeRaw(sql`
      insert into webhooks (id, url, secret_cipher, events, app_id, cursor_epoch, cursor_position, cursor_tag)
      select
        ${webhookId}::uuid, ${url}, ${deployment.cipher.encrypt(webhookSecretPurpose, secret)}, ${events}::delivery_status[],
        ${appId}::uuid, ${epoch}::uuid, ${position}, ${tag}
      where (select count(*) from webhooks) < ${webhooksMax}::int
    `);
    if (made === 0) throw new DomainError('LIMIT_EXCEEDED', `There are ${webhooksMax} webhooks at most.`);
    return { written: { webhookId }, secret };
  });
}

function parseUrl(text: string, arePrivateWebhooksAllowed: boolean): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  const isSound = url !== null && text.length <= urlCharactersMax && url.username === '' && url.password === '';
  if (!isSound || !isEndpointAllowed(url, arePrivateWebhooksAllowed)) {
    throw new DomainError('VALUE_INVALID', 'The address is not an https URL of a public host, without a user.', [
      'url',
    ]);
  }
  url.hash = '';
  return url.href;
}

function parseEvents(given: readonly DeliveryStatus[]): DeliveryStatus[] {
  const events = [...new Set(given)];
  if (events.length === 0) throw new DomainError('VALUE_INVALID', 'Name an event.', ['events']);
  // A claim is no event.
  if (events.includes('SENDING')) throw new DomainError('VALUE_INVALID', 'SENDING is told to nobody.', ['events']);
  return events;
}

/** Until the commit, so that it cannot be deleted meanwhile. */
async function holdApp(tx: Transaction, appId: string): Promise<void> {
  const [app] = await tx.$queryRaw<unknown[]>(sql`select id from apps where id = ${appId}::uuid for key share`);
  if (!app) throw new DomainError('NOT_FOUND', 'There is no such app.', ['app']);
}
