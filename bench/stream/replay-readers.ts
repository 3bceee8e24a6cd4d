import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import pg from 'pg';
import { WebSocket } from 'ws';
import { z } from 'zod';
import { createLogger } from '../../src/logger.ts';
import { openStorage, sql } from '../../src/storage/database.ts';
import { createInProcessBus } from '../../src/stream/bus/in-process-bus.ts';
import { createHub } from '../../src/stream/hub/hub.ts';
import { parseCursor } from '../../src/stream/log/cursor.ts';
import { answerParent } from '../support/parent.ts';
import { now } from './clock.ts';
import { loggedColumns } from './subscription.ts';

// Reads one notification's events from the log, from the first on, in three ways. Each answers how many there were and
// how long it took, its connection being open.

const questionSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('cursor'), databaseUrl: z.string(), notificationId: z.string() }),
  z.object({ kind: z.literal('hub'), databaseUrl: z.string(), notificationId: z.string() }),
  z.object({ kind: z.literal('socket'), url: z.string(), authorization: z.string(), notificationId: z.string() }),
]);

interface Reading {
  count: number;
  ms: number;
}

answerParent((message) => {
  const question = questionSchema.parse(message);
  if (question.kind === 'cursor') return readByCursor(question);
  return question.kind === 'hub' ? readByHub(question) : readBySocket(question);
});

interface Source {
  databaseUrl: string;
  notificationId: string;
}

/** The measure: PostgreSQL's own cursor, with pages as large as the hub's by default, and what `pg` makes of the rows. */
async function readByCursor({ databaseUrl, notificationId }: Source): Promise<Reading> {
  const client = new pg.Client(databaseUrl);
  await client.connect();
  const begunAt = now();
  let count = 0;
  await client.query('begin');
  await client.query(sql`
    declare replay no scroll cursor for
    select position, tag, delivery_id, notification_id, user_id, status, reason, at
    from delivery_events
    where notification_id = ${notificationId}::uuid
    order by position`);
  for (let fetched = -1; fetched !== 0; count += fetched) {
    fetched = (await client.query('fetch 500 from replay')).rows.length;
  }
  const ms = now() - begunAt;
  await client.end();
  return { count, ms };
}

async function readByHub({ databaseUrl, notificationId }: Source): Promise<Reading> {
  const { pool, close } = openStorage(databaseUrl);
  await pool.query('select');
  const hub = createHub({ pool, bus: createInProcessBus(), log: createLogger() });
  const order = createOrder();
  const begunAt = now();
  const stream = hub.events({ notificationId }, { after: '' });
  let hasRecovered = false;
  while (!hasRecovered) {
    const items = await stream.nextBatch();
    if (!items) throw new Error('The stream has ended.');
    for (const item of items) {
      if (item.kind === 'event') order.see(item.entry.position);
      else hasRecovered = item.state === 'RECOVERED';
    }
  }
  const ms = now() - begunAt;
  await hub.close();
  await close();
  return { count: order.count(), ms };
}

async function readBySocket(source: { url: string; authorization: string; notificationId: string }): Promise<Reading> {
  const { url, authorization, notificationId } = source;
  const socket = new WebSocket(url, 'graphql-transport-ws', { perMessageDeflate: false });
  await once(socket, 'open');
  socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization } }));
  await once(socket, 'message');
  const order = createOrder();
  const { promise: end, resolve } = Promise.withResolvers<void>();
  const begunAt = now();
  socket.on('message', (data) => {
    const text = String(data);
    const [, cursor] = /"cursor":"([^"]*)"/.exec(text) ?? [];
    if (cursor === undefined || text.includes('"state":')) resolve();
    else order.see(parseCursor(cursor).position);
  });
  const payload = { query: loggedColumns, variables: { notification: notificationId, after: '' } };
  socket.send(JSON.stringify({ id: randomUUID(), type: 'subscribe', payload }));
  await end;
  const ms = now() - begunAt;
  socket.close();
  return { count: order.count(), ms };
}

/** Counts positions, each of which must be above the one before. */
function createOrder() {
  let count = 0;
  let last = 0n;
  return {
    see(position: bigint) {
      if (position <= last) throw new Error('An event came twice or out of order.');
      last = position;
      count += 1;
    },
    count: () => count,
  };
}
