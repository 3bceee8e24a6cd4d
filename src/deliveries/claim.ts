import type { Channel } from '../generated/prisma/enums.ts';
import { type Database, type Sql, sql, type Transaction } from '../storage/database.ts';

/** Deliveries that one worker holds for a while, fenced by the token: who has lost the claim can write no outcome. */
export interface Claim {
  token: string;
  deliveryIds: string[];
  /** By the delivery's id. */
  channelOf: ReadonlyMap<string, Channel>;
  /** What is due beside it: NONE; LIMITED, of a channel that has as many as it may have; UNKNOWN, as no more were looked at. */
  rest: 'NONE' | 'LIMITED' | 'UNKNOWN';
}

/** Which deliveries are claimed, for how long, and by whom. */
interface Wish {
  notificationId: string;
  token: string;
  limit: number;
  leaseSeconds: number;
  pausedChannels: readonly Channel[];
  /** How many of each channel at most. @default new Map() // any number */
  channelLimits?: ReadonlyMap<Channel, number>;
}

/**
 * Claims deliveries of a notification that are due, out of the first `limit` of them. Takes none that another worker is taking.
 */
export async function claimDue(
  db: Pick<Transaction, '$queryRaw'>,
  { notificationId, token, limit, leaseSeconds, pausedChannels, channelLimits = new Map() }: Wish,
): Promise<Claim> {
  const rows = await db.$queryRaw<{ id: string; channel: Channel; due_count: number }[]>(sql`
    with due as (
      select id, channel, next_attempt_at from deliveries
      where notification_id = ${notificationId}::uuid and status = 'QUEUED' and next_attempt_at <= now()
        and channel <> all(${[...pausedChannels]}::channel[])
      order by next_attempt_at, id
      limit ${limit}
      for no key update skip locked
    ),
    taken as (${channelLimits.size === 0 ? sql`select id from due` : firstOfEach(channelLimits)})
    update deliveries d set
      status = 'SENDING', claim_token = ${token}::uuid, claim_expires_at = now() + make_interval(secs => ${leaseSeconds})
    from taken
    where d.id = taken.id
    returning d.id, d.channel::text, (select count(*) from due)::int as due_count
  `);
  const channelOf = new Map(rows.map(({ id, channel }) => [id, channel]));
  const dueCount = rows[0]?.due_count ?? 0;
  const rest = dueCount > rows.length ? 'LIMITED' : dueCount === limit ? 'UNKNOWN' : 'NONE';
  return { token, deliveryIds: [...channelOf.keys()].sort(), channelOf, rest };
}

/** Of those that are `due`, of each channel no more than its limit. */
const firstOfEach = (channelLimits: ReadonlyMap<Channel, number>): Sql => sql`
  select ranked.id
  from (select *, row_number() over (partition by channel order by next_attempt_at, id) as place from due) ranked
  left join unnest(
    ${[...channelLimits.keys()]}::channel[], ${[...channelLimits.values()]}::int[]
  ) as most (channel, count) using (channel)
  where most.count is null or ranked.place <= most.count
`;

/** Goes on holding what the claim still holds. What is being written right now is left out: it is ending. */
export async function renewClaim(
  db: Pick<Database, '$executeRaw'>,
  claim: Pick<Claim, 'token' | 'deliveryIds'>,
  leaseSeconds: number,
): Promise<void> {
  await db.$executeRaw(sql`
    with held as (
      select id from deliveries
      where id = any(${claim.deliveryIds}::uuid[]) and claim_token = ${claim.token}::uuid
      order by id
      for no key update skip locked
    )
    update deliveries d set claim_expires_at = now() + make_interval(secs => ${leaseSeconds})
    from held
    where d.id = held.id
  `);
}

/**
 * Gives back deliveries that were claimed but not begun: they are due at once.
 *
 * @param deliveryIds ALL: whatever the claim holds, for who cannot know.
 */
export async function releaseClaim(
  db: Pick<Database, '$executeRaw'>,
  token: string,
  deliveryIds: readonly string[] | 'ALL',
): Promise<void> {
  if (deliveryIds.length === 0) return;
  const which = deliveryIds === 'ALL' ? sql`status = 'SENDING'` : sql`id = any(${[...deliveryIds]}::uuid[])`;
  await db.$executeRaw(sql`
    with held as (
      select id from deliveries
      where ${which} and claim_token = ${token}::uuid
      order by id
      for no key update
    )
    update deliveries d set status = 'QUEUED', claim_token = null, claim_expires_at = null, next_attempt_at = now()
    from held
    where d.id = held.id
  `);
}

/**
 * Takes back what workers held that no longer renew: their deliveries are due again. An attempt that had begun counts, as
 * the provider may have the message.
 *
 * @param all takes back every claim, for when it is known that no worker lives.
 */
export async function takeBackExpiredClaims(
  db: Pick<Database, '$executeRaw'>,
  { all }: { all: boolean },
): Promise<void> {
  const whose = all ? sql`` : sql`and claim_expires_at < now()`;
  await db.$executeRaw(sql`
    with expired as (
      select id from deliveries
      where status = 'SENDING' ${whose}
      order by id
      for no key update skip locked
    )
    update deliveries d set status = 'QUEUED', claim_token = null, claim_expires_at = null, next_attempt_at = now()
    from expired
    where d.id = expired.id
  `);
}
