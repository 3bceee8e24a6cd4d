import { once } from 'node:events';
import { connect } from 'node:net';
import tls from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { testCertificate } from '../../support/fakes/test-certificate.ts';
import { redisUrl } from '../../support/redis.ts';
import { hearEachOther, useRedisBuses } from '../../support/redis-buses.ts';

const sharedUrl = await redisUrl();
const openBus = useRedisBuses();

describe.skipIf(sharedUrl === null)('over TLS', () => {
  const trusted = tls.getCACertificates('default');
  const target = URL.parse(sharedUrl ?? '');
  const server = tls.createServer(testCertificate, (near) => {
    const far = connect(Number(target?.port || 6379), target?.hostname);
    near.pipe(far).pipe(near);
    near.on('error', () => far.destroy());
    far.on('error', () => near.destroy());
  });
  let port = 0;

  beforeAll(async () => {
    server.listen(0);
    await once(server, 'listening');
    const address = server.address();
    port = typeof address === 'object' && address ? address.port : 0;
  });
  afterEach(() => tls.setDefaultCACertificates(trusted));
  afterAll(() => server.close());

  test('wake-ups pass where the certificate is trusted and names the host', async () => {
    tls.setDefaultCACertificates([...trusted, testCertificate.cert]);
    const url = `rediss://localhost:${port}`;
    const namespace = crypto.randomUUID();
    const [{ bus: here }, { bus: there }] = [await openBus(url, namespace), await openBus(url, namespace)];
    await hearEachOther([here, there]);
  });

  test('a certificate that is not trusted is refused, and one for another name', async () => {
    await expect(openBus(`rediss://localhost:${port}`)).rejects.toThrow(/cannot be used: .*self-signed certificate/);
    tls.setDefaultCACertificates([...trusted, testCertificate.cert]);
    await expect(openBus(`rediss://127.0.0.1:${port}`)).rejects.toThrow(/cannot be used: .*altnames/);
  });
});
