import { createHash } from 'node:crypto';
import type { DeliveryStatus } from '../generated/prisma/enums.ts';
import { type Database, sql } from '../storage/database.ts';
import { type Cursor, encodeCursor } from '../stream/log/cursor.ts';
import { type LogEntry, readLogPage } from '../stream/log/log.ts';

/** Entries of the log looked at for one message. @default 1_000 */
const entriesPerPage = 1_000;
/** Events in one message. @default 100 */
const eventsPerMessage = 100;

/** A stretch of the log, and who is told of it. */
export interface Stretch {
  webhookId: string;
  events: readonly DeliveryStatus[];
  appId: string | null;
  /** Everything up to here has been told. */
  cursor: Cursor;
  /** Where the message ends that was begun to be told; null: none was. */
  end: Cursor | null;
}

/** What comes next for a webhook. */
export type NextMessage =
  /** Events are missing behind the cursor: it goes on at `cursor`. */
  | { kind: 'GAP'; cursor: Cursor }
  /** There is nothing to tell up to `end`. */
  | { kind: 'NOTHING'; end: Cursor }
  | { kind: 'MESSAGE'; end: Cursor; entries: readonly LogEntry[] };

/** Reads what is to be told next: of one that was begun the same again. */
export async function readNextMessage(db: Database, stretch: Stretch): Promise<NextMessage> {
  const { cursor, end } = stretch;
  const page = await readLogPage(db.pool, {}, { after: cursor, limit: entriesPerPage });
  if (page.kind === 'gap') return { kind: 'GAP', cursor: page.oldest };
  const entries = end ? page.entries.filter(({ position }) => position <= end.position) : page.entries;
  const wanted = await keepWanted(db, entries, stretch);
  const told = wanted.slice(0, eventsPerMessage);
  const last = told.at(-1);
  if (!last) return { kind: 'NOTHING', end: end ?? page.completeThrough };
  const isAll = told.length === wanted.length;
  const reached = isAll ? page.completeThrough : { epoch: cursor.epoch, position: last.position, tag: last.tag };
  return { kind: 'MESSAGE', entries: told, end: end ?? reached };
}

async function keepWanted(
  db: Database,
  entries: readonly LogEntry[],
  { events, appId }: Stretch,
): Promise<readonly LogEntry[]> {
  const named = new Set<string>(events);
  const wanted = entries.filter(({ status }) => named.has(status));
  if (appId === null || wanted.length === 0) return wanted;
  const ids = [...new Set(wanted.map(({ deliveryId }) => deliveryId))];
  const rows = await db.$queryRaw<{ id: string }[]>(sql`
    select d.id from deliveries d
    join recipients r on r.id = d.recipient_id
    join installations i on i.id = r.installation_id
    where d.id = any(${ids}::uuid[]) and i.app_id = ${appId}::uuid
  `);
  const ofApp = new Set(rows.map(({ id }) => id));
  return wanted.filter(({ deliveryId }) => ofApp.has(deliveryId));
}

/** `webhook-id`: the same whenever the same stretch of the log is told to the same webhook. */
export function toMessageId(webhookId: string, cursor: Cursor, end: Cursor): string {
  const text = [webhookId, encodeCursor(cursor), encodeCursor(end)].join(' ');
  return `msg_${createHash('sha256').update(text).digest('base64url').slice(0, 32)}`;
}

/**
 * The body. Ids only, which every input takes: no address, no content. `cursor` is the event's own, the same in every message
 * and in `deliveryEvents`. `gap`: events that came before these are gone.
 */
export function toMessageBody(
  entries: readonly LogEntry[],
  { epoch, hasGap }: { epoch: string; hasGap: boolean },
): string {
  return JSON.stringify({
    type: 'delivery.events',
    timestamp: entries.at(-1)?.at.toISOString(),
    data: {
      gap: hasGap,
      events: entries.map(({ position, tag, deliveryId, notificationId, userId, status, reason, at }) => ({
        cursor: encodeCursor({ epoch, position, tag }),
        deliveryId,
        notificationId,
        userId,
        status,
        reason,
        at: at.toISOString(),
      })),
    },
  });
}
