import { createServer } from 'node:net';

/** A TCP port of 127.0.0.1 that is free now. Another process may take it at any moment: be ready to ask again. */
export async function findFreePort(): Promise<number> {
  const probe = createServer();
  return new Promise((resolve, reject) => {
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => {
        if (typeof address === 'object' && address) resolve(address.port);
        else reject(new Error('A listening TCP server has no port.'));
      });
    });
  });
}
