import type { Configured } from '../../deliveries/app-channels.ts';
import { deliverJob } from '../../deliveries/deliver.job.ts';
import { fallBackKey, fallBackTask } from '../../deliveries/fall-back-task.ts';
import type { Worker } from '../../deliveries/worker.ts';
import type { Notification } from '../../generated/prisma/client.ts';
import type { Channel, DeliveryStatus } from '../../generated/prisma/enums.ts';
import { holdUsers } from '../../identity/user-identity-store.ts';
import { addJob, type Job } from '../../queue/job.ts';
import { sql, type Transaction } from '../../storage/database.ts';
import { inTransaction } from '../../storage/transaction.ts';
import { targetSchema } from '../target/target.ts';
import { orderOfChannels, toTiming } from './decide-deliveries.ts';
import { decideFallback, failedStatuses, tellingStatuses } from './decide-fallback.ts';
import { insertNextDeliveries, selectUsers } from './insert-deliveries.ts';
import { prepareAudience } from './read-page.ts';

/** @default 500 // users a transaction */
const usersPerPage = 500;

/**
 * Lets the next channel follow for users of a FALLBACK notification whose channel has failed, or was not opened in time. A page of
 * them in one transaction, with what is made for them: a worker that dies leaves nothing half decided. Two at once decide for
 * different users. Comes back when the next time passes; what it is not told of, the sweeper brings it back for.
 */
export const fallBackJob: Job<Worker, { notificationId: string }> = {
  ...fallBackTask,
  async run(worker, { notificationId }) {
    const notification = await worker.db.notification.findUnique({ where: { id: notificationId } });
    if (!notification) return;
    const count = (await forgetPage(worker, notificationId)) || (await followPage(worker, notification));
    worker.bus.wake();
    if (count === usersPerPage) await addJob(worker.db, fallBackTask, { notificationId });
    else await comeBackWhenDue(worker, notificationId);
  },
};

/** Nothing follows any more of what was called off, or whose time to live has passed. */
function forgetPage({ db }: Worker, notificationId: string): Promise<number> {
  return db.$executeRaw(sql`
    delete from fallbacks where (notification_id, user_id) in (
      select f.notification_id, f.user_id from fallbacks f
      join notifications n on n.id = f.notification_id and (n.cancelled_at is not null or n.expires_at <= now())
      where f.notification_id = ${notificationId}::uuid
      order by f.user_id limit ${usersPerPage} for update of f skip locked
    )
  `);
}

interface Watched {
  user_id: string;
  /** Who that is now. Null: nobody any more. */
  living_id: string | null;
  channel: Channel;
  is_due: boolean;
  /** Of the deliveries that are waited for … */
  delivery_ids: string[];
  /** … each one's, as it was in the same moment. */
  statuses: DeliveryStatus[];
}

async function followPage(worker: Worker, notification: Notification): Promise<number> {
  const configured = await worker.channels.findConfigured(worker.defaultAppId);
  return inTransaction(worker.db, (tx) => fallBackPage(tx, { notification, configured }), 'ONCE');
}

/** Of which notification, by what there is that sends. */
interface Steps {
  notification: Notification;
  configured: Configured;
}

async function fallBackPage(tx: Transaction, { notification, configured }: Steps): Promise<number> {
  const watched = await lockTold(tx, notification);
  const hasTime = notification.fallbackAfterSeconds !== null;
  const decided = watched.map((each) => ({
    ...each,
    next: decideFallback({ channel: each.channel, statuses: each.statuses, hasTime, isDue: each.is_due }),
  }));
  const over = decided.filter(({ next }) => next !== 'WAIT').map(({ user_id }) => user_id);
  const following = decided.filter(({ next, living_id }) => next === 'NEXT' && living_id !== null);
  const ids = [...new Set(following.flatMap(({ living_id }) => living_id ?? []))];
  // Users before deliveries, as a frequency cap and whoever takes an address away lock them.
  await holdUsers(tx, ids);
  await forgetTold(tx, notification.id, { over, told: decided.flatMap(toldOf) });
  if (ids.length > 0) await addJob(tx, deliverJob, { notificationId: notification.id });
  const byChannel = Map.groupBy(following, ({ channel }) => channel);
  for (const [channel, users] of byChannel) {
    const userIds = users.flatMap(({ living_id }) => living_id ?? []);
    await followWith(tx, { notification, configured, channel, userIds });
  }
  return watched.length;
}

/** Users of whom something is told, or whose time has passed, locked in id order; not those that another worker has. */
async function lockTold(tx: Transaction, { id, fallbackAfterSeconds }: Notification): Promise<Watched[]> {
  return tx.$queryRaw<Watched[]>(sql`
    with told as (
      (select user_id from fallbacks where notification_id = ${id}::uuid and due_at <= now() limit ${usersPerPage})
      union
      (
        select distinct d.user_id from deliveries d
        join fallbacks f on f.notification_id = d.notification_id and f.user_id = d.user_id
        where d.notification_id = ${id}::uuid and d.falls_back
          and d.status = any(${tellingStatuses(fallbackAfterSeconds !== null)}::delivery_status[])
        limit ${usersPerPage}
      )
    ),
    locked as (
      select f.* from fallbacks f
      where f.notification_id = ${id}::uuid and f.user_id in (select user_id from told)
      order by f.user_id
      limit ${usersPerPage}
      for update skip locked
    )
    select
      f.user_id, coalesce(u.merged_into_id, u.id) as living_id, f.channel::text,
      coalesce(f.due_at <= now(), false) as is_due,
      tried.ids as delivery_ids, tried.statuses
    from locked f
    left join users u on u.id = f.user_id
    cross join lateral (
      select coalesce(array_agg(d.id), '{}') as ids, coalesce(array_agg(d.status::text), '{}') as statuses
      from deliveries d
      where d.notification_id = f.notification_id and d.user_id = f.user_id and d.falls_back
    ) tried
    order by f.user_id
  `);
}

/** Of one user's deliveries those that had ended without success when it was decided: one that ends since is still to be told. */
const toldOf = ({ delivery_ids, statuses }: Watched): string[] =>
  delivery_ids.filter((_, index) => failedStatuses.some((status) => status === statuses[index]));

/** Of whom it is over, nothing is waited for any more; of the others not for what has failed already. */
async function forgetTold(
  tx: Transaction,
  notificationId: string,
  { over, told }: { over: readonly string[]; told: readonly string[] },
): Promise<void> {
  await tx.$executeRaw(sql`
    delete from fallbacks where notification_id = ${notificationId}::uuid and user_id = any(${[...over]}::uuid[])
  `);
  await tx.$executeRaw(sql`
    with held as (
      select id from deliveries
      where notification_id = ${notificationId}::uuid and falls_back
        and (user_id = any(${[...over]}::uuid[]) or id = any(${[...told]}::uuid[]))
      order by id
      for no key update
    )
    update deliveries d set falls_back = false from held where d.id = held.id
  `);
}

async function followWith(
  tx: Transaction,
  { notification, configured, channel, userIds }: Steps & { channel: Channel; userIds: readonly string[] },
): Promise<void> {
  const target = targetSchema.parse(notification.target);
  const order = orderOfChannels({ channels: notification.channels, configured });
  const rest = order.slice(order.indexOf(channel) + 1);
  if (rest.length === 0) return;
  const prepared = await prepareAudience(tx, { target, channels: order });
  const audience = {
    ...notification,
    notificationId: notification.id,
    channels: rest,
    configured,
    timing: toTiming(notification),
    meant: prepared?.meant ?? null,
    onePerUser: target.onePerUser,
  };
  await insertNextDeliveries(tx, audience, { users: selectUsers(userIds), isBroadcast: target.everyone });
}

async function comeBackWhenDue({ db }: Worker, notificationId: string): Promise<void> {
  const [row] = await db.$queryRaw<{ due_at: Date | null }[]>(sql`
    select min(due_at) as due_at from fallbacks where notification_id = ${notificationId}::uuid
  `);
  if (!row?.due_at) return;
  await addJob(db, fallBackTask, { notificationId }, { runAt: row.due_at, key: fallBackKey(notificationId) });
}
