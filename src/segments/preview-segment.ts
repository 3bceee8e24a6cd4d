import type { User } from '../generated/prisma/client.ts';
import { camelCaseKeys, type Database, sql } from '../storage/database.ts';
import { audienceSql, countUsers } from './audience.ts';
import { readFilter } from './filter.ts';
import { prepareFilter } from './known-segments.ts';
import { parseKnownFilter } from './segment-filter.ts';

/** Whom a filter holds for right now. */
export interface SegmentPreview {
  count: number;
  countedAt: Date;
  /** The first of them, oldest profile first. */
  sample: User[];
}

/**
 * Counts whom a filter holds for, and reads the first of them, without saving anything.
 *
 * @param filter as the schema lets it in, with local ids
 * @throws DomainError at the filter: `VALUE_INVALID`, `ATTRIBUTE_INVALID`, `LIMIT_EXCEEDED`, `NOT_FOUND` (a segment).
 */
export async function previewSegment(
  db: Database,
  { filter, first }: { filter: unknown; first: number },
): Promise<SegmentPreview> {
  const stored = await parseKnownFilter(db, filter, ['filter']);
  const where = audienceSql(await prepareFilter(db, readFilter(stored)));
  const [counted, rows] = await Promise.all([
    countUsers(db, where),
    db.$queryRaw<object[]>(sql`select u.* from users u where ${where} order by u.id limit ${first}`),
  ]);
  return { ...counted, sample: rows.map((row) => camelCaseKeys<User>(row)) };
}
