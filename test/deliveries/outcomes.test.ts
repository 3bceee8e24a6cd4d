import { describe, expect, test } from 'vitest';
import { attemptsMax } from '../../src/deliveries/decide-outcome.ts';
import { newEmail, newPhone } from '../support/addresses.ts';
import { useApp } from '../support/app.ts';
import { makeNotification } from '../support/operations.ts';
import { makePerson, settledInAHurry, toSend } from '../support/send-operations.ts';

const g = useApp({}, { sweepMs: 50 });

const simulated = {
  email: (tag: string) => ({ channel: 'EMAIL' as const, emails: [newEmail(tag)] }),
  phone: (digits: string) => ({ channel: 'SMS' as const, phones: [newPhone(digits)] }),
  push: (tag: string) => ({ channel: 'PUSH' as const, tokenPrefix: `${tag}-` }),
};

/** The one delivery to a person whose address is played that way, and the notification, once nothing is left to send. */
async function deliver({
  channel,
  ...person
}: Parameters<typeof makePerson>[1] & { channel: 'EMAIL' | 'SMS' | 'PUSH' }) {
  const user = await makePerson(g.server, person);
  const id = await makeNotification(g.server, toSend({ users: [{ id: user.id }] }, { channels: [channel] }));
  const notification = await settledInAHurry(g, id);
  const [delivery] = notification.deliveries.nodes;
  if (!delivery || notification.deliveries.totalCount !== 1) throw new Error('There is not exactly one delivery.');
  return { user, notification, delivery, story: delivery.events.map(({ status }) => status) };
}

/** What the counts that exclude each other add up to. */
function sumOf(progress: Awaited<ReturnType<typeof deliver>>['notification']['progress']): number {
  const { total, reached, isComplete, ...counts } = progress;
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

describe('each event is told once, and the counts follow', () => {
  test.each([
    [
      'an e-mail that is accepted',
      simulated.email('fine'),
      ['QUEUED', 'SENT'],
      { sent: 1, reached: { sent: 1, delivered: 0 } },
    ],
    [
      'an e-mail that is delivered',
      simulated.email('delivered'),
      ['QUEUED', 'SENT', 'DELIVERED'],
      { delivered: 1, reached: { sent: 1, delivered: 1 } },
    ],
    [
      'an SMS that is delivered',
      simulated.phone('0001'),
      ['QUEUED', 'SENT', 'DELIVERED'],
      { delivered: 1, reached: { sent: 1, delivered: 1 } },
    ],
    [
      'a push that is delivered',
      simulated.push('delivered'),
      ['QUEUED', 'SENT', 'DELIVERED'],
      { delivered: 1, reached: { sent: 1, delivered: 1 } },
    ],
    [
      'an e-mail that bounces',
      simulated.email('bounced'),
      ['QUEUED', 'SENT', 'BOUNCED'],
      { bounced: 1, reached: { sent: 1, delivered: 0 } },
    ],
    [
      'an SMS that is rejected',
      simulated.phone('0003'),
      ['QUEUED', 'FAILED'],
      { failed: 1, reached: { sent: 0, delivered: 0 } },
    ],
    [
      'a push that is put off once',
      simulated.push('retry-once'),
      ['QUEUED', 'SENT'],
      { sent: 1, reached: { sent: 1, delivered: 0 } },
    ],
    [
      'an e-mail that is put off for ever',
      simulated.email('unavailable'),
      ['QUEUED', 'FAILED'],
      { failed: 1, reached: { sent: 0, delivered: 0 } },
    ],
  ])('%s', async (_, address, story, progress) => {
    const found = await deliver(address);
    expect(found.story).toEqual(story);
    expect(found.notification.progress).toMatchObject({ total: 1, ...progress });
    expect(sumOf(found.notification.progress)).toBe(1);
    expect(found.notification.status).toBe('DONE');
  });
});

describe('every end says why', () => {
  test.each([
    [simulated.email('bounced'), 'BOUNCED', 'HARD_BOUNCE', 'SIMULATED_BOUNCED'],
    [simulated.email('rejected'), 'FAILED', 'PROVIDER_REJECTED', 'SIMULATED_REJECTED'],
    [simulated.email('gone'), 'BOUNCED', 'HARD_BOUNCE', 'SIMULATED_GONE'],
    [simulated.push('gone'), 'FAILED', 'ADDRESS_GONE', 'SIMULATED_GONE'],
    [simulated.phone('0006'), 'FAILED', 'PROVIDER_UNAVAILABLE', 'SIMULATED_UNAVAILABLE'],
  ])('%o', async (address, status, reason, providerCode) => {
    const { delivery } = await deliver(address);
    expect(delivery).toMatchObject({ status, reason, providerCode });
    expect(delivery.events.at(-1)).toMatchObject({ status, reason });
  });
});

test('a provider that is unavailable is tried as often as is said, and no more', async () => {
  const { delivery } = await deliver(simulated.push('unavailable'));
  expect(delivery.attempts).toBe(attemptsMax);
  expect(await g.db.outboxMessage.count({ where: { address: { startsWith: 'fcm:unavailable-' } } })).toBe(attemptsMax);
});

test('a push address that is gone is forgotten', async () => {
  const { user } = await deliver(simulated.push('gone'));
  expect(await g.db.installation.findUnique({ where: { id: user.installation.pushRegistrationId } })).toMatchObject({
    addressCipher: null,
    addressHash: null,
    pushStatus: 'ASK',
  });
});

test('an e-mail address that is gone is retired: the next message is not sent to it', async () => {
  const { user } = await deliver(simulated.email('gone'));
  const again = await makeNotification(g.server, toSend({ users: [{ id: user.id }] }, { channels: ['EMAIL'] }));
  const { deliveries } = await settledInAHurry(g, again);
  expect(deliveries.nodes).toMatchObject([{ status: 'DISCARDED', reason: 'ADDRESS_GONE', attempts: 0 }]);
});

test('a push address that was renewed while the provider called the old one gone is kept', async () => {
  const user = await makePerson(g.server, { tokenPrefix: 'gone-' });
  const { pushRegistrationId: id } = user.installation;
  // The outbox keeps the message during the send: that is when the installation registers its new address.
  await g.pool.query(`
    create function renew_address() returns trigger language plpgsql as $$ begin
      update installations set address_cipher = 'renewed' where id = '${id}'; return null;
    end $$`);
  await g.pool.query('create trigger renew_address after insert on outbox_messages execute function renew_address()');
  const notification = await makeNotification(g.server, toSend({ users: [{ id: user.id }] }, { channels: ['PUSH'] }));
  const { deliveries } = await settledInAHurry(g, notification);
  await g.pool.query('drop trigger renew_address on outbox_messages');
  expect(deliveries.nodes).toMatchObject([{ status: 'FAILED', reason: 'ADDRESS_GONE' }]);
  expect(await g.db.installation.findUnique({ where: { id } })).toMatchObject({
    addressCipher: new Uint8Array(Buffer.from('renewed')),
    pushStatus: 'ALLOWED',
  });
});
