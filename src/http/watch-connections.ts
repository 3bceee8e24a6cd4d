import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import type { Logger } from '../logger.ts';

/** Cuts connections whose other end is gone, or has stopped reading. */
export interface ConnectionWatch {
  /**
   * Also pings a WebSocket that is silent, and cuts it when it stays silent. While it does not read what it was sent, it is
   * not read either: whatever it sends is answered.
   */
  addWebSocket(webSocket: WebSocket, socket: Socket): void;
}

interface ConnectionWatchOptions {
  server: Server;
  log: Logger;
  /**
   * How long a connection may take nothing of what waits for it, and how long a WebSocket may neither be heard nor take
   * anything of what waits for it, before it is cut; up to a fifth more. @default 30_000 // 30 seconds
   */
  stalledMs?: number | undefined;
}

/** How often all connections are looked at within `stalledMs`. By default every 6 seconds. */
const looksCount = 5;

interface Watched {
  /** Absent while it is plain HTTP. */
  webSocket?: WebSocket;
  /** As the last look found it. */
  takenBytes: number;
  heardBytes: number;
  isWaiting: boolean;
  /** Looks in a row that found the same waiting as the one before. */
  stalledCount: number;
  /** Looks in a row that found no sign of life. */
  silentCount: number;
}

/**
 * Watches all connections of `server`, from before it listens until it is closed. A line that is slow is never cut, be it as
 * slow as it likes, as long as it moves.
 *
 * Looks are counted, not milliseconds: a process that was held up itself has not heard its peers either, and finds out what
 * they took and said between two looks.
 */
export function watchConnections({ server, log, stalledMs = 30_000 }: ConnectionWatchOptions): ConnectionWatch {
  const connections = new Map<Socket, Watched>();

  function watch(socket: Socket): Watched {
    const watched = { takenBytes: 0, heardBytes: 0, isWaiting: false, stalledCount: 0, silentCount: 0 };
    connections.set(socket, watched);
    socket.once('close', () => connections.delete(socket));
    return watched;
  }

  function look(socket: Socket, watched: Watched) {
    const { webSocket } = watched;
    const takenBytes = countTakenBytes(socket);
    const hasMoved = watched.isWaiting && takenBytes !== watched.takenBytes;
    const isStalled = watched.isWaiting && !hasMoved;
    watched.stalledCount = isStalled ? watched.stalledCount + 1 : 0;
    // That it took what did not have to wait is no sign: the system takes that much for a dead peer too.
    const isAlive = hasMoved || socket.bytesRead !== watched.heardBytes;
    watched.silentCount = isAlive ? 0 : watched.silentCount + 1;
    watched.takenBytes = takenBytes;
    watched.heardBytes = socket.bytesRead;
    watched.isWaiting = socket.writableLength > 0;

    if (watched.stalledCount >= looksCount || (webSocket && watched.silentCount >= looksCount)) {
      log.debug({}, 'A connection was cut: its other end was silent, or took nothing, for too long.');
      // Nothing that could be said would arrive.
      socket.destroy();
    } else if (watched.silentCount === 1 && webSocket?.readyState === WebSocket.OPEN) {
      webSocket.ping();
    }
  }

  server.on('connection', watch);
  const timer = setInterval(() => {
    for (const [socket, watched] of connections) look(socket, watched);
  }, stalledMs / looksCount).unref();
  server.once('close', () => clearInterval(timer));

  return {
    addWebSocket(webSocket, socket) {
      (connections.get(socket) ?? watch(socket)).webSocket = webSocket;
      webSocket.on('message', () => {
        if (webSocket.isPaused || !socket.writableNeedDrain) return;
        webSocket.pause();
        socket.once('drain', () => webSocket.resume());
      });
    },
  };
}

/**
 * What the system has taken from this process for the peer. `bytesWritten` counts what waits too, and `writableLength` lets
 * a chunk wait until all of it is taken, be it an answer of 20 MB; Node itself looks here to tell a slow write from none
 * (https://github.com/nodejs/node/pull/15791).
 */
function countTakenBytes(socket: Socket): number {
  const handle: unknown = Reflect.get(socket, '_handle');
  if (typeof handle === 'object' && handle !== null && 'bytesWritten' in handle && 'writeQueueSize' in handle) {
    const { bytesWritten, writeQueueSize } = handle;
    if (typeof bytesWritten === 'number' && typeof writeQueueSize === 'number') return bytesWritten - writeQueueSize;
  }
  return socket.bytesWritten - socket.writableLength;
}
