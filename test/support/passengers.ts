import type { Access } from '../../src/stream/hub/gate.ts';
import type { EventStream } from '../../src/stream/hub/hub.ts';
import type { FileDatabase } from './database.ts';
import { type TestHub, take, takeLines, useHubs } from './hubs.ts';
import { insertDeliveries, insertNotification, listLog } from './log-events.ts';
import { createRenderer, createTestSink, type Renderer, type TestSink } from './outlets.ts';
import { until } from './until.ts';

/** Somebody whose stream is forwarded to a sink. */
export interface Passenger {
  readonly sink: TestSink;
  readonly stream: EventStream;
  /** Settles when the stream has ended, as `forward` does. */
  readonly ended: Promise<void>;
}

interface Ride {
  renderer: Renderer;
  /** @default 'shared' */
  sharedAs?: string | null;
  /** @default one that takes everything */
  sink?: TestSink;
  after?: string;
  access?: Access;
}

/** Forwards a stream of the topic. */
export function ride({ hub }: TestHub, topic: { notificationId?: string; userId?: string }, given: Ride): Passenger {
  const { renderer, sharedAs = 'shared', sink = createTestSink(), ...read } = given;
  const stream = hub.events(topic, read);
  const ended = stream.forward({ sink, render: renderer.render, sharedAs });
  // A test that wants to know looks at it itself.
  ended.catch(() => undefined);
  return { sink, stream, ended };
}

interface Relay {
  readonly notificationId: string;
  readonly renderer: Renderer;
  readonly passengers: readonly Passenger[];
}

interface RelayOptions {
  /** @default 2 */
  count?: number;
  renderer?: Renderer;
  /** One for each of them. */
  sinks?: readonly TestSink[];
}

/** How often a line is there. */
export const countOf = (lines: readonly string[], line: string) => lines.filter((other) => other === line).length;

/** Gives the test file that calls it, once and at its top level, hubs over its database, and those who share in them. */
export function usePassengers(database: Pick<FileDatabase, 'url' | 'pool'>) {
  const { openHub } = useHubs(database);

  /** Waits until all of them have the last event of the notification. */
  async function untilAllHave(notificationId: string, passengers: readonly Passenger[]): Promise<void> {
    const last = (await listLog(database.pool, notificationId)).at(-1) ?? 'LIVE';
    await until(async () => passengers.every(({ sink }) => sink.lines.includes(last)));
  }

  /** Makes events until one is rendered only once for all of them, of whom there must be several: then they share a relay. */
  async function untilOnBoard({ bus }: TestHub, { notificationId, renderer, passengers }: Relay): Promise<void> {
    await until(async () => passengers.every(({ sink }) => sink.lines.length > 0));
    for (;;) {
      await insertDeliveries(database.pool, { notificationId });
      bus.wake();
      await untilAllHave(notificationId, passengers);
      const last = (await listLog(database.pool, notificationId)).at(-1) ?? '';
      if (countOf(renderer.rendered, last) === 1) return;
    }
  }

  return {
    openHub,
    untilAllHave,
    untilOnBoard,

    /** A relay of a new notification with so many on board, who were told LIVE and a few events. */
    async openRelay(parts: TestHub, { count = 2, ...given }: RelayOptions = {}): Promise<Relay> {
      const { renderer = createRenderer(), sinks = Array.from({ length: count }, () => createTestSink()) } = given;
      const notificationId = await insertNotification(database.pool);
      const passengers = sinks.map((sink) => ride(parts, { notificationId }, { renderer, sink }));
      const relay = { notificationId, renderer, passengers };
      await untilOnBoard(parts, relay);
      return relay;
    },

    /** Makes so many events of the notification by one statement, and waits until the reader has read them. */
    async happens({ hub, bus }: TestHub, notificationId: string, count: number): Promise<void> {
      const witness = hub.events({ notificationId });
      await take(witness);
      await insertDeliveries(database.pool, { notificationId, count });
      bus.wake();
      await takeLines(witness, count);
      await witness.return();
    },
  };
}
