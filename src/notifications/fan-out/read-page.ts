import type { Channel } from '../../generated/prisma/enums.ts';
import { resolveUserReferences } from '../../identity/user-reference.ts';
import { recipientChannelOf } from '../../recipients/recipient-channel.ts';
import { audienceSql, planForPages } from '../../segments/audience.ts';
import { filterToInstallationSql } from '../../segments/filter.ts';
import { prepareFilter } from '../../segments/known-segments.ts';
import { type Sql, sql, type Transaction } from '../../storage/database.ts';
import { toMeantSql } from '../target/meant-recipients.ts';
import { type FanOutCursor, type Target, toAudienceFilter, toExcludedFilter } from '../target/target.ts';

/** Whose page it is. */
export interface PageRequest {
  notificationId: string;
  target: Target;
  /** By which a user can be reached at all; matters where a target asks when that was subscribed, or of which app it is. */
  channels: readonly Channel[];
  createdAt: Date;
  /** Users at most. */
  usersPerPage: number;
}

/** Whom a target names one by one. */
export interface Named {
  userIds: string[];
  installationIds: string[];
  /** References that name nobody. */
  unknown: Target['users'];
}

/** Some of those whom a target means beside them. */
export interface AudiencePage {
  /** A statement that selects each `user_id`, in its order. */
  users: Sql;
  /** Which of the users' recipients, `r` of `u`, are meant. Null: all. */
  meant: Sql | null;
  /** Users at most. */
  size: number;
}

/** Where it is among them. */
export type AudienceCursor = Exclude<FanOutCursor, { phase: 'references' }>;

type Reader = Pick<Transaction, '$queryRaw'>;

/** Whom a target means beside those whom it names: users `u`, and which recipients of theirs. Null: nobody. */
export async function prepareAudience(
  db: Reader,
  { target, channels }: Pick<PageRequest, 'target' | 'channels'>,
): Promise<{ where: Sql; meant: Sql | null } | null> {
  const audience = toAudienceFilter(target);
  if (!audience) return null;
  const { filter, scope } = await prepareFilter(db, audience);
  const where = audienceSql({ filter, scope });
  const narrowed = toMeantSql(target, null);
  const meant = toMeantSql(target, filterToInstallationSql(filter, scope));
  if (!narrowed) return { where, meant };
  // Who has no recipient that is meant is none of the audience.
  const anyOf = channels.length > 0 ? sql`and r.channel = any(${channels.map(recipientChannelOf)}::channel[])` : sql``;
  return {
    where: sql`${where} and exists (select from recipients r where r.user_id = u.id ${anyOf} and ${meant})`,
    meant,
  };
}

/** Those whom a target names, up to its limit. */
export async function readNamed(tx: Transaction, target: Target): Promise<Named> {
  const { users, installations, limit } = target;
  const named = await resolveNamed(tx, target);
  const userIds = named.userIds.slice(0, limit ?? undefined);
  return {
    userIds,
    installationIds: installations.slice(0, limit === null ? undefined : limit - userIds.length),
    unknown: users.filter((_, index) => named.isUnknown[index]),
  };
}

/** Whom a target names, in its order and without who is in a segment that is to get nothing; and which references name nobody. */
export async function resolveNamed(db: Reader, target: Target): Promise<{ userIds: string[]; isUnknown: boolean[] }> {
  const resolved = await resolveUserReferences(db, target.users);
  const named = [...new Set(resolved.filter((id) => id !== null))];
  const excluded = await findExcluded(db, target, named);
  return { userIds: named.filter((id) => !excluded.has(id)), isUnknown: resolved.map((id) => id === null) };
}

/** Who is named, but is in a segment that is to get nothing. */
async function findExcluded(db: Reader, target: Target, userIds: readonly string[]): Promise<ReadonlySet<string>> {
  const filter = toExcludedFilter(target);
  if (!filter) return new Set();
  const excluded = audienceSql(await prepareFilter(db, filter));
  const rows = await db.$queryRaw<{ id: string }[]>(sql`
    select u.id from users u where u.id = any(${[...userIds]}::uuid[]) and ${excluded}
  `);
  return new Set(rows.map(({ id }) => id));
}

/** A transaction that began before the notification's can have merged after it: none takes this long. */
const mergeMinutesMax = 5;

/**
 * The next page of those for whom the audience's condition holds, by user id, each once; in the second phase of those of them
 * into whom somebody was merged since the notification was accepted. Has the transaction plan for such a page. Null: nobody.
 */
export async function prepareAudiencePage(
  tx: Transaction,
  request: PageRequest & { cursor: AudienceCursor },
): Promise<AudiencePage | null> {
  const { notificationId, target, createdAt, usersPerPage } = request;
  const { phase, after, taken } = request.cursor;
  const audience = await prepareAudience(tx, request);
  const size = target.limit === null ? usersPerPage : Math.min(usersPerPage, target.limit - taken);
  if (!audience || size <= 0) return null;
  await planForPages(tx);
  const survivors = sql`u.id in (
    select r.survivor_id from merge_records r
    where r.created_at >= ${createdAt}::timestamptz - make_interval(mins => ${mergeMinutesMax})
  )`;
  // Under a limit who was taken before is not counted again, unless a merge may reach who got nothing.
  const fresh = sql`not exists (
    select from deliveries d where d.notification_id = ${notificationId}::uuid and d.user_id = u.id
      ${phase === 'merged' ? sql`and d.status <> 'DISCARDED'` : sql``}
  )`;
  const users = sql`
    select u.id as user_id from users u
    where ${phase === 'merged' ? survivors : sql`true`} and ${after === null ? sql`true` : sql`u.id > ${after}::uuid`}
      and ${target.limit === null ? sql`true` : fresh} and ${audience.where}
    order by u.id
    limit ${size}
  `;
  return { users, meant: audience.meant, size };
}

/** Where a fan-out goes on after a page with `count` users up to `last`. Null: it is finished. Pure. */
export function cursorAfter(
  { phase, after, taken }: AudienceCursor,
  { size, count, last }: { size: number; count: number; last: string | null },
): FanOutCursor | null {
  const soFar = taken + count;
  if (last !== null && count === size) return { phase, after: last, taken: soFar };
  // Between two pages a merge can have moved a membership, or what a filter asks for, to a user whom the walk has passed.
  const isPassed = phase === 'segments' && after !== null;
  return isPassed ? { phase: 'merged', after: null, taken: soFar } : null;
}
