import { camelCaseKeys, type Database, sql } from '../storage/database.ts';
import type { PositionItem, StreamItem } from '../stream/hub/event-stream.ts';
import type { Access } from '../stream/hub/gate.ts';
import type { Hub } from '../stream/hub/hub.ts';
import type { Stream } from '../stream/hub/open-stream.ts';
import { type InboxItem, inboxItemSchema } from './inbox-items.ts';

/** An item that is new or was read, with where the stream then stands. */
export interface InboxNews extends InboxItem {
  readonly kind: 'item';
  readonly cursor: string;
}

interface InboxStreamOptions {
  hub: Hub;
  db: Database;
  userId: string;
  /** As of the hub's streams. */
  after: string | null | undefined;
  /** By what right it is read. */
  access: Access;
}

/**
 * What comes into a user's inbox and what of it is read, from the delivery log: each once and in order, with the guarantees of
 * the hub's streams. An item of before a gap is read where all items are.
 *
 * @throws DomainError `VALUE_INVALID`: `after` is no cursor.
 */
export function streamInbox({ hub, db, userId, after, access }: InboxStreamOptions): Stream<InboxNews | PositionItem> {
  const events = hub.events({ userId }, { after });
  return hub.open(
    async function* (ending) {
      ending.addEventListener('abort', events.end, { once: true });
      try {
        for (let batch = await events.nextBatch(); batch; batch = await events.nextBatch()) {
          const news = await toNews(db, batch);
          if (news.length > 0) yield news;
        }
      } finally {
        events.end();
      }
    },
    { access },
  );
}

async function toNews(db: Database, batch: readonly StreamItem[]): Promise<(InboxNews | PositionItem)[]> {
  const ids = batch.flatMap((item) => (tellsOfInbox(item) ? [item.entry.deliveryId] : []));
  const items = await loadItems(db, ids);
  return batch.flatMap((item): (InboxNews | PositionItem)[] => {
    if (item.kind === 'position') return [item];
    const found = tellsOfInbox(item) ? items.get(item.entry.deliveryId) : undefined;
    return found ? [{ ...found, kind: 'item', cursor: item.cursor }] : [];
  });
}

/** Whether an event may be of an item that has come, or was read. Deliveries by other channels have no item. */
function tellsOfInbox(item: StreamItem): item is Extract<StreamItem, { kind: 'event' }> {
  return item.kind === 'event' && (item.entry.status === 'SENT' || item.entry.status === 'OPENED');
}

async function loadItems(db: Database, ids: readonly string[]): Promise<ReadonlyMap<string, InboxItem>> {
  if (ids.length === 0) return new Map();
  const rows = await db.$queryRaw<object[]>(sql`select * from inbox_items where id = any(${[...ids]}::uuid[])`);
  const items = rows.map((row) => inboxItemSchema.parse(camelCaseKeys<unknown>(row)));
  return new Map(items.map((item) => [item.id, item]));
}
