import { expect, test } from 'vitest';
import { sql } from '../../src/storage/database.ts';
import { newEmail } from '../support/addresses.ts';
import { useApp } from '../support/app.ts';
import { startFakeWebhook } from '../support/fakes/fake-webhook.ts';
import { makeNotification, settledDeliveries } from '../support/operations.ts';
import { makePerson, toSend } from '../support/send-operations.ts';
import { until } from '../support/until.ts';
import { createWebhook, findWebhook, makeWebhook } from '../support/webhooks.ts';

// As it is in production: nobody's webhook reaches what stands behind the gateway.
const g = useApp({ arePrivateWebhooksAllowed: false });

test.each([
  'http://a.example/',
  'https://127.0.0.1/',
  'https://10.0.0.1/',
  'https://169.254.169.254/latest/meta-data',
  'https://[::1]/',
  'https://[fe80::1]/',
  'https://0x7f000001/',
])('%s is refused', async (url) => {
  expect(await createWebhook(g.server, { url, events: ['SENT'] })).toMatchObject({
    code: 'VALUE_INVALID',
    path: ['url'],
  });
});

test('a name that leads to a private address is not connected to', async () => {
  const receiver = await startFakeWebhook();
  const { id } = await makeWebhook(g.server, { url: 'https://localhost/', events: ['SENT'] });
  const person = await makePerson(g.server, { emails: [newEmail()] });
  await settledDeliveries(
    g.server,
    await makeNotification(g.server, toSend({ users: [{ id: person.id }] }, { channels: ['EMAIL'] })),
  );
  await until(async () => (await findWebhook(g.server, id))?.state === 'FAILING');
  expect(await findWebhook(g.server, id)).toMatchObject({ lastFailure: 'ENDPOINT_NOT_PUBLIC' });
  // As it would be if it had been made while private addresses were allowed.
  await g.pool.query(sql`update webhooks set url = ${receiver.url}, next_attempt_at = now(), last_failure = null`);
  await until(async () => (await findWebhook(g.server, id))?.lastFailure === 'ENDPOINT_NOT_PUBLIC');
  expect(receiver.attempts).toEqual([]);
  await receiver.close();
});
