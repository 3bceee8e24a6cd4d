import { expect, test } from 'vitest';
import { useApp } from '../support/app.ts';
import { postReceipt, receiptSettings } from '../support/receipts.ts';

const g = useApp(receiptSettings);

test('who guesses is slowed down, and is told when to come back', async () => {
  const guess = () =>
    postReceipt(g, 'sms', { body: '{}', headers: { 'content-type': 'application/json', authorization: 'Bearer a' } });
  const statuses: number[] = [];
  while (!statuses.includes(429)) statuses.push(...(await Promise.all(Array.from({ length: 50 }, guess))));
  expect(statuses.filter((status) => status === 401).length).toBeGreaterThanOrEqual(500);
  const response = await fetch(`${g.url}/receipts/sms`, { method: 'POST', body: '{}' });
  expect(response.status === 429 ? Number(response.headers.get('retry-after')) : 1).toBeGreaterThan(0);
});
