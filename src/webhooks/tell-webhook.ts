import type { EndpointClient } from '../channels/endpoint-client.ts';
import { toFailureCode } from '../channels/failure-code.ts';
import { endpointNotPublic } from '../channels/public-endpoint.ts';
import { isEndpointAllowed } from '../channels/web-push-address.ts';
import type { Deployment } from '../deployment.ts';
import { webhookSecretPurpose } from './create-webhook.ts';
import { type AttemptEnd, decideAttempt } from './decide-attempt.ts';
import { signWebhook } from './signature.ts';
import { readNextMessage, toMessageBody, toMessageId } from './webhook-message.ts';
import { beginMessage, type ClaimedWebhook, moveOn, recordFailure } from './webhook-store.ts';

/** What telling needs. */
export interface Teller extends Pick<Deployment, 'db' | 'cipher' | 'log'> {
  client: EndpointClient;
  arePrivateWebhooksAllowed: boolean;
  /** One attempt, from resolving the host to the end of the reply. */
  timeoutMs: number;
  /** Aborts when the process stops. */
  signal: AbortSignal;
}

/**
 * Tells a claimed webhook the next message, if there is one, and gives it back. Where the message ends is written down before it
 * is sent: whoever repeats it, after whatever, tells the same events under the same id. Nothing is skipped: the cursor moves on
 * when it was told, and over what is not for this webhook.
 */
export async function tellWebhook(teller: Teller, webhook: ClaimedWebhook): Promise<void> {
  const { db } = teller;
  const next = await readNextMessage(db, webhook);
  switch (next.kind) {
    case 'GAP':
      return moveOn(db, webhook, { cursor: next.cursor, hasGap: true, isTold: false });
    case 'NOTHING':
      return moveOn(db, webhook, { cursor: next.end, hasGap: webhook.hasGap, isTold: false });
    case 'MESSAGE': {
      if (webhook.end === null && !(await beginMessage(db, webhook, next.end))) return;
      const id = toMessageId(webhook.webhookId, webhook.cursor, next.end);
      const body = toMessageBody(next.entries, { epoch: webhook.cursor.epoch, hasGap: webhook.hasGap });
      const end = await post(teller, webhook, { id, body });
      // What was cut off because this process stops is no failure of the receiver's, and is told again.
      if (teller.signal.aborted && 'failure' in end) return;
      const decision = decideAttempt(end, { ...webhook, random: Math.random() });
      if (decision.kind === 'TOLD') return moveOn(db, webhook, { cursor: next.end, hasGap: false, isTold: true });
      if (decision.kind === 'DISABLE') {
        const { webhookId } = webhook;
        teller.log.warn({ webhookId, failure: decision.failure }, 'A webhook is disabled; see "resumeWebhook".');
      }
      return recordFailure(db, webhook, decision);
    }
  }
}

async function post(
  { client, cipher, arePrivateWebhooksAllowed, timeoutMs, signal }: Teller,
  { url: address, secretCipher }: ClaimedWebhook,
  { id, body }: { id: string; body: string },
): Promise<AttemptEnd> {
  const url = new URL(address);
  // Settings may have changed since it was made.
  if (!isEndpointAllowed(url, arePrivateWebhooksAllowed)) return { failure: endpointNotPublic };
  const timestamp = Math.floor(Date.now() / 1_000);
  const bytes = Buffer.from(body);
  try {
    return await client.post(url, {
      headers: {
        'content-type': 'application/json',
        'content-length': bytes.length,
        'user-agent': 'Carillon',
        'webhook-id': id,
        'webhook-timestamp': String(timestamp),
        'webhook-signature': signWebhook(cipher.decrypt(webhookSecretPurpose, secretCipher), {
          id,
          timestamp,
          body: bytes,
        }),
      },
      body: bytes,
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    });
  } catch (error) {
    return { failure: toFailureCode(error) };
  }
}
