import { DomainError } from '../../errors.ts';
import { parseUserReference, type UserReferenceInput } from '../../identity/user-reference.ts';
import { isUuid } from '../../ids.ts';
import { parseKnownFilter } from '../../segments/segment-filter.ts';
import { sql, type Transaction } from '../../storage/database.ts';
import type { Target } from './target.ts';

/** Whom a caller means. */
export interface TargetInput {
  users?: readonly UserReferenceInput[] | null | undefined;
  installations?: readonly string[] | null | undefined;
  segments?: readonly string[] | null | undefined;
  excludeSegments?: readonly string[] | null | undefined;
  /** As the schema lets it in (`AudienceFilter`), with local ids. */
  filter?: unknown;
}

/** Users and installations that a target names. @default 1_000 */
export const referencesMax = 1_000;
/** @default 100 // segments of a target, and as many that it leaves out */
export const segmentsMax = 100;
/** A target without its filter, which is held against the attributes and segments there are. */
export type NamedTarget = Omit<Target, 'filter'>;

/**
 * What a target names. An empty one is refused (rule N7), and so is one that only leaves people out.
 *
 * @throws DomainError `TARGET_EMPTY`, `LIMIT_EXCEEDED`, `VALUE_INVALID`, `EMAIL_INVALID`, `PHONE_INVALID`
 */
export function parseTarget(target: TargetInput): NamedTarget {
  const { users, installations, segments, excludeSegments, filter } = target;
  const count = (users?.length ?? 0) + (installations?.length ?? 0);
  const hasFilter = filter !== null && filter !== undefined;
  if (count + (segments?.length ?? 0) === 0 && !hasFilter) {
    throw new DomainError('TARGET_EMPTY', 'Name users, installations or segments, or give a filter.', ['target']);
  }
  if (count > referencesMax || [segments, excludeSegments].some((ids) => (ids?.length ?? 0) > segmentsMax)) {
    const limit = `A target names at most ${referencesMax} users and installations and ${segmentsMax} segments.`;
    throw new DomainError('LIMIT_EXCEEDED', limit, ['target']);
  }
  return {
    users: (users ?? []).map((user, index) => parseUserReference(user, ['target', 'users', String(index)])),
    installations: parseIds(installations ?? [], ['target', 'installations']),
    segments: parseIds(segments ?? [], ['target', 'segments']),
    excludeSegments: parseIds(excludeSegments ?? [], ['target', 'excludeSegments']),
  };
}

function parseIds(ids: readonly string[], path: readonly string[]): string[] {
  return ids.map((id, index) => {
    if (isUuid(id)) return id.toLowerCase();
    throw new DomainError('VALUE_INVALID', 'This is not an id.', [...path, String(index)]);
  });
}

/**
 * The target in normal form: its filter names what there is, and until the commit none of its segments is deleted; from then on
 * the notification keeps them.
 *
 * @throws DomainError `NOT_FOUND` (a segment), `VALUE_INVALID`, `ATTRIBUTE_INVALID` (in the filter)
 */
export async function freezeTarget(tx: Transaction, named: NamedTarget, filter: unknown): Promise<Target> {
  await refuseUnknownSegments(tx, named.segments, ['target', 'segments']);
  await refuseUnknownSegments(tx, named.excludeSegments, ['target', 'excludeSegments']);
  const hasFilter = filter !== null && filter !== undefined;
  return { ...named, filter: hasFilter ? await parseKnownFilter(tx, filter, ['target', 'filter']) : null };
}

async function refuseUnknownSegments(tx: Transaction, ids: readonly string[], path: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  const rows = await tx.$queryRaw<{ id: string }[]>(sql`
    select id from segments where id = any(${[...ids]}::uuid[]) order by id for key share
  `);
  const known = new Set(rows.map(({ id }) => id));
  const missing = ids.findIndex((id) => !known.has(id));
  if (missing >= 0) throw new DomainError('NOT_FOUND', 'There is no such segment.', [...path, String(missing)]);
}
