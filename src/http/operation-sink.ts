import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import type { Sink } from '../stream/relay.ts';

/** What may wait in this process for one socket before it gets no more. @default 65_536 // 64 KiB */
const waitingBytesMax = 64 * 1024;

const end = Buffer.from('}');

/**
 * Where the answers of one operation go: `next` messages of graphql-transport-ws, made of the answer's JSON and the
 * operation's id. `connection` is the TCP connection below the socket.
 */
export function createOperationSink(socket: WebSocket, connection: Socket, operationId: string): Sink {
  const begin = Buffer.from(`{"id":${JSON.stringify(operationId)},"type":"next","payload":`);
  const isFull = () => socket.readyState === WebSocket.OPEN && socket.bufferedAmount > waitingBytesMax;
  return {
    write(frames) {
      if (socket.readyState !== WebSocket.OPEN) return;
      // One packet for all of them.
      connection.cork();
      for (const json of frames) socket.send(Buffer.concat([begin, json, end]), { binary: false });
      connection.uncork();
    },
    get isFull() {
      return isFull();
    },
    async drained() {
      while (isFull()) {
        await new Promise<void>((resolve) => {
          const settle = () => {
            connection.off('drain', settle).off('close', settle);
            resolve();
          };
          connection.on('drain', settle).on('close', settle);
        });
      }
    },
  };
}
