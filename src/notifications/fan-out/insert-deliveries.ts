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
  userIds: readonly string[];
  /** Everybody is meant: what an installation gets is its own, whoever uses it then. */
  isBroadcast: boolean;
}

/**
 * One delivery per recipient and channel for each of `userIds`, or by one channel only, as the notification is orchestrated: QUEUED,
 * or DISCARDED with the reason. A user without an address for an asked channel gets one delivery that says so. Safe to repeat. The
 * last statement of its transaction.
 */
export async function insertUserDeliveries(tx: Transaction, audience: Followed, users: Users): Promise<void> {
  const decided = decideUserDeliveries(withMade(audience), toRelation(users));
  const isFollowed = audience.orchestration === 'FALLBACK';
  await tx.$executeRaw(isFollowed ? insertFollowed(audience, decided, users) : insertDecided(audience, decided, users));
}

/**
 * The same by the first of `audience.channels` at which each user can be reached; for whom there is none, nothing. Safe to repeat,
 * and a last statement.
 */
export async function insertNextDeliveries(tx: Transaction, audience: Followed, users: Users): Promise<void> {
  await tx.$executeRaw(insertFollowed(audience, decideNextDeliveries(withMade(audience), toRelation(users)), users));
}

const withMade = (audience: Followed): Made<PeopleAudience> => ({ ...audience, made: madeBy(audience.notificationId) });

const toRelation = ({ userIds }: Users) => sql`unnest(${[...userIds]}::uuid[]) as audience (user_id)`;

/** @param fallsBack whether the next channel waits for what becomes of a delivery; absent: there is no next one */
function insertDecided(
  { notificationId, timing }: Followed,
  decided: Sql,
  { isBroadcast, fallsBack }: Pick<Users, 'isBroadcast'> & { fallsBack?: Sql },
): Sql {
  return sql`
    insert into deliveries (
      id, notification_id, target_key, channel, user_id, recipient_id, is_broadcast, status, reason
      ${fallsBack ? sql`, falls_back` : sql``} ${timing ? sql`, next_attempt_at` : sql``}
    )
    select
      uuid_v7(), ${notificationId}::uuid, target_key, channel, user_id, recipient_id, ${isBroadcast},
      case when reason is null then 'QUEUED' else 'DISCARDED' end::delivery_status, reason
      ${fallsBack ? sql`, ${fallsBack}` : sql``} ${timing ? sql`, next_attempt_at` : sql``}
    from (${decided}) decided
    on conflict (notification_id, target_key) do nothing
  `;
}

/** Of whom another channel is left, it is remembered until that channel is tried, or need not be. */
function insertFollowed(audience: Followed, decided: Sql, { isBroadcast }: Users): Sql {
  const last = orderOfChannels(audience).at(-1) ?? null;
  const fallsBack = sql`reason is null and channel <> ${last}::channel`;
  return sql`
    with made as (
      ${insertDecided(audience, decided, { isBroadcast, fallsBack })}
      returning user_id, channel, falls_back, next_attempt_at
    )
    insert into fallbacks (notification_id, user_id, channel, due_at)
    select
      ${audience.notificationId}::uuid, user_id, channel,
      max(next_attempt_at) + make_interval(secs => ${audience.fallbackAfterSeconds}::double precision)
    from made
    where falls_back
    group by user_id, channel
    on conflict (notification_id, user_id) do update set channel = excluded.channel, due_at = excluded.due_at
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
