import pg from 'pg';
import type { Configured } from '../../deliveries/app-channels.ts';
import { DomainError } from '../../errors.ts';
import type { Channel, DeliveryReason, Purpose } from '../../generated/prisma/enums.ts';
import { type Database, type Sql, sql, type Transaction } from '../../storage/database.ts';
import { inTransaction } from '../../storage/transaction.ts';
import { refuseUnknownTopic } from '../../topics/preference-store.ts';
import { type Orchestrated, type OrchestrationInput, parseOrchestration } from '../orchestration.ts';
import { toMeantSql } from '../target/meant-recipients.ts';
import { freezeTarget, type NarrowingInput, parseTarget, type TargetInput } from '../target/parse-target.ts';
import type { Target } from '../target/target.ts';
import { decideInstallationDeliveries, decideUserDeliveries } from './decide-deliveries.ts';
import { prepareAudience, resolveNamed } from './read-page.ts';

/** Whom a caller would send to, and how. */
export interface PreviewRequest extends NarrowingInput, Pick<OrchestrationInput, 'channels' | 'orchestration'> {
  target: TargetInput;
  configured: Configured;
  targetOnlyPrimaryDevices: boolean;
  purpose: Purpose;
  topicId: string | null;
}

/** What would become of a channel's recipients. */
export interface ChannelPreview {
  /** Null: of those without an address by any channel. */
  channel: Channel | null;
  reachable: number;
  leftOut: { reason: DeliveryReason; count: number }[];
}

/** Whom a notification would be fanned out to right now. */
export interface AudiencePreview {
  users: number;
  unknownUsers: number;
  /** Deliveries that would be made. */
  total: number;
  channels: ChannelPreview[];
  countedAt: Date;
}

/** How long it may count. @default 15_000 // 15 seconds */
const countMsMax = 15_000;

/**
 * Counts the deliveries that a notification would be fanned out to, by the statement that fans out. Writes nothing.
 *
 * @throws DomainError as `parseTarget`, `parseOrchestration` and `freezeTarget` do; `NOT_FOUND` (the topic); `LIMIT_EXCEEDED` when it would take more than 15 seconds
 */
export async function previewAudience(db: Database, request: PreviewRequest): Promise<AudiencePreview> {
  const named = parseTarget(request.target, request);
  const { channels, orchestration } = parseOrchestration(request, named.installations.length > 0);
  const target = await inTransaction(db, async (tx) => {
    if (request.topicId !== null) await refuseUnknownTopic(tx, request.topicId, ['topic']);
    return freezeTarget(tx, named, request.target.filter);
  });
  try {
    return await inTransaction(db, (tx) => countAudience(tx, { ...request, channels, orchestration, target }), 'ONCE');
  } catch (error) {
    // 57014 query_canceled: by the time that it may take.
    if (!(error instanceof pg.DatabaseError) || error.code !== '57014') throw error;
    throw new DomainError('LIMIT_EXCEEDED', 'Counting these takes too long.', ['target']);
  }
}

interface CountRow {
  users: number;
  counted_at: Date;
  counts: { channel: Channel | null; reason: DeliveryReason | null; count: number }[] | null;
}

/** A request of which all is known to be right. */
type Settled = Omit<PreviewRequest, 'target'> & Pick<Orchestrated, 'channels' | 'orchestration'> & { target: Target };

async function countAudience(tx: Transaction, request: Settled): Promise<AudiencePreview> {
  const { target } = request;
  const named = await resolveNamed(tx, target);
  const people = named.userIds.slice(0, target.limit ?? undefined);
  const installations = target.installations.slice(0, target.limit === null ? undefined : target.limit - people.length);
  const statement = await toStatement(tx, { ...request, people, installations });
  await tx.$executeRaw(sql`set local plan_cache_mode = force_custom_plan`);
  await tx.$executeRaw(sql`select set_config('statement_timeout', ${String(countMsMax)}, true)`);
  const [row] = await tx.$queryRaw<CountRow[]>(statement);
  if (!row) throw new Error('A count has no row.');
  // One who is named twice is told of once.
  const unknownUsers = new Set(
    target.users.filter((_, index) => named.isUnknown[index]).map((reference) => JSON.stringify(reference)),
  ).size;
  const counts = row.counts ?? [];
  return {
    users: row.users,
    unknownUsers,
    total: counts.reduce((sum, { count }) => sum + count, unknownUsers),
    channels: toChannels(counts),
    countedAt: row.counted_at,
  };
}

interface Statement extends Settled {
  people: readonly string[];
  installations: readonly string[];
}

/** Those who are named, the rest of the audience, and installations: each address counts where it comes first, as in a fan-out. */
async function toStatement(tx: Transaction, request: Statement): Promise<Sql> {
  const { target, people, installations } = request;
  const audience = await prepareAudience(tx, request);
  const left = target.limit === null ? null : target.limit - people.length - installations.length;
  const undated = { ...request, timing: null };
  // A fan-out has made those of installations before all others.
  const audienceOfPeople = {
    ...undated,
    onePerUser: target.onePerUser,
    made: sql`(select recipient_id as target_key, user_id, reason is not null as is_discarded from apart)`,
  };
  const decide = (users: Sql, meant: Sql | null) => sql`
    select channel, reason from (${decideUserDeliveries({ ...audienceOfPeople, meant }, users)}) decided
    where recipient_id is null or recipient_id not in (select recipient_id from apart where recipient_id is not null)
  `;
  return sql`
    with apart as (${decideInstallationDeliveries(undated, installations)}),
    named as (select unnest(${[...people]}::uuid[]) as user_id),
    others as (
      select u.id as user_id from users u
      where ${audience?.where ?? sql`false`} and u.id <> all(${[...people]}::uuid[])
      ${left === null ? sql`` : sql`and not exists (select from apart where user_id = u.id) order by u.id limit ${left}`}
    ),
    counts as (
      select channel::text, reason::text, count(*)::int
      from (
        select 'PUSH'::channel as channel, reason from apart
        union all
        ${decide(sql`named as audience`, toMeantSql(target, null))}
        union all
        ${decide(sql`others as audience`, audience?.meant ?? null)}
      ) each_delivery
      group by channel, reason
      order by channel, reason
    )
    select
      (select count(*) from named)::int + (select count(*) from others)::int as users,
      date_trunc('milliseconds', now()) as counted_at,
      (select jsonb_agg(counts) from counts) as counts
  `;
}

function toChannels(counts: NonNullable<CountRow['counts']>): ChannelPreview[] {
  const byChannel = Map.groupBy(counts, ({ channel }) => channel);
  return [...byChannel].map(([channel, rows]) => ({
    channel,
    reachable: rows.find(({ reason }) => reason === null)?.count ?? 0,
    leftOut: rows.flatMap(({ reason, count }) => (reason === null ? [] : [{ reason, count }])),
  }));
}
