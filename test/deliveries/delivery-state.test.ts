import { describe, expect, test } from 'vitest';
import { decideReceipt, mayFollow } from '../../src/deliveries/delivery-state.ts';
import { DeliveryStatus } from '../../src/generated/prisma/enums.ts';

const statuses = Object.values(DeliveryStatus);

// The table of product.md, "Delivery states", once more and by itself, so that a change of the code's is a change of two.
const mayFollowWhat: Record<DeliveryStatus, string> = {
  QUEUED: 'SENDING SENT DISCARDED EXPIRED CANCELLED',
  SENDING: 'QUEUED SENT FAILED BOUNCED DISCARDED EXPIRED CANCELLED',
  SENT: 'DELIVERED OPENED CLICKED FAILED BOUNCED',
  DELIVERED: 'OPENED CLICKED',
  OPENED: 'CLICKED',
  CLICKED: '',
  FAILED: '',
  BOUNCED: '',
  DISCARDED: '',
  EXPIRED: '',
  CANCELLED: '',
};

describe('every pair of states is either a step or none', () => {
  test.each(statuses.flatMap((from) => statuses.map((to) => [from, to] as const)))('%s → %s', (from, to) => {
    expect(mayFollow(from, to)).toBe(mayFollowWhat[from].split(' ').includes(to));
  });
});

const receipts = ['DELIVERED', 'OPENED', 'CLICKED'] as const;
const ends = ['FAILED', 'BOUNCED'] as const;
const progress: readonly DeliveryStatus[] = ['QUEUED', 'SENDING', 'SENT', 'DELIVERED', 'OPENED', 'CLICKED'];

describe('a receipt', () => {
  test.each(
    statuses.flatMap((status) => receipts.map((receipt) => [receipt, status] as const)),
  )('%s never moves a delivery backwards that is %s', (receipt, status) => {
    const moves = decideReceipt({ status, attempts: 1 }, receipt);
    const places = [status, ...moves].map((move) => progress.indexOf(move));
    expect(places).toEqual(places.toSorted((a, b) => a - b));
    expect(new Set(places).size).toBe(places.length);
  });

  test.each(statuses)('moves a delivery that is %s by steps of the table only', (status) => {
    for (const receipt of [...receipts, ...ends]) {
      let from = status;
      for (const to of decideReceipt({ status, attempts: 1 }, receipt)) {
        expect(mayFollow(from, to)).toBe(true);
        from = to;
      }
    }
  });

  test.each([
    'QUEUED',
    'SENDING',
  ] as const)("that overtakes the worker's record of a %s delivery gives SENT first", (status) => {
    for (const receipt of [...receipts, ...ends]) {
      expect(decideReceipt({ status, attempts: 1 }, receipt)).toEqual(['SENT', receipt]);
    }
  });

  test.each([
    'QUEUED',
    'SENDING',
  ] as const)('of a %s delivery that was never begun to be sent is not believed', (status) => {
    for (const receipt of [...receipts, ...ends]) expect(decideReceipt({ status, attempts: 0 }, receipt)).toEqual([]);
  });

  test('may skip states that nobody told of', () => {
    expect(decideReceipt({ status: 'SENT', attempts: 1 }, 'CLICKED')).toEqual(['CLICKED']);
  });

  test.each([
    ['DELIVERED', 'DELIVERED'],
    ['DELIVERED', 'CLICKED'],
    ['OPENED', 'OPENED'],
    ['CLICKED', 'CLICKED'],
    ['DELIVERED', 'BOUNCED'],
    ['OPENED', 'EXPIRED'],
    ['BOUNCED', 'OPENED'],
    ['FAILED', 'DELIVERED'],
    ['FAILED', 'CANCELLED'],
  ] as const)('%s that is told again or late, to one that is %s, changes nothing', (receipt, status) => {
    expect(decideReceipt({ status, attempts: 1 }, receipt)).toEqual([]);
  });
});
