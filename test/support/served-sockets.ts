import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Socket } from 'node:net';

/** Collects the server's ends of the connections that this process accepts from now on. */
export function collectServedSockets(): { readonly sockets: readonly Socket[] } & Disposable {
  const sockets: Socket[] = [];
  const note = (message: unknown) => {
    const { socket } = Object(message);
    if (socket instanceof Socket) sockets.push(socket);
  };
  subscribe('net.server.socket', note);
  return { sockets, [Symbol.dispose]: () => void unsubscribe('net.server.socket', note) };
}
