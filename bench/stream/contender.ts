import { z } from 'zod';
import { startChild } from '../support/child.ts';
import type { Gateway } from '../support/gateway.ts';
import { now } from './clock.ts';
import type { Destination } from './crowd.ts';
import type { Publisher } from './publisher.ts';
import { deliveryEvents } from './subscription.ts';

/** One of the two servers that are compared: what it is offered, and what it uses. */
export interface Contender {
  name: 'carillon' | 'raw';
  destination: Destination;
  /** Called before each round, with how many events it will publish, and a frame of the gateway's. */
  prepare(eventCount: number, sample: string): Promise<void>;
  /**
   * Publishes the next `count` events. Answers the moment from which their way to the subscribers counts: right before
   * their commit; for the raw peer, right before it is told to broadcast them, which is the whole of its publishing.
   */
  publish(count: number): Promise<number>;
  /** What its process has computed since it started, user and system, in microseconds. */
  cpuUs(): Promise<number>;
  /** Whether these are the cursors of what was published in this round, in order. */
  wasPublished(cursors: readonly string[]): Promise<boolean>;
}

/** The gateway, and a publisher that writes to its database. */
export function toContender(gateway: Gateway, publisher: Publisher): Contender {
  const { url, authorization, cpuUs } = gateway;
  const variables = { notification: publisher.notificationId };
  return {
    name: 'carillon',
    destination: { url, subscription: { authorization, query: deliveryEvents, variables } },
    prepare: async () => undefined,
    publish: publisher.publish,
    cpuUs,
    wasPublished: publisher.isLastPublished,
  };
}

/** A server that broadcasts ready strings, each as long as a frame of the gateway's, by `ws` and nothing else. */
export async function startRawPeer(): Promise<Contender & AsyncDisposable> {
  const child = startChild(new URL('./raw-peer.ts', import.meta.url));
  const { port } = await child.ask({ kind: 'listen' }, z.object({ port: z.int() }));
  const cpuSchema = z.object({ cpuUs: z.number() });
  let cursors: string[] = [];
  return {
    name: 'raw',
    destination: { url: `ws://127.0.0.1:${port}`, subscription: null },
    async prepare(eventCount, sample) {
      cursors = Array.from({ length: eventCount }, (_, event) => String(event).padStart(38, '0'));
      const texts = cursors.map((cursor) => sample.replace(/(?<="cursor":")[^"]*/, cursor));
      await child.ask({ kind: 'prepare', texts }, z.object({}));
    },
    async publish(count) {
      const publishedAt = now();
      child.tell({ kind: 'broadcast', count });
      return publishedAt;
    },
    cpuUs: async () => (await child.ask({ kind: 'cpu' }, cpuSchema)).cpuUs,
    wasPublished: async (received) => received.join() === cursors.join(),
    [Symbol.asyncDispose]: child[Symbol.asyncDispose],
  };
}
