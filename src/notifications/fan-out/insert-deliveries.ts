import type { Notification } from '../../generated/prisma/client.ts';
import type { UserReference } from '../../identity/user-reference.ts';
import { type Sql, sql, type Transaction } from '../../storage/database.ts';
import {
  type Audience,
  decideInstallationDeliveries,
  decideNextDeliveries,
  decideUserDeliveries,
  madeBy,
  orderOfChannels,
  type PeopleAudience,
} from './decide-deliveries.ts';

/** Of which notification. */
type Made<Of extends Audience> = Of & { notificationId: string };

/** People, and how far they are to be followed from channel to channel. */
type Followed = Made<Omit<PeopleAudience, 'made'>> & Pick<Notification, 'fallbackAfterSeconds'>;

/** For whom. */
interface Users {
  /** A statement that selects each `user_id`. */
  users: Sql;
  /** Everybody is meant: what an installation gets is its own, whoever uses it then. */
  isBroadcast: boolean;
  /**
   * Nobody is thought to have anything of the notification yet, so it is not looked for: where somebody has, the statement fails as
   * one that others got in the way of. @default false
   */
  areNew?: boolean;
}

/** Users whom one knows. */
export const selectUsers = (userIds: readonly string[]): Sql => sql`select unnest(${[...userIds]}::uuid[]) as user_id`;

/** For how many users, and the last of them by id; null: nobody. */
export interface Inserted {
  count: number;
  last: string | null;
}

/**
 * One delivery per recipient and channel for each of the users, or by one channel only, as the notification is orchestrated: QUEUED,
 * or DISCARDED with the reason. A user without an address for an asked channel gets one delivery that says so. One statement, so
 * what it selects and what it decides is of one moment. Safe to repeat. Changes deliveries: what follows it in its transaction must
 * wait for nobody.
 */
export function insertUserDeliveries(tx: Transaction, audience: Followed, users: Users): Promise<Inserted> {
  const decided = decideUserDeliveries(withMade(audience), sql`audience`);
  return insertFor(
    tx,
    users,
    (audience.orchestration === 'FALLBACK' ? insertFollowed : insertDecided)(audience, decided, users),
  );
}

/**
 * The same by the first of `audience.channels` at which each user can be reached; for whom there is none, nothing. Safe to repeat,
 * and a last statement.
 */
export function insertNextDeliveries(tx: Transaction, audience: Followed, users: Users): Promise<Inserted> {
  return insertFor(tx, users, insertFollowed(audience, decideNextDeliveries(withMade(audience), sql`audience`), users));
}

const withMade = (audience: Followed): Made<PeopleAudience> => ({ ...audience, made: madeBy(audience.notificationId) });

async function insertFor(tx: Transaction, { users }: Users, inserts: Sql): Promise<Inserted> {
  const [inserted] = await tx.$queryRaw<Inserted[]>(sql`
    with audience as materialized (${users}),
    ${inserts}
    select count(*)::int as count, (select user_id from audience order by user_id desc limit 1) as last from audience
  `);
  return inserted ?? { count: 0, last: null };
}

/**
 * As part of a statement.
 *
 * @param fallsBack whether the next channel waits for what becomes of a delivery; absent: there is no next one
 */
function insertDecided(
  { notificationId, timing }: Followed,
  decided: Sql,
  { isBroadcast, areNew = false, fallsBack }: Omit<Users, 'users'> & { fallsBack?: Sql },
): Sql {
  return sql`made as (
    insert into deliveries (
      id, notification_id, target_key, channel, user_id, recipient_id, is_broadcast, status, reason
      ${fallsBack ? sql`, falls_back` : sql``} ${timing ? sql`, next_attempt_at` : sql``}
    )
    select
      uuid_v7(), ${notificationId}::uuid, target_key, channel, user_id, recipient_id, ${isBroadcast},
      case when reason is null then 'QUEUED' else 'DISCARDED' end::delivery_status, reason
      ${fallsBack ? sql`, ${fallsBack}` : sql``} ${timing ? sql`, next_attempt_at` : sql``}
    from (${decided}) decided
    ${areNew ? sql`` : sql`on conflict (notification_id, target_key) do nothing`}
    ${fallsBack ? sql`returning user_id, channel, falls_back, next_attempt_at` : sql``}
  )`;
}

/** Of whom another channel is left, it is remembered until that channel is tried, or need not be. */
function insertFollowed(audience: Followed, decided: Sql, users: Omit<Users, 'users'>): Sql {
  const last = orderOfChannels(audience).at(-1) ?? null;
  const fallsBack = sql`reason is null and channel <> ${last}::channel`;
  return sql`
    ${insertDecided(audience, decided, { ...users, fallsBack })},
    followed as (
      insert into fallbacks (notification_id, user_id, channel, due_at)
      select
        ${audience.notificationId}::uuid, user_id, channel,
        max(next_attempt_at) + make_interval(secs => ${audience.fallbackAfterSeconds}::double precision)
      from made
      where falls_back
      group by user_id, channel
      on conflict (notification_id, user_id) do update set channel = excluded.channel, due_at = excluded.due_at
    )
  `;
}

/**
 * One push delivery per installation, which is meant itself, whoever uses it. An id that is not registered gets a
 * delivery that says so. Safe to repeat. The last statement of its transaction.
 */
export async function insertInstallationDeliveries(
  tx: Transaction,
  audience: Made<Audience>,
  installationIds: readonly string[],
): Promise<void> {
  const { notificationId, timing } = audience;
  await tx.$executeRaw(sql`
    insert into deliveries (
      id, notification_id, target_key, channel, user_id, recipient_id, is_broadcast, status, reason
      ${timing ? sql`, next_attempt_at` : sql``}
    )
    select
      uuid_v7(), ${notificationId}::uuid, coalesce(recipient_id, md5(installation_id::text)::uuid), 'PUSH', user_id,
      recipient_id, true, case when reason is null then 'QUEUED' else 'DISCARDED' end::delivery_status, reason
      ${timing ? sql`, next_attempt_at` : sql``}
    from (${decideInstallationDeliveries(audience, installationIds)}) decided
    on conflict (notification_id, target_key) do nothing
  `);
}

/** One delivery per reference that names nobody, so that the sender sees it (rule M2). Safe to repeat; a last statement. */
export async function insertUnknownUserDeliveries(
  tx: Transaction,
  notificationId: string,
  references: readonly UserReference[],
): Promise<void> {
  await tx.$executeRaw(sql`
    insert into deliveries (id, notification_id, target_key, status, reason)
    select uuid_v7(), ${notificationId}::uuid, md5(reference)::uuid, 'DISCARDED', 'UNKNOWN_USER'
    from unnest(${references.map((reference) => JSON.stringify(reference))}::text[]) as unknown (reference)
    on conflict (notification_id, target_key) do nothing
  `);
}
