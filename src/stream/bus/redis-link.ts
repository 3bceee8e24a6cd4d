import { createPulse, type Next } from '../pulse.ts';
import { ChannelMovedError, type RedisChannel } from './redis-channel.ts';

/** A channel that is kept open: when it breaks, or something fails on it, another is opened, until that works. */
export interface RedisLink {
  /** Opens the first one, and rejects when that fails: later failures are not for the caller to hear. */
  start(): Promise<void>;
  /** Has `send` run soon, once for all who asked meanwhile. When it fails, the opening of another channel stands for it. */
  send(): void;
  /** Has it show whether it serves. */
  doubt(): void;
  /** Whether it has served since the last failure and the last doubt. */
  hasServed(): boolean;
  /** Resolves when nothing is under way any more. The channel is its opener's to close. */
  stop(): Promise<void>;
}

interface RedisLinkOptions {
  open: () => Promise<RedisChannel>;
  /** Shows that the channel serves: a connection that was cut silently looks like a quiet one. */
  beat: (channel: RedisChannel) => Promise<void>;
  send?: (channel: RedisChannel) => Promise<void>;
  heartbeatMs: number;
  onServed: () => void;
  /** Says how long to wait before another attempt, in milliseconds. */
  onFailed: (error: unknown) => number;
}

/** A link that has not been started. It does one thing at a time. */
export function createRedisLink({
  open,
  beat,
  send = beat,
  heartbeatMs,
  onServed,
  onFailed,
}: RedisLinkOptions): RedisLink {
  let channel: RedisChannel | undefined;
  let isDue = false;
  let hasServed = false;
  let isStopped = false;
  const pulse = createPulse(step, () => true);

  async function serve() {
    const use = isDue ? send : beat;
    isDue = false;
    if (channel && (await isServed(channel, use))) return;
    channel = await open();
    void channel.broken.then(pulse.wake);
  }

  /** False when the channel has only moved, which is no failure. */
  async function isServed(by: RedisChannel, use: typeof beat) {
    try {
      await use(by);
      return true;
    } catch (error) {
      if (!(error instanceof ChannelMovedError)) throw error;
      by.close();
      return false;
    }
  }

  async function step(): Promise<Next> {
    try {
      await serve();
      hasServed = true;
      onServed();
      return { kind: 'onWake', ms: heartbeatMs };
    } catch (error) {
      channel?.close();
      channel = undefined;
      return { kind: 'after', ms: isStopped ? 0 : onFailed(error) };
    }
  }

  return {
    async start() {
      await serve();
      hasServed = true;
      pulse.wake();
    },
    send() {
      isDue = true;
      pulse.wake();
    },
    doubt() {
      hasServed = false;
      pulse.wake();
    },
    hasServed: () => hasServed,
    async stop() {
      isStopped = true;
      await pulse.stop();
    },
  };
}
