import { once } from 'node:events';
import { afterEach } from 'vitest';
import { WebSocket } from 'ws';

/** What a client asks for. */
export interface Operation {
  query: string;
  variables?: Record<string, unknown>;
  operationName?: string;
}

/** A WebSocket in graphql-transport-ws that keeps what it is sent as it came. */
export interface RawSocket {
  /** Every message after connection_ack. */
  readonly frames: readonly string[];
  /** Text goes as it is, anything else as JSON. */
  send(message: unknown): void;
  subscribe(id: string, operation: Operation): void;
  /** Takes nothing from the network any more, until it is resumed. */
  pause(): void;
  resume(): void;
  /** Resolves with the code with which it was closed. */
  readonly closed: Promise<number>;
  close(): void;
}

/** Opens a WebSocket as a caller, ready for operations. */
async function openRawSocket(url: string, secret: string): Promise<RawSocket> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  const frames: string[] = [];
  const { promise: acknowledged, resolve } = Promise.withResolvers<void>();
  socket.on('message', (data) => {
    const text = String(data);
    if (text.startsWith('{"type":"connection_ack"')) resolve();
    else frames.push(text);
  });
  const closed = new Promise<number>((onClosed) => socket.on('close', onClosed));
  await once(socket, 'open');
  const send = (message: unknown) => socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  send({ type: 'connection_init', payload: { authorization: `Bearer ${secret}` } });
  await acknowledged;
  return {
    frames,
    send,
    subscribe: (id, payload) => send({ id, type: 'subscribe', payload }),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    closed,
    close: () => socket.terminate(),
  };
}

/** Gives the test file that calls it sockets, which are closed after each test. */
export function useRawSockets(door: { readonly url: string }) {
  const opened: RawSocket[] = [];
  afterEach(async () => {
    const sockets = opened.splice(0);
    for (const socket of sockets) socket.close();
    await Promise.all(sockets.map(({ closed }) => closed));
  });
  return async (secret: string, url = door.url): Promise<RawSocket> => {
    const socket = await openRawSocket(url, secret);
    opened.push(socket);
    return socket;
  };
}

/** An object, whatever it is of. */
type Fields = Record<string, unknown>;

/** A message as graphql-transport-ws has it. */
export interface Message {
  readonly id?: string;
  readonly type: string;
  readonly payload?: Fields;
}

/** Messages of one operation. */
export function framesOf({ frames }: RawSocket, id: string): string[] {
  const begin = `{"id":${JSON.stringify(id)},`;
  return frames.filter((frame) => frame.startsWith(begin));
}

export function parseFrame(frame: string): Message {
  return JSON.parse(frame);
}

/** What an answer of `deliveryEvents` holds: an event, or a position. */
export function itemOf(frame: string): Fields {
  return Object(parseFrame(frame).payload?.data).deliveryEvents;
}

/** What is wrong with the order of a socket's messages: an answer, error or completion of an operation that has ended. */
export function findDisorder(frames: readonly string[]): string[] {
  const ended = new Set<string>();
  return frames.filter((frame) => {
    const { id, type } = parseFrame(frame);
    if (id === undefined) return false;
    const isLate = ended.has(id);
    if (type === 'complete' || type === 'error') ended.add(id);
    return isLate;
  });
}
