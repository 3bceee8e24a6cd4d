import type { Channel } from '../generated/prisma/enums.ts';
import type { Logger } from '../logger.ts';

/**
 * The channels that are down, so that one with wrong credentials neither fails a million deliveries nor tries them all.
 * While a channel is down one send is let through per pause, to see whether it is back; the rest stays queued. Each
 * process finds out by itself.
 */
export interface ChannelPauses {
  /** Whether a send may be begun on this channel now. The one that finds a pause over is the one that tries. */
  mayBegin(channel: Channel): boolean;
  /** A provider said that nothing can be sent. Logged once, until the channel is back. */
  markDown(channel: Channel, providerCode: string | null): void;
  /** A provider took a message, or refused that one only. */
  markUp(channel: Channel): void;
  /** Channels whose deliveries need not be looked at now. */
  listPaused(): Channel[];
  /** Until a channel that is down is tried again, in milliseconds. */
  readonly pauseMs: number;
}

/** @param now a clock in milliseconds that never goes backwards. */
export function createChannelPauses(
  log: Logger,
  { pauseMs, now = () => performance.now() }: { pauseMs: number; now?: () => number },
): ChannelPauses {
  const pausedUntil = new Map<Channel, number>();
  return {
    pauseMs,
    mayBegin(channel) {
      const until = pausedUntil.get(channel);
      if (until === undefined) return true;
      if (now() < until) return false;
      pausedUntil.set(channel, now() + pauseMs);
      return true;
    },
    markDown(channel, providerCode) {
      if (!pausedUntil.has(channel)) log.error({ channel, providerCode }, 'A channel is down; its deliveries wait.');
      pausedUntil.set(channel, now() + pauseMs);
    },
    markUp(channel) {
      if (pausedUntil.delete(channel)) log.info({ channel }, 'A channel that was down works again.');
    },
    listPaused: () => [...pausedUntil].flatMap(([channel, until]) => (now() < until ? [channel] : [])),
  };
}
