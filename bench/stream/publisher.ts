import pg from 'pg';
import { createLogger } from '../../src/logger.ts';
import { sql } from '../../src/storage/database.ts';
import { connectRedisBus } from '../../src/stream/bus/redis-bus.ts';
import { parseCursor } from '../../src/stream/log/cursor.ts';
import { insertDeliveries, insertNotification, setStatus } from '../../test/support/log-events.ts';
import { now } from './clock.ts';

/** Makes real events as a worker does: by changing deliveries in the database, and one wake-up after the commit. */
export interface Publisher extends AsyncDisposable {
  notificationId: string;
  /** Publishes `count` events by one transaction. Answers when that began to commit. See clock.ts. */
  publish(count: number): Promise<number>;
  /** Whether these are the cursors of what was published last, in the order of the log. */
  isLastPublished(cursors: readonly string[]): Promise<boolean>;
}

interface PublisherOptions {
  databaseUrl: string;
  redisUrl: string;
  /** How many it will have to publish at most. */
  eventsMax: number;
}

/** Prepares a notification whose deliveries were sent; an event is that one arrives. */
export async function openPublisher({ databaseUrl, redisUrl, eventsMax }: PublisherOptions): Promise<Publisher> {
  const client = new pg.Client(databaseUrl);
  await client.connect();
  const { rows } = await client.query<{ epoch: string }>('select epoch from delivery_log');
  const bus = await connectRedisBus(redisUrl, {
    namespace: rows[0]?.epoch ?? '',
    log: createLogger({ level: 'warn' }),
  });
  const notificationId = await insertNotification(client);
  const deliveryIds = await insertDeliveries(client, { notificationId, count: eventsMax });
  await setStatus(client, deliveryIds, 'SENT');

  return {
    notificationId,
    async publish(count) {
      const ids = deliveryIds.splice(0, count);
      if (ids.length < count) throw new Error('More is published than was prepared.');
      await client.query('begin');
      await setStatus(client, ids, 'DELIVERED');
      const publishedAt = now();
      await client.query('commit');
      bus.wake();
      return publishedAt;
    },
    async isLastPublished(cursors) {
      const { rows } = await client.query<{ position: string }>(sql`
        select position from delivery_events where notification_id = ${notificationId}::uuid
        order by position desc limit ${cursors.length}`);
      const published = rows.map(({ position }) => position).reverse();
      return published.join() === cursors.map((cursor) => parseCursor(cursor).position).join();
    },
    async [Symbol.asyncDispose]() {
      await bus.close();
      await client.end();
    },
  };
}
