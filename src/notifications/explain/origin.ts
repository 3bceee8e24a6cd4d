import type { Delivery, Notification } from '../../generated/prisma/client.ts';
import { resolveUserReferences } from '../../identity/user-reference.ts';
import { explainFilter, type Filter, readFilter } from '../../segments/filter.ts';
import { createScope, eventsAskedBy, filtersOf, readSegments, segmentsNamedBy } from '../../segments/known-segments.ts';
import { readPersons } from '../../segments/person.ts';
import { type Database, sql } from '../../storage/database.ts';
import { type Target, targetSchema } from '../target/target.ts';

/** One way in which a target means who got a delivery. */
export interface Origin {
  code:
    | 'EVERYONE'
    | 'NAMED_USER'
    | 'NAMED_INSTALLATION'
    | 'SEGMENT'
    | 'TOPIC'
    | 'FILTER'
    | 'UNKNOWN_USER'
    | 'NO_LONGER';
  text: string;
}

/** Why a delivery was made: by what its target says, as far as that is still so. */
export async function explainOrigin(db: Database, delivery: Delivery, notification: Notification): Promise<Origin[]> {
  const target = targetSchema.parse(notification.target);
  if (delivery.userId === null && delivery.recipientId === null && delivery.reason === 'UNKNOWN_USER') {
    return [{ code: 'UNKNOWN_USER', text: 'The target names a user that nobody knows.' }];
  }
  if (target.everyone) return [{ code: 'EVERYONE', text: 'The target is everyone.' }];
  const origins = [
    ...(await findInstallation(db, delivery, target)),
    ...(await findReference(db, delivery, target)),
    ...(await findAudience(db, delivery, target)),
  ];
  if (origins.length > 0) return origins;
  return [{ code: 'NO_LONGER', text: 'The target meant the user when it was fanned out, and does not any more.' }];
}

async function findInstallation(
  db: Database,
  { recipientId, isBroadcast }: Delivery,
  target: Target,
): Promise<Origin[]> {
  if (!isBroadcast || target.installations.length === 0) return [];
  const rows = await db.$queryRaw<unknown[]>(sql`
    select from recipients where id = ${recipientId}::uuid and installation_id = any(${target.installations}::uuid[])
  `);
  const isNamed = rows.length > 0 || recipientId === null;
  return isNamed ? [{ code: 'NAMED_INSTALLATION', text: 'The target names the installation.' }] : [];
}

async function findReference(db: Database, { userId }: Delivery, target: Target): Promise<Origin[]> {
  const livingId = await findLiving(db, userId);
  if (livingId === null) return [];
  const resolved = await resolveUserReferences(db, target.users);
  const reference = target.users[resolved.indexOf(livingId)];
  if (!reference) return [];
  const by = reference.by === 'identifier' ? reference.kind : reference.by === 'id' ? 'ID' : 'PUSH_REGISTRATION_ID';
  return [{ code: 'NAMED_USER', text: `The target names the user, by ${by}.` }];
}

async function findLiving(db: Database, userId: string | null): Promise<string | null> {
  if (userId === null) return null;
  const user = await db.user.findUnique({ where: { id: userId } });
  return user ? (user.mergedIntoId ?? user.id) : null;
}

async function findAudience(db: Database, { userId }: Delivery, target: Target): Promise<Origin[]> {
  const livingId = await findLiving(db, userId);
  const topic = target.topic === null ? null : readFilter({ topic: target.topic });
  const filter = target.filter === null ? null : readFilter(target.filter);
  const segments = await readSegments(db, [...target.segments, ...(filter ? segmentsNamedBy(filter) : [])]);
  const asked = eventsAskedBy([...filtersOf(segments), filter]);
  const [person] = livingId === null ? [] : await readPersons(db, [livingId], asked);
  if (!person) return [];
  const scope = createScope(segments);
  const holds = (asking: Filter | null) => asking !== null && explainFilter(asking, person, { scope }).holds;
  const inSegments = target.segments
    .filter((id) => scope.decideMember(id, person).holds)
    .map((id): Origin => ({ code: 'SEGMENT', text: `The user is in the segment "${segments.get(id)?.name ?? id}".` }));
  return [
    ...inSegments,
    ...(holds(topic) ? [{ code: 'TOPIC' as const, text: 'The user is subscribed to the topic of the target.' }] : []),
    ...(holds(filter) ? [{ code: 'FILTER' as const, text: "The target's filter holds for the user." }] : []),
  ];
}
