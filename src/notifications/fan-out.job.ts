import { z } from 'zod';
import { deliverJob } from '../deliveries/deliver.job.ts';
import type { Worker } from '../deliveries/worker.ts';
import type { Notification } from '../generated/prisma/client.ts';
import type { Channel } from '../generated/prisma/enums.ts';
import { holdUsers } from '../identity/user-identity-store.ts';
import { resolveUserReferences } from '../identity/user-reference.ts';
import { addJob, type Job } from '../queue/job.ts';
import { audienceSql, planForPages } from '../segments/audience.ts';
import { filterToInstallationSql } from '../segments/filter.ts';
import { prepareFilter } from '../segments/known-segments.ts';
import { camelCaseKeys, type Sql, sql, type Transaction } from '../storage/database.ts';
import { inTransaction } from '../storage/transaction.ts';
import {
  insertInstallationDeliveries,
  insertUnknownUserDeliveries,
  insertUserDeliveries,
} from './insert-deliveries.ts';
import {
  type FanOutCursor,
  fanOutCursorSchema,
  type Target,
  targetSchema,
  toAudienceFilter,
  toExcludedFilter,
} from './target.ts';

/** @default 500 // users a transaction */
const usersPerPage = 500;

/**
 * Resolves one page of a notification's target into deliveries, in one transaction with the cursor and with the job for
 * the next page: a worker that dies is followed by one that goes on where it was, a page that is made twice adds nothing,
 * and a large audience never keeps a small one waiting for longer than a page.
 */
export const fanOutJob: Job<Worker, { notificationId: string }> = {
  name: 'fan-out',
  payload: z.object({ notificationId: z.uuid() }),
  async run(worker, { notificationId }) {
    const configured = await worker.channels.configuredChannels(worker.defaultAppId);
    await inTransaction(worker.db, (tx) => fanOutPage(tx, worker, { notificationId, configured }), 'ONCE');
    worker.bus.wake();
  },
};

/** At most one fan-out job of a notification waits. */
export const fanOutKey = (notificationId: string): string => `fan out ${notificationId}`;

async function fanOutPage(
  tx: Transaction,
  worker: Worker,
  { notificationId, configured }: { notificationId: string; configured: readonly Channel[] },
): Promise<void> {
  const notification = await lockUnfinished(tx, notificationId);
  if (!notification) return;
  const cursor = fanOutCursorSchema.parse(notification.fanOutCursor);
  const target = targetSchema.parse(notification.target);
  const page = await readPage(tx, { target, cursor, createdAt: notification.createdAt });
  await holdUsers(tx, page.userIds);
  await moveCursor(tx, { notificationId, next: page.next, leaseSeconds: worker.leaseSeconds });
  // Enqueued before the deliveries are inserted, as the delivery log's lock is to be the last one taken; a worker sees
  // both at the commit.
  if (page.next) await addJob(tx, fanOutJob, { notificationId }, { key: fanOutKey(notificationId) });
  await addJob(tx, deliverJob, { notificationId });
  const audience = { ...notification, notificationId, configured };
  // Installations first: one that is meant itself stays so, though its user is meant too.
  if (page.installationIds.length > 0) await insertInstallationDeliveries(tx, audience, page.installationIds);
  if (page.userIds.length > 0) await insertUserDeliveries(tx, { ...audience, fits: page.fits }, page.userIds);
  if (page.unknown.length > 0) await insertUnknownUserDeliveries(tx, notificationId, page.unknown);
}

/**
 * The notification, locked for this page, or null when its fan-out is finished. Waits for who has it: another worker's page, or
 * an erase that withdraws a name from its target, takes moments, and nobody else would bring the job back before the lease ends.
 */
async function lockUnfinished(tx: Transaction, notificationId: string): Promise<Notification | null> {
  const [row] = await tx.$queryRaw<object[]>(sql`
    select n.*, n.channels::text[] as channels from notifications n
    where id = ${notificationId}::uuid and fan_out_finished_at is null
    for no key update
  `);
  return row ? camelCaseKeys<Notification>(row) : null;
}

interface Page {
  userIds: string[];
  installationIds: string[];
  unknown: Target['users'];
  /** Which of the users' installations, `i`, a push may go to. Null: any. */
  fits: Sql | null;
  next: FanOutCursor | null;
}

async function readPage(
  tx: Transaction,
  { target, cursor, createdAt }: { target: Target; cursor: FanOutCursor; createdAt: Date },
): Promise<Page> {
  const audience = toAudienceFilter(target);
  if (cursor.phase === 'references')
    return referencesPage(tx, target, audience ? { phase: 'segments', after: null } : null);
  if (!audience) return { userIds: [], installationIds: [], unknown: [], fits: null, next: null };
  const { filter, scope } = await prepareFilter(tx, audience);
  await planForPages(tx);
  const walk = {
    where: audienceSql({ filter, scope }),
    fits: filterToInstallationSql(filter, scope),
    after: cursor.after,
  };
  return cursor.phase === 'segments' ? audiencePage(tx, walk) : mergedPage(tx, { ...walk, createdAt });
}

async function referencesPage(tx: Transaction, target: Target, next: FanOutCursor | null): Promise<Page> {
  const { users, installations } = target;
  const resolved = await resolveUserReferences(tx, users);
  const named = [...new Set(resolved.filter((id) => id !== null))];
  const excluded = await findExcluded(tx, target, named);
  return {
    userIds: named.filter((id) => !excluded.has(id)),
    installationIds: installations,
    unknown: users.filter((_, index) => resolved[index] === null),
    fits: null,
    next,
  };
}

/** Who is named, but is in a segment that is to get nothing. */
async function findExcluded(tx: Transaction, target: Target, userIds: readonly string[]): Promise<ReadonlySet<string>> {
  const filter = toExcludedFilter(target);
  if (!filter) return new Set();
  const excluded = audienceSql(await prepareFilter(tx, filter));
  const rows = await tx.$queryRaw<{ id: string }[]>(sql`
    select u.id from users u where u.id = any(${[...userIds]}::uuid[]) and ${excluded}
  `);
  return new Set(rows.map(({ id }) => id));
}

/** The users `u` for whom `where` holds, from one on. */
interface Walk {
  where: Sql;
  fits: Sql | null;
  after: string | null;
}

async function audiencePage(tx: Transaction, { where, fits, after }: Walk): Promise<Page> {
  const rows = await tx.$queryRaw<{ user_id: string }[]>(sql`
    select u.id as user_id from users u
    where ${after === null ? sql`true` : sql`u.id > ${after}::uuid`} and ${where}
    order by u.id
    limit ${usersPerPage}
  `);
  // Between two pages a merge can have moved a membership, or what a filter asks for, to a user whom the walk has passed.
  const last: FanOutCursor | null = after === null ? null : { phase: 'merged', after: null };
  return { ...toPage(rows, (next) => ({ phase: 'segments', after: next }), last), fits };
}

/** A transaction that began before the notification's can have merged after it: none takes this long. */
const mergeMinutesMax = 5;

/** Who is meant since a merge after the notification was accepted. Who has a delivery already gets no second one. */
async function mergedPage(
  tx: Transaction,
  { where, fits, after, createdAt }: Walk & { createdAt: Date },
): Promise<Page> {
  const rows = await tx.$queryRaw<{ user_id: string }[]>(sql`
    select u.id as user_id from users u
    where u.id in (
        select r.survivor_id from merge_records r
        where r.created_at >= ${createdAt}::timestamptz - make_interval(mins => ${mergeMinutesMax})
      )
      and ${after === null ? sql`true` : sql`u.id > ${after}::uuid`} and ${where}
    order by u.id
    limit ${usersPerPage}
  `);
  return { ...toPage(rows, (next) => ({ phase: 'merged', after: next }), null), fits };
}

/** A page of members: a full one is followed by another from its last user on, the last one by `then`. */
function toPage(
  rows: readonly { user_id: string }[],
  goOn: (after: string) => FanOutCursor,
  then: FanOutCursor | null,
): Omit<Page, 'fits'> {
  const userIds = rows.map((row) => row.user_id);
  const last = userIds.at(-1);
  const isFull = userIds.length === usersPerPage && last !== undefined;
  return { userIds, installationIds: [], unknown: [], next: isFull ? goOn(last) : then };
}

async function moveCursor(
  tx: Transaction,
  { notificationId, next, leaseSeconds }: { notificationId: string; next: FanOutCursor | null; leaseSeconds: number },
): Promise<void> {
  await tx.$executeRaw(sql`
    update notifications set
      fan_out_cursor = ${next === null ? null : JSON.stringify(next)}::jsonb,
      fan_out_finished_at = case when ${next === null} then now() end,
      fan_out_claim_expires_at = now() + make_interval(secs => ${leaseSeconds})
    where id = ${notificationId}::uuid
  `);
}
