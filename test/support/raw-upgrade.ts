import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** How a frame is written (RFC 6455, 5.2). */
interface FrameOptions {
  opcode: number;
  /** As of a message that is compressed. */
  hasReservedBit?: boolean;
  /** Says that it has so many bytes, whatever it has. */
  claimedBytes?: number;
}

/** A frame as clients send them, masked. */
export function toFrame(payload: Buffer, { opcode, hasReservedBit = false, claimedBytes }: FrameOptions): Buffer {
  const length = claimedBytes ?? payload.length;
  const head = Buffer.alloc(length < 126 ? 2 : 10);
  head[0] = 0x80 | (hasReservedBit ? 0x40 : 0) | opcode;
  head[1] = 0x80 | (length < 126 ? length : 127);
  if (length >= 126) head.writeBigUInt64BE(BigInt(length), 2);
  const mask = randomBytes(4);
  return Buffer.concat([head, mask, payload.map((byte, index) => byte ^ (mask[index % 4] ?? 0))]);
}

/** A connection that has become a WebSocket, frame by frame in the hands of a test; and the headers of the upgrade. */
export async function upgrade(url: string, headers: readonly string[] = []): Promise<{ socket: Socket; head: string }> {
  const { hostname, port, host } = new URL(url);
  const socket = connect(Number(port), hostname);
  await once(socket, 'connect');
  // To be cut off while it writes is what it is there for.
  socket.on('error', () => undefined);
  const lines = [
    'GET /graphql HTTP/1.1',
    `Host: ${host}`,
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
    'Sec-WebSocket-Protocol: graphql-transport-ws',
    ...headers,
  ];
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  const [head] = await once(socket, 'data');
  return { socket, head: String(head) };
}

/** Waits for a close frame, and answers its code. */
export async function readCloseCode(socket: Socket): Promise<number> {
  for await (const chunk of socket) {
    if (chunk instanceof Buffer && chunk[0] === 0x88) return chunk.readUInt16BE(2);
  }
  throw new Error('The connection was closed without a close frame.');
}
