import { setTimeout as sleep } from 'node:timers/promises';
import type { AddressKind } from '../channels/channel.ts';
import type { Channel } from '../generated/prisma/enums.ts';
import type { Provider } from './channel-pause-store.ts';

/** What has a rate of its own: who pushes to a form of address, or what serves a whole channel. */
export type RatedService = 'FCM' | 'APNS' | 'WEB_PUSH' | Exclude<Channel, 'PUSH' | 'IN_APP'>;

/** Of which channel each is. */
const services: readonly { service: RatedService; channel: Channel }[] = [
  { service: 'FCM', channel: 'PUSH' },
  { service: 'APNS', channel: 'PUSH' },
  { service: 'WEB_PUSH', channel: 'PUSH' },
  { service: 'EMAIL', channel: 'EMAIL' },
  { service: 'SMS', channel: 'SMS' },
  { service: 'WHATSAPP', channel: 'WHATSAPP' },
];

const pushServiceOf: Partial<Record<AddressKind, RatedService>> = { fcm: 'FCM', apns: 'APNS', webPush: 'WEB_PUSH' };

/** Whose rate a send counts for. Null: nobody's, as the inbox is ours. */
export function toRatedService(channel: Channel, addressKind: AddressKind): RatedService | null {
  if (channel === 'IN_APP') return null;
  return channel === 'PUSH' ? (pushServiceOf[addressKind] ?? null) : channel;
}

/**
 * How fast messages are handed to providers: a token bucket for each service that has a rate, of this process alone. Up to a
 * second's worth goes at once.
 */
export interface SendRates {
  /**
   * Waits for this send's turn; null need not. False: it was given up before.
   *
   * @param notificationId whose turn it is, which is remembered for a while; absent: nobody's.
   */
  take(service: RatedService | null, signal: AbortSignal, notificationId?: string): Promise<boolean>;
  /**
   * How many messages, given by their channels, may be begun together, from the first on: of no channel more than its slowest service
   * takes in a second, so that none that has begun waits for long. One at least.
   */
  countTogether(channels: readonly Channel[]): number;
  /** How many messages each channel takes in a time, by its slowest service; one at least. Absent: any number. */
  countWithin(ms: number): ReadonlyMap<Channel, number>;
  /**
   * Channels of which a service has more than a second's sends waiting, or whose provider is held back: to claim more of them would
   * only keep a job from others' messages. To a notification that has had a turn there just now a channel is busy while any send
   * waits: however much it has, others come in between.
   */
  listBusy(notificationId?: string): Channel[];
  /**
   * Holds a provider back that has said that messages come too fast: for a minute at most, so that one answer does not stop it
   * for longer.
   */
  hold(provider: Provider, forMs: number): void;
  /** How much longer a provider is held back, in milliseconds. 0: it is not. */
  heldMs(provider: Provider): number;
}

/** @default 1_000 // 1 second */
const burstMs = 1_000;

/** How long ago a turn is that was just now: others look every second or two whether it is theirs. @default 5_000 // 5 seconds */
const justNowMs = 5_000;
/** @default 60_000 // 1 minute */
const holdMsMax = 60_000;

const toKey = ({ appId, channel, provider }: Provider): string => [appId, channel, provider].join(' ');

interface Bucket {
  channel: Channel;
  intervalMs: number;
  freeAt: number;
  /** When each notification that had a turn just now had its last one, or is to have it: by id, in that order. */
  turnAt: Map<string, number>;
}

/**
 * @param ratesPerSecond a service that is not in it is not held back.
 * @param now a clock in milliseconds that never goes backwards.
 */
export function createSendRates(
  ratesPerSecond: Partial<Record<RatedService, number>>,
  { now = () => performance.now() } = {},
): SendRates {
  const buckets = new Map<RatedService, Bucket>(
    services.flatMap(({ service, channel }) => {
      const rate = ratesPerSecond[service];
      return rate === undefined
        ? []
        : [[service, { channel, intervalMs: 1_000 / rate, freeAt: Number.NEGATIVE_INFINITY, turnAt: new Map() }]];
    }),
  );

  function countWithin(ms: number) {
    const counts = new Map<Channel, number>();
    for (const { channel, intervalMs } of buckets.values()) {
      const count = Math.max(1, Math.floor(ms / intervalMs));
      counts.set(channel, Math.min(counts.get(channel) ?? Number.POSITIVE_INFINITY, count));
    }
    return counts;
  }

  function remember({ turnAt }: Bucket, notificationId: string, at: number) {
    turnAt.delete(notificationId);
    turnAt.set(notificationId, at);
    for (const [id, lastAt] of turnAt) {
      if (now() - lastAt <= justNowMs) return;
      turnAt.delete(id);
    }
  }

  const held = new Map<string, { channel: Channel; until: number }>();
  return {
    async take(service, signal, notificationId) {
      const bucket = service === null ? undefined : buckets.get(service);
      if (!bucket) return !signal.aborted;
      const startAt = Math.max(bucket.freeAt, now() - burstMs + bucket.intervalMs);
      bucket.freeAt = startAt + bucket.intervalMs;
      if (notificationId !== undefined) remember(bucket, notificationId, startAt);
      const waitMs = startAt - now();
      if (waitMs > 0) await sleep(waitMs, undefined, { signal }).catch(() => undefined);
      return !signal.aborted;
    },
    countTogether(channels) {
      const left = new Map(countWithin(burstMs));
      const isTooMany = (channel: Channel) => {
        const more = (left.get(channel) ?? Number.POSITIVE_INFINITY) - 1;
        left.set(channel, more);
        return more < 0;
      };
      const count = channels.findIndex(isTooMany);
      return count === -1 ? channels.length : Math.max(1, count);
    },
    countWithin,
    listBusy(notificationId = '') {
      const busy = [...buckets.values()].filter(({ freeAt, intervalMs, turnAt }) => {
        const hadTurn = now() - (turnAt.get(notificationId) ?? Number.NEGATIVE_INFINITY) <= justNowMs;
        return freeAt - intervalMs - now() > (hadTurn ? 0 : burstMs);
      });
      // Push has several providers: what one of them does not take now is put off one by one, and the others go on.
      const waiting = [...held.values()].filter(({ channel, until }) => channel !== 'PUSH' && until > now());
      return [...new Set([...busy, ...waiting].map(({ channel }) => channel))];
    },
    hold(provider, forMs) {
      const until = Math.max(held.get(toKey(provider))?.until ?? 0, now() + Math.min(forMs, holdMsMax));
      held.set(toKey(provider), { channel: provider.channel, until });
    },
    heldMs: (provider) => Math.max((held.get(toKey(provider))?.until ?? 0) - now(), 0),
  };
}
