import type { Channel } from '../../generated/prisma/enums.ts';
import { resolveUserReferences } from '../../identity/user-reference.ts';
import { recipientChannelOf } from '../../recipients/recipient-channel.ts';
import { audienceSql, planForPages } from '../../segments/audience.ts';
import { filterToInstallationSql } from '../../segments/filter.ts';
import { prepareFilter } from '../../segments/known-segments.ts';
import { type Sql, sql, type Transaction } from '../../storage/database.ts';
import { toMeantSql } from '../target/meant-recipients.ts';
import { type FanOutCursor, type Target, toAudienceFilter, toExcludedFilter } from '../target/target.ts';

/** @default 500 // users a transaction */
const usersPerPage = 500;

/** Whose page is read, and where it begins. */
export interface PageRequest {
  notificationId: string;
  target: Target;
  cursor: FanOutCursor;
  /** By which a user can be reached at all; matters where a target asks when that was subscribed, or of which app it is. */
  channels: readonly Channel[];
  createdAt: Date;
}

/** Some of those whom a target means. */
export interface Page {
  userIds: string[];
  installationIds: string[];
  /** References that name nobody. */
  unknown: Target['users'];
  /** Which of the users' recipients, `r` of `u`, are meant. Null: all. */
  meant: Sql | null;
  next: FanOutCursor | null;
}

type Reader = Pick<Transaction, '$queryRaw'>;

/** Reads one page of a target: those whom it names, then the rest by user id, each once and in an order that does not change. */
export async function readPage(tx: Transaction, request: PageRequest): Promise<Page> {
  const { target, cursor } = request;
  if (cursor.phase === 'references') return referencesPage(tx, request);
  const audience = await prepareAudience(tx, request);
  const left = target.limit === null ? usersPerPage : target.limit - cursor.taken;
  if (!audience || left <= 0) return { ...nobody, meant: null, next: null };
  await planForPages(tx);
  return audiencePage(tx, { ...request, cursor, audience, size: Math.min(usersPerPage, left) });
}

const nobody = { userIds: [], installationIds: [], unknown: [] };

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

async function referencesPage(tx: Transaction, { target }: PageRequest): Promise<Page> {
  const { users, installations, limit } = target;
  const named = await resolveNamed(tx, target);
  const userIds = named.userIds.slice(0, limit ?? undefined);
  const installationIds = installations.slice(0, limit === null ? undefined : limit - userIds.length);
  const taken = userIds.length + installationIds.length;
  return {
    userIds,
    installationIds,
    unknown: users.filter((_, index) => named.isUnknown[index]),
    meant: toMeantSql(target, null),
    next: toAudienceFilter(target) ? { phase: 'segments', after: null, taken } : null,
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

interface AudiencePageRequest extends PageRequest {
  cursor: Exclude<FanOutCursor, { phase: 'references' }>;
  audience: { where: Sql; meant: Sql | null };
  /** Users at most. */
  size: number;
}

/**
 * The users for whom the audience's condition holds, from one on; in the second phase those of them into whom somebody was merged
 * since the notification was accepted. Who has a delivery already gets no second one.
 */
async function audiencePage(
  tx: Transaction,
  { notificationId, target, cursor, audience, size, createdAt }: AudiencePageRequest,
): Promise<Page> {
  const { phase, after, taken } = cursor;
  const survivors = sql`u.id in (
    select r.survivor_id from merge_records r
    where r.created_at >= ${createdAt}::timestamptz - make_interval(mins => ${mergeMinutesMax})
  )`;
  // Under a limit who was taken before is not counted again.
  const fresh = sql`not exists (
    select from deliveries d where d.notification_id = ${notificationId}::uuid and d.user_id = u.id
  )`;
  const rows = await tx.$queryRaw<{ user_id: string }[]>(sql`
    select u.id as user_id from users u
    where ${phase === 'merged' ? survivors : sql`true`} and ${after === null ? sql`true` : sql`u.id > ${after}::uuid`}
      and ${target.limit === null ? sql`true` : fresh} and ${audience.where}
    order by u.id
    limit ${size}
  `);
  const userIds = rows.map((row) => row.user_id);
  const page = { ...nobody, userIds, meant: audience.meant };
  const soFar = taken + userIds.length;
  const last = userIds.at(-1);
  if (last !== undefined && userIds.length === size) return { ...page, next: { phase, after: last, taken: soFar } };
  // Between two pages a merge can have moved a membership, or what a filter asks for, to a user whom the walk has passed.
  const isPassed = phase === 'segments' && after !== null;
  return { ...page, next: isPassed ? { phase: 'merged', after: null, taken: soFar } : null };
}
