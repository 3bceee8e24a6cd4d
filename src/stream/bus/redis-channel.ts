import { Redis } from 'ioredis';
import type { RedisNode } from './redis-node.ts';

/**
 * A pub/sub channel over one connection to a server that carries it. Each command rejects unless the server has said
 * yes in time. A connection that breaks is not made anew: open another.
 */
export interface RedisChannel {
  /** Only where it was opened to be heard. Repeating it shows that the server still knows of the subscription. */
  subscribe(): Promise<void>;
  /** Only where it was not opened to be heard. */
  publish(message: string): Promise<void>;
  ping(): Promise<void>;
  /** Resolves when the connection has ended or is of no use any more. */
  readonly broken: Promise<void>;
  close(): void;
}

/** The channel is another server's now: opening it anew leads there. */
export class ChannelMovedError extends Error {
  override readonly name = 'ChannelMovedError';
  /** Where it is. Null: ask any node. An empty host: the same one. */
  readonly address: { host: string; port: number } | null;

  constructor(address: ChannelMovedError['address']) {
    super('Another node carries the channel');
    this.address = address;
  }
}

interface ChannelOptions {
  name: string;
  /** Published when the channel is opened. */
  greeting: string;
  /** Given: the channel is subscribed to when it is opened, and this is called with each message. */
  onMessage?: (message: string) => void;
  /** How long to wait for a connection, and for the answer to a command. */
  answerWithinMs: number;
  /** Closes the connection for good. */
  signal: AbortSignal;
}

/** With more of them the cluster is at odds with itself: better to begin anew in a while. */
const redirectsMax = 3;

/**
 * Opens a channel at the first of `nodes` that leads to it. A single server carries it by itself (PUBLISH, SUBSCRIBE); of
 * a cluster, the nodes that own its slot do (SPUBLISH, SSUBSCRIBE), and any other names them (MOVED).
 *
 * Not ioredis's `Cluster`: when it has to subscribe anew, nobody is told of a failure, and it does not notice a
 * connection that was cut silently.
 *
 * @throws Error that says of each server why not, never with a password.
 */
export async function openRedisChannel(nodes: readonly RedisNode[], options: ChannelOptions): Promise<RedisChannel> {
  const reasons = new Set<string>();
  for (const node of nodes) {
    try {
      return await openAtOwner(node, { ...options, isClusterNeeded: nodes.length > 1 });
    } catch (error) {
      reasons.add(error instanceof Error ? error.message : String(error));
    }
  }
  throw new Error([...reasons].join('; '));
}

type ConnectionOptions = ChannelOptions & { isClusterNeeded: boolean };

async function openAtOwner(first: RedisNode, options: ConnectionOptions): Promise<RedisChannel> {
  let node = first;
  for (let redirects = 0; ; redirects += 1) {
    const channel = await connect(node, options);
    try {
      // ioredis does not tell where an SSUBSCRIBE was sent to; of an SPUBLISH it does.
      await channel.publish(options.greeting);
      if (options.onMessage) await channel.subscribe();
      return channel;
    } catch (error) {
      channel.close();
      if (!(error instanceof ChannelMovedError && error.address) || redirects === redirectsMax) throw error;
      const { host, port } = error.address;
      node = { ...node, host: host || node.host, port };
    }
  }
}

async function connect(node: RedisNode, options: ConnectionOptions): Promise<RedisChannel> {
  const { name, onMessage } = options;
  options.signal.throwIfAborted();
  const client = createClient(node, options.answerWithinMs);
  const { ask, broken, close } = supervise(client, node, options.signal);
  try {
    await ask(client.connect());
    const isCluster = readMode(await ask(client.hello(2))) === 'cluster';
    if (options.isClusterNeeded && !isCluster) {
      throw new Error(`${node.host}:${node.port}: is no node of a Redis Cluster, and stands beside others`);
    }
    client.on(isCluster ? 'smessage' : 'message', (_, message) => onMessage?.(message));
    return {
      async subscribe() {
        await ask(isCluster ? client.ssubscribe(name) : client.subscribe(name));
      },
      async publish(message) {
        await ask(isCluster ? client.spublish(name, message) : client.publish(name, message));
      },
      async ping() {
        await ask(client.ping());
      },
      broken,
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

/** Ends the connection after any error, and tells of each command that failed why the connection has. */
function supervise(client: Redis, node: RedisNode, signal: AbortSignal) {
  let failure: unknown;
  const close = () => {
    if (client.status === 'end') return;
    client.disconnect();
    // Without waiting for the other side, which may be out of reach.
    client.stream?.destroy();
  };
  client.on('error', (error) => {
    failure ??= error;
    // Also when the error leaves the connection open: ioredis and the server then disagree about what was answered.
    close();
  });
  signal.addEventListener('abort', close);
  const broken = new Promise<void>((resolve) => {
    client.once('end', () => {
      signal.removeEventListener('abort', close);
      resolve();
    });
  });
  return {
    close,
    broken,
    async ask(command: Promise<unknown>): Promise<unknown> {
      try {
        return await command;
      } catch (error) {
        throw toChannelError(failure ?? error, node);
      }
    },
  };
}

/** `standalone`, `cluster` or `sentinel`, of what HELLO answers: it tells every user; INFO is among what may be forbidden. */
export function readMode(hello: unknown): unknown {
  return Array.isArray(hello) ? hello[hello.indexOf('mode') + 1] : undefined;
}

/** A connection that does nothing by itself: ioredis would subscribe again, resend and reconnect without a word. */
function createClient({ host, port, username, password, isEncrypted }: RedisNode, answerWithinMs: number): Redis {
  return new Redis({
    host,
    port,
    username,
    password,
    ...(isEncrypted ? { tls: {} } : {}),
    lazyConnect: true,
    connectTimeout: answerWithinMs,
    commandTimeout: answerWithinMs,
    retryStrategy: null,
    enableOfflineQueue: false,
    enableReadyCheck: false,
    autoResubscribe: false,
    autoResendUnfulfilledCommands: false,
    disableClientInfo: true,
  });
}

/** An error whose message names the server and no password, and which has nothing else of `error`, such as its command. */
function toChannelError(error: unknown, { host, port, password }: RedisNode): Error {
  const message = error instanceof Error ? error.message : String(error);
  const [, movedHost = '', movedPort] = /\bMOVED \d+ (\S*):(\d+)$/.exec(message) ?? [];
  if (movedPort) return new ChannelMovedError({ host: movedHost, port: Number(movedPort) });
  // How ioredis reports that the server has ended the subscription, which it does when the slot moves.
  if (/Last reply: sunsubscribe/.test(message)) return new ChannelMovedError(null);
  // An attempt at several addresses of a host has a code and no message.
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'no reason given';
  // A server repeats the arguments of a command that it does not know.
  const reason = password === '' ? message : message.replaceAll(password, '***');
  return new Error(`${host}:${port}: ${(reason || code).replace(/\.$/, '')}`);
}
