import type { Address, MessageContent } from '../channels/channel.ts';
import type { ContentToRender } from '../content/render-deliveries.ts';
import { openAddress } from '../installations/installation-address.ts';
import type { DueDelivery } from './begin-sends.ts';
import type { Provider } from './channel-pause-store.ts';
import type { TurnEnd } from './channel-pauses.ts';
import { attemptsMax, spreadMs, toHoldMs } from './decide-outcome.ts';
import type { FrequencyCap } from './frequency-cap.ts';
import { type LinkWishes, linkContent } from './message-links.ts';
import { createReceiptToken } from './receipt-token.ts';
import { toRatedService } from './send-rates.ts';
import type { Worker } from './worker.ts';

/** What all deliveries of one notification share. */
export interface NotificationToSend extends ContentToRender {
  expiresAt: Date;
  wishes: LinkWishes;
  /** What it is about; null: nothing of its own. */
  topicId: string | null;
  /** Null: its users may have any number of messages. */
  frequencyCap: FrequencyCap | null;
}

/**
 * How long it holds what was found when the send was begun: that it is not called off, in its time, to who wants it. After a longer
 * wait for a connection that is found out anew. @default 5_000 // 5 seconds
 */
const freshMs = 5_000;

/** How a delivery's turn ended, and who was to send it, where that is known. */
export type SentOne = TurnEnd & { provider?: Provider };

/**
 * Sends one delivery when its channel is neither paused nor held back, and at its rate, and answers how that ended; null when
 * nothing is configured for its address. Never throws, so that one delivery cannot take others down with it: an address that cannot be
 * read fails for good, and what a channel throws is tried again as often as anything else.
 */
export async function sendOne(
  worker: Worker,
  notification: Pick<NotificationToSend, 'id' | 'expiresAt' | 'wishes' | 'topicId'> & { content: MessageContent },
  delivery: DueDelivery,
): Promise<SentOne | null> {
  const about = { deliveryId: delivery.id, notificationId: notification.id };
  // No attempt so far lived to tell how it ended.
  if (delivery.attempts > attemptsMax) return { kind: 'retry', providerCode: 'INTERRUPTED' };
  let address: Address | null;
  try {
    address = toAddress(worker, delivery);
  } catch (err) {
    worker.log.error({ err, ...about }, 'The address of a delivery cannot be read.');
    return { kind: 'rejected', reason: 'RENDER_FAILED', providerCode: 'ADDRESS_UNREADABLE' };
  }
  if (!address) return null;
  try {
    // Whom mail and SMS are to is of no app, as the keys that send are: the default app sends them.
    const appId = delivery.appId ?? worker.defaultAppId;
    const sender = await worker.channels.senderFor(appId, delivery.channel, address.kind);
    if (!sender) return null;
    const { via, ownerId } = sender;
    const message = {
      ...about,
      channel: delivery.channel,
      platform: delivery.platform,
      address,
      ...linkContent(worker, notification.content, { ...notification, delivery }),
      receiptToken: createReceiptToken(worker.cipher, delivery.id),
      expiresAt: delivery.expiresAt ?? notification.expiresAt,
      // Of a replay, another one than before: providers know an attempt that is repeated.
      attempt: delivery.replays * (attemptsMax + 1) + delivery.attempts,
    };
    const service = toRatedService(delivery.channel, address.kind);
    const provider = { appId: ownerId ?? worker.defaultAppId, channel: delivery.channel, provider: via.name };
    const heldMs = worker.rates.heldMs(provider);
    if (heldMs > 0) return { kind: 'putOff', delayMs: spreadMs(heldMs, Math.random()) };
    const end = await worker.pauses.guard(provider, {
      // It may be held back meanwhile.
      wait: async () =>
        (await worker.rates.take(service, worker.sendSignal, notification.id)) && worker.rates.heldMs(provider) === 0,
      send: async (mayBegin) => {
        const staleAt = performance.now() + freshMs;
        const outcome = await via.send(message, worker.sendSignal, () => mayBegin() && performance.now() < staleAt);
        if (outcome.kind === 'retry' && outcome.isThrottled) {
          worker.rates.hold(provider, outcome.othersWaitMs ?? toHoldMs(outcome));
        }
        return outcome;
      },
      counts: via.hasManyServices !== true,
    });
    return { ...end, provider };
  } catch (err) {
    worker.log.error(
      { err, ...about, channel: delivery.channel },
      'A channel failed; the delivery will be tried again.',
    );
    return { kind: 'retry', providerCode: 'INTERNAL_ERROR' };
  }
}

function toAddress(worker: Worker, delivery: DueDelivery): Address | null {
  switch (delivery.channel) {
    case 'PUSH':
      return delivery.addressCipher && openAddress(worker.cipher, delivery.addressCipher);
    case 'EMAIL':
      return delivery.address === null ? null : { kind: 'email', email: delivery.address };
    case 'SMS':
    case 'WHATSAPP':
      return delivery.address === null ? null : { kind: 'phone', phone: delivery.address };
    case 'IN_APP':
      return delivery.userId === null ? null : { kind: 'inbox', userId: delivery.userId };
  }
}
