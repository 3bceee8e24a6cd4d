import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { newEmail } from '../support/addresses.ts';
import { createClient } from '../support/client.ts';
import { startFakeWebhook, verifyWebhook } from '../support/fakes/fake-webhook.ts';
import { makeNotification, settledDeliveries } from '../support/operations.ts';
import { startProgram } from '../support/program.ts';
import { makePerson, toSend } from '../support/send-operations.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';
import { until } from '../support/until.ts';
import { makeWebhook } from '../support/webhooks.ts';

const SERVER_KEY = 'server-key-of-the-tests';

// Programs start and stop.
vi.setConfig({ testTimeout: 120_000 });

test('a program that is killed while it tells a webhook tells the same again under the same id, and loses nothing', async () => {
  const temporary = await makeTemporaryDirectory();
  const receiver = await startFakeWebhook();
  const settings = { DATA_DIR: join(temporary.path, 'data'), SERVER_KEY };
  const send = async (url: string) => {
    const server = createClient(url, SERVER_KEY);
    const person = await makePerson(server, { emails: [newEmail()] });
    const input = toSend({ users: [{ id: person.id }] }, { channels: ['EMAIL'] });
    return (await settledDeliveries(server, await makeNotification(server, input))).deliveries.nodes;
  };

  await using killed = await startProgram(settings);
  // Nobody knows whether it was taken.
  receiver.answer(null);
  const { secret } = await makeWebhook(createClient(killed.url, SERVER_KEY), { url: receiver.url, events: ['SENT'] });
  await send(killed.url);
  const [unanswered] = await receiver.received(1);
  await send(killed.url);
  killed.send('SIGKILL');
  await killed.ended;

  receiver.answer(204);
  await using next = await startProgram(settings);
  await send(next.url);
  await until(async () => receiver.events().length >= 3);
  const [, repeated] = receiver.attempts;
  expect([repeated?.id, repeated?.body]).toEqual([unanswered?.id, unanswered?.body]);
  const cursors = receiver.events().map(({ cursor }) => cursor);
  expect([cursors.length, new Set(cursors).size]).toEqual([3, 3]);
  for (const attempt of receiver.attempts) verifyWebhook(secret, attempt);
  await next.stop();
  await receiver.close();
  await temporary.remove();
});
