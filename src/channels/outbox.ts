import { createHash } from 'node:crypto';
import { type Database, sql } from '../storage/database.ts';
import type { Address, Channel, Message, SendOutcome, Verdict } from './channel.ts';
import { type RenderedEmail, renderEmail } from './render-email.ts';
import { type PushPayload, renderPush } from './render-push.ts';
import { renderSms } from './render-sms.ts';
import { parseWhatsAppTemplate, type WhatsAppTemplate } from './whatsapp-template.ts';

/** One way for a message to fare, and the addresses that fare so. */
interface Simulation {
  /** Tag of an e-mail address, `ada+bounced@example.com`, and start of a push token, `bounced-…`. */
  tag: string;
  /** Last four digits of a phone number. */
  digits: string;
  verdict(attempt: number): Verdict;
}

/**
 * How the outbox plays a provider. Any other address is accepted.
 *
 * | E-mail | Phone | Push token (FCM, APNs) | What becomes of the message |
 * |---|---|---|---|
 * | `ada@example.com` | `+385…` | anything | accepted |
 * | `ada+delivered@example.com` | `…0001` | `delivered-…` | accepted and confirmed: DELIVERED |
 * | `ada+bounced@example.com` | `…0002` | `bounced-…` | accepted, then returned: BOUNCED |
 * | `ada+rejected@example.com` | `…0003` | `rejected-…` | refused: PROVIDER_REJECTED |
 * | `ada+gone@example.com` | `…0004` | `gone-…` | nobody's address any more: ADDRESS_GONE for a push, else BOUNCED |
 * | `ada+retry-once@example.com` | `…0005` | `retry-once-…` | put off once, then accepted |
 * | `ada+unavailable@example.com` | `…0006` | `unavailable-…` | put off each time |
 */
export const simulations: readonly Simulation[] = [
  { tag: 'delivered', digits: '0001', verdict: () => ({ kind: 'accepted', receipt: 'DELIVERED' }) },
  { tag: 'bounced', digits: '0002', verdict: () => ({ kind: 'accepted', receipt: 'BOUNCED' }) },
  { tag: 'rejected', digits: '0003', verdict: () => ({ kind: 'rejected', reason: 'PROVIDER_REJECTED' }) },
  { tag: 'gone', digits: '0004', verdict: () => ({ kind: 'gone' }) },
  { tag: 'retry-once', digits: '0005', verdict: (attempt) => ({ kind: attempt === 1 ? 'retry' : 'accepted' }) },
  { tag: 'unavailable', digits: '0006', verdict: () => ({ kind: 'retry' }) },
];

/**
 * The channel of what has no provider: keeps what would have been sent in `outbox_messages`, where a person can read it, and
 * plays the provider's answer. One row an attempt, however often that attempt runs. Throws when the database is lost.
 */
export function createOutboxChannel(db: Database): Channel {
  return {
    name: 'outbox',
    async send(message, signal) {
      if (signal.aborted) return { kind: 'retry', providerCode: 'ABORTED' };
      const { deliveryId, notificationId, channel, attempt } = message;
      // The lock waits for an erase that is under way. Of who is erased nothing is written any more.
      await db.$executeRaw(sql`
        with delivery as (select recipient_id from deliveries where id = ${deliveryId}::uuid),
        person as (
          select u.id from delivery join recipients r on r.id = recipient_id join users u on u.id = r.user_id
          for key share of u
        )
        insert into outbox_messages (id, delivery_id, notification_id, channel, address, rendered)
        select
          ${toOutboxId(deliveryId, attempt)}::uuid, ${deliveryId}::uuid, ${notificationId}::uuid, ${channel}::channel,
          ${toReadableAddress(message.address)}, ${JSON.stringify(renderForOutbox(message))}::jsonb
        where exists (select from person) or not exists (select from delivery where recipient_id is not null)
        on conflict (id) do nothing
      `);
      return simulate(message.address, attempt);
    },
    close: () => Promise.resolve(),
  };
}

/** How the outbox answers the `attempt`th send to `address`, counted from 1. */
export function simulate(address: Address, attempt: number): SendOutcome {
  const simulation = simulations.find((candidate) => isMeantBy(candidate, address));
  if (!simulation) return { kind: 'accepted', providerCode: null };
  return {
    ...simulation.verdict(attempt),
    providerCode: `SIMULATED_${simulation.tag.toUpperCase().replace('-', '_')}`,
  };
}

function isMeantBy({ tag, digits }: Simulation, address: Address): boolean {
  switch (address.kind) {
    case 'email':
      return address.email.toLowerCase().includes(`+${tag}@`);
    case 'phone':
      return address.phone.endsWith(digits);
    case 'fcm':
    case 'apns':
      return address.token.startsWith(`${tag}-`);
    case 'webPush':
    case 'inbox':
      return false;
  }
}

/**
 * The same UUID (version 8, RFC 9562) for the same attempt. It begins with the delivery's own time, so that rows stay in
 * the order in which deliveries were made.
 */
function toOutboxId(deliveryId: string, attempt: number): string {
  const time = deliveryId.replaceAll('-', '').slice(0, 12);
  const hash = createHash('sha256').update(`${deliveryId} ${attempt}`).digest('hex');
  return [time.slice(0, 8), time.slice(8), `8${hash.slice(0, 3)}`, `8${hash.slice(3, 6)}`, hash.slice(6, 18)].join('-');
}

/** The address as a person reads it. A push token is a secret of its app and is shortened. */
function toReadableAddress(address: Address): string {
  switch (address.kind) {
    case 'email':
      return address.email;
    case 'phone':
      return address.phone;
    case 'fcm':
    case 'apns':
      return `${address.kind}:${address.token.length > 16 ? `${address.token.slice(0, 16)}…` : address.token}`;
    case 'webPush':
      return `webPush:${new URL(address.endpoint).host}`;
    case 'inbox':
      return 'inbox';
  }
}

/** What the channel would have sent: an e-mail's subject and parts, a text or a WhatsApp template, a push's payload. */
function renderForOutbox(message: Message): RenderedEmail | PushPayload | { text: string } | WhatsAppTemplate {
  switch (message.address.kind) {
    case 'email':
      return renderEmail(message.content);
    case 'phone':
      return (
        (message.channel === 'WHATSAPP' && parseWhatsAppTemplate(message.content.data)) || {
          text: renderSms(message.content),
        }
      );
    default:
      return renderPush(message);
  }
}
