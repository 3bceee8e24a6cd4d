import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** Operations to be posted, over and over, by connections that stay open. */
export interface HttpLoad {
  port: number;
  authorization: string;
  /** Bodies, taken in turn. */
  bodies: readonly string[];
  /** Requests in all. */
  count: number;
  /** Connections, each with one request at a time. */
  connections: number;
  /** How often each connection sends one, if it is answered in time. Undefined: as soon as it is answered. */
  everyMs?: number | undefined;
  /** Part of what every answer must say. */
  expected: string;
}

/** Posts them all. @throws when an answer does not say what is expected. */
export async function post({ connections, count, ...load }: HttpLoad): Promise<void> {
  const share = Math.floor(count / connections);
  await Promise.all(
    Array.from({ length: connections }, (_, index) => postOver(load, { first: index * share, count: share })),
  );
}

/** What one request is answered. */
export async function ask(load: Pick<HttpLoad, 'port' | 'authorization'>, body: string): Promise<string> {
  const [answer = ''] = await postOver({ ...load, bodies: [body], expected: '' }, { first: 0, count: 1 });
  return answer;
}

/** By a socket of its own and as little else as there can be: the clients share the machine with what is measured. */
async function postOver(
  { port, authorization, bodies, expected, everyMs }: Omit<HttpLoad, 'count' | 'connections'>,
  { first, count }: { first: number; count: number },
): Promise<string[]> {
  const requests = bodies.map((body) =>
    Buffer.from(
      `POST /graphql HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\nauthorization: ${authorization}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    ),
  );
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const answers: string[] = [];
  let received = '';
  socket.setEncoding('latin1');
  const cut = new AbortController();
  socket.once('close', () => cut.abort());
  const begun = performance.now();
  for (let sent = 0; sent < count; sent += 1) {
    const earlyMs = everyMs === undefined ? 0 : begun + sent * everyMs - performance.now();
    if (earlyMs > 0) await sleep(earlyMs);
    socket.write(requests[(first + sent) % requests.length] ?? '');
    for (let end = endOfAnswer(received); end === null; end = endOfAnswer(received)) {
      const [chunk] = await once(socket, 'data', { signal: cut.signal });
      received += chunk;
    }
    if (!received.includes(expected)) throw new Error(`Not as expected: ${received}`);
    if (count === 1) answers.push(received.slice(received.indexOf('\r\n\r\n') + 4));
    received = '';
  }
  socket.destroy();
  return answers;
}

function endOfAnswer(received: string): number | null {
  const head = received.indexOf('\r\n\r\n');
  if (head < 0) return null;
  const [, length] = /\r\ncontent-length: (\d+)/i.exec(received.slice(0, head)) ?? [];
  const end = head + 4 + Number(length);
  return received.length >= end ? end : null;
}
