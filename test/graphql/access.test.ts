import { afterAll, beforeAll, expect, test } from 'vitest';
import { type App, startApp } from '../../src/app.ts';
import { testConfig, testKeys } from '../support/app.ts';
import { useDatabase } from '../support/database.ts';
import { connectSocket, type Socket } from '../support/socket.ts';
import { type StatementCounter, startStatementCounter } from '../support/statement-counter.ts';

const database = useDatabase();
let counter: StatementCounter;
let gateway: App;
let socket: Socket;

beforeAll(async () => {
  counter = await startStatementCounter(database.url);
  gateway = await startApp(testConfig(counter.url, { role: 'gateway' }));
  socket = await connectSocket(gateway.url ?? '', testKeys.serverKey);
});
afterAll(async () => {
  socket.close();
  await gateway.stop();
  await counter[Symbol.asyncDispose]();
});

test('a hundred streams that end with one key are looked at together', async () => {
  const ids = Array.from({ length: 100 }, (_, index) => String(index));
  const query = 'subscription { deliveryEvents { __typename } }';
  for (const id of ids) socket.send({ id, type: 'subscribe', payload: { query } });
  for (const _ of ids) await socket.next();
  counter.take();
  await database.pool.query('update api_keys set revoked_at = now()');
  const codes = [];
  while (codes.length < ids.length) {
    const { type, payload } = await socket.next();
    if (type === 'next') codes.push(JSON.stringify(payload).includes('UNAUTHENTICATED'));
  }
  const looks = counter.take().filter((statement) => statement.includes('api_keys'));
  expect(new Set(codes)).toEqual(new Set([true]));
  expect(looks.length).toBeLessThan(10);
});
