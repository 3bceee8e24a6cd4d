import type { Segment } from '../generated/prisma/client.ts';
import { findUserId, type UserReferenceInput } from '../identity/user-reference.ts';
import type { Database } from '../storage/database.ts';
import { explainFilter, readFilter } from './filter.ts';
import { createScope, eventsAskedBy, filtersOf, readSegments } from './known-segments.ts';
import { type Person, readPersons } from './person.ts';
import type { Reason } from './predicate.ts';

/** Whether a user is in a segment, and why (promise N5). */
export interface Membership {
  segmentId: string;
  userId: string;
  isMember: boolean;
  reasons: readonly Reason[];
}

/**
 * Decides of one user whether it is in a segment, with every condition of its filter. Null: there is no such segment, or no
 * such user. A merged user's references name its survivor.
 *
 * @throws DomainError `EMAIL_INVALID`, `PHONE_INVALID`, `VALUE_INVALID` at the reference.
 */
export async function explainMembership(
  db: Database,
  { segmentId, user }: { segmentId: string; user: UserReferenceInput },
): Promise<Membership | null> {
  const userId = await findUserId(db, user, ['user']);
  const segments = await readSegments(db, [segmentId]);
  const segment = segments.get(segmentId);
  const asked = eventsAskedBy(filtersOf(segments));
  const [person] = userId === null ? [] : await readPersons(db, [userId], asked);
  if (!segment || !person) return null;
  const about = { segmentId, userId: person.id };
  if (segment.filter) {
    const { holds, reasons } = explainFilter(segment.filter, person, { scope: createScope(segments) });
    return { ...about, isMember: holds, reasons };
  }
  const isMember = person.segmentIds.includes(segmentId);
  const reason = { path: [], condition: 'was put into the segment', holds: isMember, value: null };
  return { ...about, isMember, reasons: [reason] };
}

/** Which of all dynamic segments each of some users is in. Tombstones are in none. */
export async function decideDynamicSegments(
  db: Database,
  segments: readonly Segment[],
  userIds: readonly string[],
): Promise<ReadonlyMap<string, readonly Segment[]>> {
  // All others are static.
  const known = new Map(segments.map(({ id, name, filter }) => [id, { name, filter: readFilter(filter) }] as const));
  const scope = createScope(known);
  const asked = eventsAskedBy(filtersOf(known));
  const persons = await readPersons(db, userIds, asked);
  const segmentsOf = (person: Person) => segments.filter(({ id }) => scope.decideMember(id, person).holds);
  return new Map(persons.map((person) => [person.id, segmentsOf(person)]));
}
