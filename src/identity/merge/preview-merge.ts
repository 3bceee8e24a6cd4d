import type { Deployment } from '../../deployment.ts';
import { DomainError } from '../../errors.ts';
import type { Channel } from '../../generated/prisma/enums.ts';
import { sql, type Transaction } from '../../storage/database.ts';
import { standardAttributes } from '../../users/user-attributes.ts';
import type { Identifier } from '../identifier.ts';
import { readUsers } from '../user-identity-store.ts';
import type { JoinPlan } from './decide-join.ts';
import { decideMerge, type MergeSituation } from './decide-merge.ts';
import { type MergePair, parsePair, resolvePair } from './merge.ts';
import { type MovedCounts, parseCustomAttributesColumn } from './merge-record.ts';
import { countMergesLately } from './merge-record-store.ts';

/** Of which of the two users something comes. */
export const mergeSources = ['SURVIVOR', 'MERGED', 'BOTH'] as const;
export type MergeSource = (typeof mergeSources)[number];

/** What the one user would be. */
export interface MergeOutcome {
  /** Standard and custom attributes that have a value, which is told as text. */
  attributes: { name: string; isCustom: boolean; value: string; source: MergeSource }[];
  tags: { name: string; source: MergeSource }[];
  identifiers: (Identifier & { isAlias: boolean; source: MergeSource })[];
  moved: MovedCounts;
  /** Where nothing would be sent. Of an inbox the address is null, of an installation its id. */
  optOuts: { channel: Channel; address: string | null; source: MergeSource }[];
}

/** Either why it would be refused, or what would come out. The users are null where nobody is named. */
export interface MergePreview {
  survivorId: string | null;
  mergedId: string | null;
  refusal: DomainError | null;
  outcome: MergeOutcome | null;
}

/** Opt-outs that are told. @default 300 // the addresses of two users who have as many as they may, and some installations */
export const optOutsMax = 300;

/** What `mergeUsers` would do now with the same input (decision 5). Writes nothing, and locks nobody. */
export async function previewMerge(
  { db, rules }: Pick<Deployment, 'db' | 'rules'>,
  { allowAlias, overrides, ...pair }: MergePair,
): Promise<MergePreview> {
  const preview: MergePreview = { survivorId: null, mergedId: null, refusal: null, outcome: null };
  try {
    const references = parsePair(pair);
    // One snapshot: what is told is of one moment.
    await db.$transaction(
      async (tx) => {
        const [survivorId, mergedId] = await resolvePair(tx, references);
        Object.assign(preview, { survivorId, mergedId });
        const situation = await readSituation(tx, survivorId, mergedId);
        const plan = decideMerge(situation, { allowAlias, overrides, rules });
        preview.outcome = await tellOutcome(tx, situation, plan);
      },
      { isolationLevel: 'RepeatableRead' },
    );
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    preview.refusal = error;
  }
  return preview;
}

async function readSituation(tx: Transaction, survivorId: string, mergedId: string): Promise<MergeSituation> {
  const users = await readUsers(tx, [survivorId, mergedId]);
  const [survivor, merged] = [users.get(survivorId), users.get(mergedId)];
  if (!survivor || !merged) throw new Error('A user that was found is not there, in one snapshot.');
  return { survivor, merged, mergesLatelyCount: await countMergesLately(tx, survivorId) };
}

async function tellOutcome(tx: Transaction, situation: MergeSituation, plan: JoinPlan): Promise<MergeOutcome> {
  const { survivor, merged } = situation;
  const { toAlias, tags } = plan;
  return {
    attributes: tellAttributes(situation, plan),
    tags: [
      ...survivor.user.tags.map((name) => ({
        name,
        source: merged.user.tags.includes(name) ? ('BOTH' as const) : ('SURVIVOR' as const),
      })),
      ...tags.map((name) => ({ name, source: 'MERGED' as const })),
    ],
    identifiers: [
      ...survivor.identifiers.map((identifier) => ({ ...identifier, source: 'SURVIVOR' as const })),
      ...merged.identifiers.map((identifier) => ({
        ...identifier,
        isAlias: identifier.isAlias || (toAlias && identifier.kind === 'EXTERNAL_USER_ID'),
        source: 'MERGED' as const,
      })),
    ],
    moved: await countMovable(tx, situation, plan),
    optOuts: await listOptOuts(tx, situation),
  };
}

function tellAttributes({ survivor, merged }: MergeSituation, plan: JoinPlan): MergeOutcome['attributes'] {
  const sourceOf = (isMerged: boolean) => (isMerged ? ('MERGED' as const) : ('SURVIVOR' as const));
  const standard = standardAttributes.flatMap((name) => {
    const isMerged = plan.attributes.includes(name);
    const value = (isMerged ? merged : survivor).user[name];
    return value === null ? [] : [{ name, isCustom: false, value: toText(value), source: sourceOf(isMerged) }];
  });
  const own = Object.entries(parseCustomAttributesColumn(survivor.user.customAttributes));
  const other = Object.entries(parseCustomAttributesColumn(merged.user.customAttributes));
  const isTaken = (name: string) => plan.customAttributes.includes(name);
  const custom = [...own.filter(([name]) => !isTaken(name)), ...other.filter(([name]) => isTaken(name))]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => ({ name, isCustom: true, value: toText(value), source: sourceOf(isTaken(name)) }));
  return [...standard, ...custom];
}

/** A day as a day; what is no text as JSON. */
function toText(value: unknown): string {
  if (value instanceof Date) return value.toISOString().slice(0, 10);
  return typeof value === 'string' ? value : JSON.stringify(value);
}

async function countMovable(tx: Transaction, { merged }: MergeSituation, plan: JoinPlan): Promise<MovedCounts> {
  const userId = merged.user.id;
  const [rows] = await tx.$queryRaw<
    Pick<MovedCounts, 'installations' | 'recipients' | 'segments' | 'topicPreferences' | 'tombstones'>[]
  >(sql`
    select
      (select count(*)::int from installations where user_id = ${userId}::uuid) as installations,
      (select count(*)::int from recipients where user_id = ${userId}::uuid and channel <> 'IN_APP') as recipients,
      (select count(*)::int from segment_members where user_id = ${userId}::uuid) as segments,
      (select count(distinct topic_id)::int from topic_preferences where user_id = ${userId}::uuid) as "topicPreferences",
      (select count(*)::int from users where merged_into_id = ${userId}::uuid) as tombstones
  `);
  if (!rows) throw new Error('A statement without a table has one row.');
  return {
    ...rows,
    identifiers: merged.identifiers.length,
    attributes: plan.attributes.length + plan.customAttributes.length,
    tags: plan.tags.length,
  };
}

/** An inbox is told once: the survivor's is the one user's. */
async function listOptOuts(tx: Transaction, { survivor, merged }: MergeSituation): Promise<MergeOutcome['optOuts']> {
  return tx.$queryRaw<MergeOutcome['optOuts']>(sql`
    select
      channel::text,
      coalesce(address, installation_id::text) as address,
      case
        when count(*) = 2 then 'BOTH' when min(user_id::text) = ${survivor.user.id} then 'SURVIVOR' else 'MERGED'
      end as source
    from recipients
    where user_id in (${survivor.user.id}::uuid, ${merged.user.id}::uuid) and not is_subscribed
    group by channel, coalesce(address, installation_id::text)
    order by channel, address
    limit ${optOutsMax}
  `);
}
