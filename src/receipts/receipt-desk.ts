import type { IncomingHttpHeaders } from 'node:http';
import type { Deployment } from '../deployment.ts';
import { isSigned, isSignedByTwilio, showsSecret } from './credentials.ts';
import { parseDeliveryStatusNotification } from './delivery-status-notification.ts';
import { parseEmailForm } from './email-form.ts';
import { parseInfobipForm } from './infobip-form.ts';
import { obeyMessage } from './opt-out-by-sms.ts';
import type { ReceiptIntake } from './receipt-intake.ts';
import type { ReceiptSecrets } from './receipt-secrets.ts';
import { sayConsent } from './say-consent.ts';
import { type Complaint, type ReceiptChannel, type Told, UnreadableReceiptError } from './told.ts';
import { parseTwilioForm } from './twilio-form.ts';

/** What a provider has posted to `/receipts/<channel>`. */
export interface ReceiptCall {
  channel: ReceiptChannel;
  headers: IncomingHttpHeaders;
  /** Path and query, as they came. */
  path: string;
  body: Uint8Array;
}

/** What became of a call. UNREADABLE: it is in no form that is documented; nothing was recorded of it. */
export type ReceiptAnswer = 'TAKEN' | 'UNREADABLE';

/** Reads what providers post. */
export interface ReceiptDesk {
  /** Whether the call is a provider's. Costs a look at the database once a second at most, however many come. */
  isAuthentic(call: ReceiptCall): Promise<boolean>;
  /** Records what an authentic call tells. Rejects when that cannot be: the provider must call again. */
  take(call: ReceiptCall): Promise<ReceiptAnswer>;
}

interface DeskOptions {
  deployment: Deployment;
  intake: ReceiptIntake;
  secrets: ReceiptSecrets;
  /** Of the Twilio accounts. None: nothing of Twilio's is believed. */
  twilioAuthTokens: () => Promise<readonly string[]>;
}

/**
 * | Form | Content type | Shows |
 * |---|---|---|
 * | Infobip | application/json, of sms and whatsapp | the channel's secret, as Basic or Bearer |
 * | Twilio | application/x-www-form-urlencoded, of sms and whatsapp | X-Twilio-Signature |
 * | e-mail | application/json, of email | a signature of Standard Webhooks, with the channel's secret |
 * | notification (RFC 3464) | message/rfc822, multipart/report, of email | either |
 */
export function createReceiptDesk({ deployment, intake, secrets, twilioAuthTokens }: DeskOptions): ReceiptDesk {
  return {
    async isAuthentic({ channel, headers, path, body }) {
      const secret = secrets(channel);
      switch (formOf(channel, headers)) {
        case 'infobip':
          return showsSecret(headers, secret);
        case 'twilio': {
          const { publicUrl } = deployment;
          const signature = headers['x-twilio-signature'];
          if (publicUrl === null || typeof signature !== 'string') return false;
          const signed = { url: `${publicUrl}${path}`, form: toForm(body) };
          return (await twilioAuthTokens()).some((authToken) => isSignedByTwilio(signature, { authToken, ...signed }));
        }
        case 'email':
          return isSigned(headers, secret, body);
        default:
          return isSigned(headers, secret, body) || showsSecret(headers, secret);
      }
    },
    async take(call) {
      try {
        const told = await read(call);
        await intake.take(told.receipts.map((receipt) => ({ ...receipt, via: call.channel })));
        for (const message of told.messages) await obeyMessage(deployment, message);
        for (const complaint of told.complaints) await obeyComplaint(deployment, complaint);
        return 'TAKEN';
      } catch (error) {
        if (error instanceof UnreadableReceiptError) return 'UNREADABLE';
        throw error;
      }
    },
  };
}

type Form = 'infobip' | 'twilio' | 'email' | 'notification';

/** By what a form is told from another; null: none. */
function formOf(channel: ReceiptChannel, headers: IncomingHttpHeaders): Form | null {
  const [type = ''] = (headers['content-type'] ?? '').split(';');
  switch (type.trim().toLowerCase()) {
    case 'application/json':
      return channel === 'email' ? 'email' : 'infobip';
    case 'application/x-www-form-urlencoded':
      return channel === 'email' ? null : 'twilio';
    case 'message/rfc822':
    case 'multipart/report':
      return channel === 'email' ? 'notification' : null;
    default:
      return null;
  }
}

function read({ channel, headers, path, body }: ReceiptCall): Told | Promise<Told> {
  switch (formOf(channel, headers)) {
    case 'infobip':
      return parseInfobipForm(parseJson(body));
    case 'twilio':
      return parseTwilioForm(toForm(body), new URLSearchParams(path.split('?')[1]).get('delivery'));
    case 'email':
      return parseEmailForm(parseJson(body));
    case 'notification':
      return parseDeliveryStatusNotification(withHeader(headers, body));
    default:
      throw new UnreadableReceiptError('The content type is none that is taken for this channel.');
  }
}

function toForm(body: Uint8Array): URLSearchParams {
  return new URLSearchParams(Buffer.from(body).toString('utf8'));
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString('utf8'));
  } catch {
    throw new UnreadableReceiptError('This is not JSON.');
  }
}

/** A `multipart/report` that is posted by itself has its boundary in the request's header. */
function withHeader(headers: IncomingHttpHeaders, body: Uint8Array): Uint8Array {
  const type = headers['content-type'] ?? '';
  if (!/^\s*multipart\/report/i.test(type)) return body;
  return Buffer.concat([Buffer.from(`Content-Type: ${type}\r\n\r\n`), body]);
}

/** Who has called a message spam wants no more of them. */
async function obeyComplaint(deployment: Deployment, { deliveryId }: Complaint): Promise<void> {
  const delivery = await deployment.db.delivery.findUnique({ where: { id: deliveryId } });
  if (delivery?.channel !== 'EMAIL' || delivery.recipientId === null) return;
  const { recipientId } = delivery;
  await sayConsent(deployment, { recipientId, isSubscribed: false, by: 'person:complaint' });
}
