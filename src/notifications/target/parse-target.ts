import { lockFilters } from '../../attributes/filter-lock.ts';
import { DomainError } from '../../errors.ts';
import { parseUserReference, type UserReferenceInput } from '../../identity/user-reference.ts';
import { isUuid } from '../../ids.ts';
import { parseKnownFilter } from '../../segments/segment-filter.ts';
import { refuseTooLargeTarget } from '../../segments/target-size.ts';
import { sql, type Transaction } from '../../storage/database.ts';
import { refuseUnknownTopic } from '../../topics/preference-store.ts';
import type { Target } from './target.ts';

/** Whom a caller means. */
export interface TargetInput {
  users?: readonly UserReferenceInput[] | null | undefined;
  installations?: readonly string[] | null | undefined;
  segments?: readonly string[] | null | undefined;
  excludeSegments?: readonly string[] | null | undefined;
  /** Those who are subscribed to it. */
  topic?: string | null | undefined;
  everyone?: boolean | null | undefined;
  limit?: number | null | undefined;
  /** As the schema lets it in (`AudienceFilter`), with local ids. */
  filter?: unknown;
}

/** Which of the recipients of those who are meant. */
export interface NarrowingInput {
  apps?: readonly string[] | null | undefined;
  subscribedFrom?: Date | null | undefined;
  subscribedTo?: Date | null | undefined;
  onePerUser?: boolean | null | undefined;
}

/** Users and installations that a target names. @default 1_000 */
export const referencesMax = 1_000;
/** @default 100 // segments of a target, and as many that it leaves out */
export const segmentsMax = 100;
/** @default 100 // apps */
export const appsMax = 100;
/** A target without its filter, which is held against the attributes and segments there are. */
export type NamedTarget = Omit<Target, 'filter'>;

/**
 * What a target names. An empty one is refused (rule N7), and so is one that only leaves people out: everybody is meant by
 * `everyone`, which stands for itself.
 *
 * @throws DomainError `TARGET_EMPTY`, `LIMIT_EXCEEDED`, `VALUE_INVALID`, `EMAIL_INVALID`, `PHONE_INVALID`
 */
export function parseTarget(target: TargetInput, narrowing: NarrowingInput): NamedTarget {
  const { users, installations, segments, excludeSegments, topic = null, filter } = target;
  const everyone = target.everyone ?? false;
  const count = (users?.length ?? 0) + (installations?.length ?? 0);
  const hasFilter = filter !== null && filter !== undefined;
  const isNobody = count + (segments?.length ?? 0) === 0 && topic === null && !hasFilter;
  if (isNobody && !everyone) {
    const words = 'Name users, installations, segments or a topic, give a filter, or say `everyone`.';
    throw new DomainError('TARGET_EMPTY', words, ['target']);
  }
  if (!isNobody && everyone) {
    throw new DomainError('VALUE_INVALID', 'Everyone is meant: name nobody beside.', ['target', 'everyone']);
  }
  if (count > referencesMax || [segments, excludeSegments].some((ids) => (ids?.length ?? 0) > segmentsMax)) {
    const limit = `A target names at most ${referencesMax} users and installations and ${segmentsMax} segments.`;
    throw new DomainError('LIMIT_EXCEEDED', limit, ['target']);
  }
  return {
    users: (users ?? []).map((user, index) => parseUserReference(user, ['target', 'users', String(index)])),
    installations: [...new Set(parseIds(installations ?? [], ['target', 'installations']))],
    segments: parseIds(segments ?? [], ['target', 'segments']),
    excludeSegments: parseIds(excludeSegments ?? [], ['target', 'excludeSegments']),
    topic,
    everyone,
    limit: parseLimit(target.limit),
    ...parseNarrowing(narrowing),
  };
}

function parseLimit(limit: number | null | undefined): number | null {
  if (limit === null || limit === undefined) return null;
  if (limit >= 1) return limit;
  throw new DomainError('VALUE_INVALID', 'A limit is at least 1.', ['target', 'limit']);
}

function parseNarrowing({ apps, subscribedFrom, subscribedTo, onePerUser }: NarrowingInput) {
  if (apps && apps.length === 0) {
    throw new DomainError('VALUE_INVALID', 'Name an app, or leave the field out.', ['apps']);
  }
  if (apps && apps.length > appsMax) {
    throw new DomainError('LIMIT_EXCEEDED', `At most ${appsMax} apps.`, ['apps']);
  }
  if (subscribedFrom && subscribedTo && subscribedFrom >= subscribedTo) {
    throw new DomainError('VALUE_INVALID', 'Nobody subscribed then: it ends before it begins.', ['subscribedTo']);
  }
  return {
    apps: parseIds(apps ?? [], ['apps']),
    subscribedFrom: subscribedFrom?.toISOString() ?? null,
    subscribedTo: subscribedTo?.toISOString() ?? null,
    onePerUser: onePerUser ?? false,
  };
}

function parseIds(ids: readonly string[], path: readonly string[]): string[] {
  return ids.map((id, index) => {
    if (isUuid(id)) return id.toLowerCase();
    throw new DomainError('VALUE_INVALID', 'This is not an id.', [...path, String(index)]);
  });
}

/**
 * The target in normal form: its filter names what there is, until the commit none of its segments, apps, attributes and topics
 * goes or grows, and from then on the notification keeps them.
 *
 * @throws DomainError `NOT_FOUND` (a segment, an app, a topic), `VALUE_INVALID`, `ATTRIBUTE_INVALID` (in the filter), `LIMIT_EXCEEDED`
 */
export async function freezeTarget(tx: Transaction, named: NamedTarget, filter: unknown): Promise<Target> {
  const hasFilter = filter !== null && filter !== undefined;
  if (named.topic !== null) await refuseUnknownTopic(tx, named.topic, ['target', 'topic']);
  if (hasFilter || named.segments.length + named.excludeSegments.length > 0) await lockFilters(tx, 'together');
  await refuseUnknown(tx, { from: 'segments', ids: named.segments, path: ['target', 'segments'] });
  await refuseUnknown(tx, { from: 'segments', ids: named.excludeSegments, path: ['target', 'excludeSegments'] });
  await refuseUnknown(tx, { from: 'apps', ids: named.apps, path: ['apps'] });
  const stored = hasFilter ? await parseKnownFilter(tx, filter, ['target', 'filter']) : null;
  const target = { ...named, filter: stored };
  await refuseTooLargeTarget(tx, target, ['target']);
  return target;
}

const rows = { segments: sql`segments`, apps: sql`apps` };
const words = { segments: 'There is no such segment.', apps: 'There is no such app.' };

async function refuseUnknown(
  tx: Transaction,
  { from, ids, path }: { from: keyof typeof rows; ids: readonly string[]; path: readonly string[] },
): Promise<void> {
  if (ids.length === 0) return;
  const found = await tx.$queryRaw<{ id: string }[]>(sql`
    select id from ${rows[from]} where id = any(${[...ids]}::uuid[]) order by id for key share
  `);
  const known = new Set(found.map(({ id }) => id));
  const missing = ids.findIndex((id) => !known.has(id));
  if (missing >= 0) throw new DomainError('NOT_FOUND', words[from], [...path, String(missing)]);
}
