import type pg from 'pg';
import { sql } from '../../src/storage/database.ts';
import type { FileApp } from './app.ts';
import { setStatus } from './log-events.ts';
import { makePerson } from './people.ts';
import type { Random } from './random.ts';
import { globalIdOf, localIdOf } from './send-operations.ts';

/** A person with an installation, as the API makes them. */
export type Person = Awaited<ReturnType<typeof makePerson>> & { readonly userId: string };

/** So many people, each registered and personalized by itself, ten at a time. */
export async function makeCrowd(callers: Pick<FileApp, 'server' | 'app'>, count: number): Promise<Person[]> {
  const crowd: Person[] = [];
  while (crowd.length < count) {
    const people = await Promise.all(
      Array.from({ length: Math.min(10, count - crowd.length) }, () => makePerson(callers)),
    );
    crowd.push(...people.map((person) => ({ ...person, userId: localIdOf(person.id) })));
  }
  return crowd;
}

/** An event of the log, and whom and what it is of. */
export interface TaggedEvent {
  readonly position: bigint;
  readonly userId: string;
  readonly notificationId: string;
  /** Global id, as clients see it. */
  readonly delivery: string;
  readonly status: string;
}

/** All events there are, in order. */
export async function listTagged(pool: pg.Pool): Promise<TaggedEvent[]> {
  const { rows } = await pool.query<{
    position: string;
    user_id: string;
    notification_id: string;
    delivery_id: string;
    status: string;
  }>('select position, user_id, notification_id, delivery_id, status from delivery_events order by position');
  return rows.map((row) => ({
    position: BigInt(row.position),
    userId: row.user_id,
    notificationId: row.notification_id,
    delivery: globalIdOf('Delivery', row.delivery_id),
    status: row.status,
  }));
}

/** One delivery for each of the users, in an order by chance and of notifications by chance, by one statement. */
export async function deliverToAll(
  pool: pg.Pool,
  {
    userIds,
    notificationIds,
    random,
  }: { userIds: readonly string[]; notificationIds: readonly string[]; random: Random },
): Promise<string[]> {
  const shuffled = random.shuffle(userIds);
  const { rows } = await pool.query<{ id: string }>(sql`
    insert into deliveries (id, notification_id, target_key, user_id, status)
    select uuid_v7(), notification_id, gen_random_uuid(), user_id, 'QUEUED'
    from unnest(${shuffled}::uuid[], ${shuffled.map(() => random.pick(notificationIds))}::uuid[]) of(user_id, notification_id)
    returning id`);
  return rows.map(({ id }) => id);
}

/** Deliveries to all, and a status for some of them, in statements of their own, so many times. */
export async function pourOverAll(
  pool: pg.Pool,
  {
    roundsCount,
    random,
    ...whom
  }: { userIds: readonly string[]; notificationIds: readonly string[]; random: Random; roundsCount: number },
): Promise<void> {
  for (let round = 0; round < roundsCount; round += 1) {
    const users = random.shuffle(whom.userIds).slice(0, random.integer(1, whom.userIds.length));
    const ids = await deliverToAll(pool, { ...whom, userIds: users, random });
    await setStatus(pool, random.shuffle(ids).slice(0, random.integer(0, ids.length)), 'SENT');
  }
}
