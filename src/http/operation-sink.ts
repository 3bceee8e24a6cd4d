import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import type { Sink } from '../stream/hub/relay.ts';

/** What may wait in this process for one socket before it gets no more. @default 65_536 // 64 KiB */
const waitingBytesMax = 64 * 1024;

const end = Buffer.from('}');

/** Where the answers of one operation go: `next` messages of graphql-transport-ws, made of the answer's JSON and the operation's id. */
export class OperationSink implements Sink {
  readonly #socket: WebSocket;
  readonly #connection: Socket;
  readonly #begin: Buffer;

  /** @param connection the TCP connection below the socket. */
  constructor(socket: WebSocket, connection: Socket, operationId: string) {
    this.#socket = socket;
    this.#connection = connection;
    this.#begin = copy(`{"id":${JSON.stringify(operationId)},"type":"next","payload":`);
  }

  write(frames: readonly Buffer[]): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    // One packet for all of them; `ws` sees to that where there is but one.
    if (frames.length > 1) this.#connection.cork();
    for (const json of frames) this.#socket.send(Buffer.concat([this.#begin, json, end]), { binary: false });
    if (frames.length > 1) this.#connection.uncork();
  }

  get isFull(): boolean {
    const { readyState, bufferedAmount } = this.#socket;
    // One that is being closed takes nothing more, and need not be read for.
    return readyState === WebSocket.CLOSING || (readyState === WebSocket.OPEN && bufferedAmount > waitingBytesMax);
  }

  async drained(): Promise<void> {
    while (this.isFull) await nextDrain(this.#connection);
  }
}

/** What is waited for, so that all operations of a connection, however many, are one listener to it. */
const drains = new WeakMap<Socket, Promise<void>>();

/** Resolves when the connection has nothing left to send, or is closed. */
function nextDrain(connection: Socket): Promise<void> {
  const known = drains.get(connection);
  if (known) return known;
  const { promise, resolve } = Promise.withResolvers<void>();
  const settle = () => {
    connection.off('drain', settle).off('close', settle);
    drains.delete(connection);
    resolve();
  };
  connection.on('drain', settle).on('close', settle);
  drains.set(connection, promise);
  return promise;
}

/** Bytes of their own: as a part of Node's shared pool they would keep all of it for as long as the operation lasts. */
function copy(text: string): Buffer {
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(text));
  bytes.write(text);
  return bytes;
}
