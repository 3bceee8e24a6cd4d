import type { Server } from 'node:http';
import { StartupError } from '../errors.ts';

/**
 * Connections that may wait to be accepted; the system may have a lower limit (Linux: net.core.somaxconn, 4,096). When a
 * gateway dies its subscribers come to the others at once, and Linux resets those who wait in vain. @default 4_096
 */
const backlogMax = 4_096;

/**
 * Lets a server listen, and answers where, such as `http://127.0.0.1:4000`. `port` 0: any free one.
 *
 * @param setting the one that says the port.
 * @throws StartupError when the address cannot be listened on.
 */
export async function listen(
  server: Server,
  { host, port, setting }: { host: string; port: number; setting: 'PORT' | 'METRICS_PORT' },
): Promise<string> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port, backlog: backlogMax }, () => {
        server.off('error', reject);
        resolve();
      });
    });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    const why =
      code === 'EADDRINUSE'
        ? `Port ${port} on ${host} is taken by another program: stop that one, or set ${setting} to a free port.`
        : `Port ${port} on ${host} cannot be listened on (${String(code)}): check HOST and ${setting}.`;
    throw new StartupError(why, { cause: error });
  }
  return toUrl(server);
}

function toUrl(server: Server): string {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The server listens on no port.');
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return `http://${host}:${address.port}`;
}
