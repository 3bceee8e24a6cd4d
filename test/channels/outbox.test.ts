import { describe, expect, test } from 'vitest';
import type { Address, Message } from '../../src/channels/channel.ts';
import { createOutboxChannel, simulate, simulations } from '../../src/channels/outbox.ts';
import { newId } from '../../src/ids.ts';
import { useDatabase } from '../support/database.ts';
import { makeMessage } from '../support/make-message.ts';

const database = useDatabase();
const never = new AbortController().signal;
const ada: Address = { kind: 'email', email: 'ada@example.com' };

function listRows({ deliveryId }: Message) {
  return database.db.outboxMessage.findMany({ where: { deliveryId }, orderBy: { id: 'asc' } });
}

describe('a row', () => {
  test.each([
    [
      'an e-mail',
      'EMAIL',
      ada,
      'ada@example.com',
      { subject: 'Hi', text: 'Hi\n\nHello', html: expect.stringContaining('<p>Hello</p>') },
    ],
    ['an SMS', 'SMS', { kind: 'phone', phone: '+385916242493' }, '+385916242493', { text: 'Hi\nHello' }],
    [
      'a push',
      'PUSH',
      { kind: 'fcm', token: 'short' },
      'fcm:short',
      expect.objectContaining({ title: 'Hi', body: 'Hello', receiptToken: 'receipt-token' }),
    ],
    [
      'a push',
      'PUSH',
      { kind: 'apns', token: 'a'.repeat(64) },
      `apns:${'a'.repeat(16)}…`,
      expect.objectContaining({ title: 'Hi' }),
    ],
    [
      'an inbox item',
      'IN_APP',
      { kind: 'inbox', userId: newId() },
      'inbox',
      expect.objectContaining({ title: 'Hi', body: 'Hello' }),
    ],
  ] as const)('says what %s on %s would have been', async (_, channel, address, readable, rendered) => {
    const message = makeMessage({ channel, address, content: { title: 'Hi' } });
    await createOutboxChannel(database.db).send(message, never);
    expect(await listRows(message)).toEqual([
      expect.objectContaining({ notificationId: message.notificationId, channel, address: readable, rendered }),
    ]);
  });

  test('is written once for an attempt, however often that runs, and once for each', async () => {
    const outbox = createOutboxChannel(database.db);
    const message = makeMessage({ channel: 'EMAIL', address: ada });
    await Promise.all([outbox.send(message, never), outbox.send(message, never), outbox.send(message, never)]);
    await outbox.send({ ...message, attempt: 2 }, never);
    expect(await listRows(message)).toHaveLength(2);
  });

  test('is not written by a send that was given up', async () => {
    const message = makeMessage({ channel: 'EMAIL', address: ada });
    await createOutboxChannel(database.db).send(message, AbortSignal.abort());
    expect(await listRows(message)).toEqual([]);
  });

  test('stands in the order of the deliveries', async () => {
    const outbox = createOutboxChannel(database.db);
    const notificationId = newId();
    // Made a second apart: UUIDs of version 7 begin with their millisecond.
    const deliveryIds = [1, 2, 3].map((second) => {
      const at = Date.UTC(2026, 0, 1, 0, 0, second).toString(16).padStart(12, '0');
      return `${at.slice(0, 8)}-${at.slice(8)}-7000-8000-000000000000`;
    });
    for (const deliveryId of deliveryIds.toReversed()) {
      await outbox.send(makeMessage({ channel: 'EMAIL', address: ada, deliveryId, notificationId }), never);
    }
    const rows = await database.db.outboxMessage.findMany({ where: { notificationId }, orderBy: { id: 'asc' } });
    expect(rows.map((row) => row.deliveryId)).toEqual(deliveryIds);
  });
});

describe('a simulated outcome', () => {
  const expected = new Map<string, [object, object]>([
    [
      'delivered',
      [
        { kind: 'accepted', receipt: 'DELIVERED' },
        { kind: 'accepted', receipt: 'DELIVERED' },
      ],
    ],
    [
      'bounced',
      [
        { kind: 'accepted', receipt: 'BOUNCED' },
        { kind: 'accepted', receipt: 'BOUNCED' },
      ],
    ],
    [
      'rejected',
      [
        { kind: 'rejected', reason: 'PROVIDER_REJECTED' },
        { kind: 'rejected', reason: 'PROVIDER_REJECTED' },
      ],
    ],
    ['gone', [{ kind: 'gone' }, { kind: 'gone' }]],
    ['retry-once', [{ kind: 'retry' }, { kind: 'accepted' }]],
    ['unavailable', [{ kind: 'retry' }, { kind: 'retry' }]],
  ]);

  test('is expected here for each way to fare', () => {
    expect(simulations.map((simulation) => simulation.tag)).toEqual([...expected.keys()]);
  });

  test.each([...simulations])('$tag is chosen by e-mail, phone and token', ({ tag, digits }) => {
    const providerCode = `SIMULATED_${tag.toUpperCase().replace('-', '_')}`;
    const [first, second] = expected.get(tag) ?? [];
    const addresses: Address[] = [
      { kind: 'email', email: `Ada+${tag}@example.com` },
      { kind: 'phone', phone: `+38591624${digits}` },
      { kind: 'fcm', token: `${tag}-abc` },
      { kind: 'apns', token: `${tag}-abc` },
    ];
    for (const address of addresses) {
      expect(simulate(address, 1)).toEqual({ ...first, providerCode });
      expect(simulate(address, 2)).toEqual({ ...second, providerCode });
    }
  });

  test.each<Address>([
    ada,
    { kind: 'email', email: 'bounced@example.com' },
    { kind: 'email', email: 'ada+bouncedness@example.com' },
    { kind: 'phone', phone: '+385916242493' },
    { kind: 'fcm', token: 'abc' },
    { kind: 'apns', token: 'gone' },
    { kind: 'inbox', userId: 'gone-' },
  ])('of any other address is that it is accepted: %j', (address) => {
    expect(simulate(address, 1)).toEqual({ kind: 'accepted', providerCode: null });
  });
});
