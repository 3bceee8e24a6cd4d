import { afterEach, expect, test } from 'vitest';
import type { Channel } from '../../src/generated/prisma/enums.ts';
import { newEmail, newPhone } from '../support/addresses.ts';
import { cancelNotification } from '../support/cancel-operations.ts';
import { useGatewayAndWorker } from '../support/gateway-and-worker.ts';
import { makeNotification, settledDeliveries } from '../support/operations.ts';
import { localIdOf, makePerson, toSend } from '../support/send-operations.ts';
import { until } from '../support/until.ts';

const g = useGatewayAndWorker();

/** What is found by the sweeper would come too late. */
const withoutSweeper = { sweepMs: 60_000 };

/** People with this many phones and e-mail addresses together. */
async function makePeople(count: number): Promise<{ id: string }[]> {
  const people: { id: string }[] = [];
  for (let left = count; left > 0; left -= 100) {
    const addresses = { length: Math.min(left, 100) };
    const emails = Array.from(addresses, () => newEmail());
    people.push(await makePerson(g.server, { emails, phones: Array.from(addresses, () => newPhone()) }));
  }
  return people;
}

const made: string[] = [];

async function send(people: readonly { id: string }[], channel: Channel): Promise<string> {
  const users = people.map(({ id }) => ({ id }));
  const notification = await makeNotification(g.server, toSend({ users }, { channels: [channel] }));
  made.push(notification);
  return notification;
}

// What is left would take the rate of the next test.
afterEach(async () => {
  for (const notification of made.splice(0)) await cancelNotification(g.server, notification);
});

const countOf = (notification: string, status: 'QUEUED' | 'SENDING' | 'SENT') =>
  g.db.delivery.count({ where: { notificationId: localIdOf(notification), status } });

const underWay = (notification: string) => until(async () => (await countOf(notification, 'SENT')) >= 4);

test('a push goes out beside large notifications of two channels that have a rate', async () => {
  const people = await makePeople(300);
  await g.startWorker({ ratesPerSecond: { SMS: 1, EMAIL: 1 } }, withoutSweeper);
  const large = [await send(people, 'SMS'), await send(people, 'EMAIL')];
  await Promise.all(large.map(underWay));
  const push = await send(people.slice(0, 1), 'PUSH');
  expect((await settledDeliveries(g.server, push)).progress).toMatchObject({ total: 1, sent: 1 });
});

test('a small notification goes out beside a large one of the same channel, long before that is sent', async () => {
  const [people, person] = [await makePeople(300), await makePeople(1)];
  await g.startWorker({ ratesPerSecond: { SMS: 1 } }, withoutSweeper);
  const large = await send(people, 'SMS');
  await underWay(large);
  expect((await settledDeliveries(g.server, await send(person, 'SMS'))).progress).toMatchObject({ total: 1, sent: 1 });
  expect(await countOf(large, 'QUEUED')).toBeGreaterThan(200);
});

test('a large notification holds no more than goes within seconds, and is sent at its rate', async () => {
  const people = await makePeople(60);
  await g.startWorker({ ratesPerSecond: { SMS: 6 } }, withoutSweeper);
  const notification = await send(people, 'SMS');
  await underWay(notification);
  expect(await countOf(notification, 'SENDING')).toBeLessThanOrEqual(30);
  expect((await settledDeliveries(g.server, notification)).progress).toMatchObject({ total: 60, sent: 60 });
});

test('what a batch gives back goes out soon, also where nothing else was due', async () => {
  const [first, second] = [await makePeople(5), await makePeople(5)];
  await g.startWorker({ ratesPerSecond: { SMS: 1 } }, withoutSweeper);
  const notifications = [await send(first, 'SMS'), await send(second, 'SMS')];
  // Each was claimed as a whole, and the channel takes only half of it while a batch goes on.
  await until(async () => {
    const isGivenBack = async (one: string) => (await countOf(one, 'SENT')) > 0 && (await countOf(one, 'QUEUED')) > 0;
    return (await Promise.all(notifications.map(isGivenBack))).includes(true);
  });
  for (const notification of notifications) {
    expect((await settledDeliveries(g.server, notification)).progress).toMatchObject({ total: 5, sent: 5 });
  }
});
