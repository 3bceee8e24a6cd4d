import { once } from 'node:events';
import { createServer } from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { readBytes, unreadableStatusOf } from '../../src/http/read-body.ts';

test('a body that the caller breaks off is the caller’s mistake, and no failure of ours', async () => {
  const { promise: status, resolve } = Promise.withResolvers<number | null>();
  const server = createServer((request) => {
    readBytes(request, 100).catch((error: unknown) => resolve(unreadableStatusOf(error)));
    socket.destroy();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port }: Pick<AddressInfo, 'port'> = Object(server.address());
  const socket = net.connect(port, '127.0.0.1');
  socket.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{');
  expect(await status).toBe(400);
  server.close();
});
