import { resolveUserReferences, type UserReference } from '../identity/user-reference.ts';
import { newId } from '../ids.ts';
import { arrayLiteral } from '../storage/array-literal.ts';
import { sql, type Transaction } from '../storage/database.ts';
import type { SentEvent } from './parse-event.ts';

/** What somebody did. */
export interface NewEvent extends SentEvent {
  userId: string;
  installationId: string | null;
  /** Null: now. What is to come, by a clock that is ahead, is now. */
  at: Date | null;
}

/**
 * Lets users stay until the commit, merged or not: an event of who is merged meanwhile is read through the tombstone.
 *
 * @returns those that there are
 */
export async function holdTracked(tx: Transaction, userIds: readonly string[]): Promise<ReadonlySet<string>> {
  const rows = await tx.$queryRaw<{ id: string }[]>(sql`
    select id from users where id = any(${[...new Set(userIds)]}::uuid[]) order by id for key share
  `);
  return new Set(rows.map(({ id }) => id));
}

/** Writes what was done, all in one statement. The users are held. */
export async function insertEvents(tx: Transaction, events: readonly NewEvent[]): Promise<void> {
  if (events.length === 0) return;
  const texts = (toText: (event: NewEvent) => string | null) => arrayLiteral(events.map(toText));
  await tx.$executeRaw(sql`
    insert into tracked_events (id, user_id, installation_id, name, properties, at)
    select id, user_id, installation_id, name, properties, least(coalesce(at, now()), now())
    from unnest(
      ${texts(() => newId())}::uuid[], ${texts(({ userId }) => userId)}::uuid[], ${texts(({ installationId }) => installationId)}::uuid[],
      ${texts(({ name }) => name)}::text[], ${texts(({ properties }) => JSON.stringify(properties))}::jsonb[],
      ${texts(({ at }) => at?.toISOString() ?? null)}::timestamptz[]
    ) as given (id, user_id, installation_id, name, properties, at)
  `);
}

/** Tracks one event for each of the users that references name, once. */
export async function trackForUsers(
  tx: Transaction,
  event: SentEvent,
  references: readonly UserReference[],
): Promise<void> {
  const resolved = await resolveUserReferences(tx, references);
  const held = await holdTracked(
    tx,
    resolved.filter((id) => id !== null),
  );
  await insertEvents(
    tx,
    [...held].map((userId) => ({ ...event, userId, installationId: null, at: null })),
  );
}
