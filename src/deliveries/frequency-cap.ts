import { z } from 'zod';
import { durationSchema, toSeconds } from '../segments/duration.ts';
import { sql, type Transaction } from '../storage/database.ts';

const frequencyCapSchema = z.object({ max: z.int().min(1), within: durationSchema });
/** At most `max` messages to a user within a time. */
export type FrequencyCap = z.infer<typeof frequencyCapSchema>;
/** Null: any number. */
export const readFrequencyCap = (stored: unknown): FrequencyCap | null => frequencyCapSchema.nullable().parse(stored);

/**
 * What makes a delivery's send later than the delivery itself, unless it was queued again: its time to live, and the user's own
 * time. @default 5 // days
 */
const waitDaysMax = 5;

interface CapQuestion {
  notificationId: string;
  /** Only what is about the same counts. Null: everything does. */
  topicId: string | null;
  deliveryIds: readonly string[];
  cap: FrequencyCap;
}

/**
 * Which of some deliveries of a notification must not be sent, as their users have had as many others as they may have. Decided
 * right before the send and not at the fan-out, where nobody knows yet what will be sent, and when. Locks the users, in id order,
 * until the sends have begun: two notifications that come to one user at once are looked at one after the other. What counts is
 * each notification (of the same topic, if it has one) that began to be sent to the user, merges followed, and has not failed.
 */
export async function findCapped(
  tx: Pick<Transaction, '$queryRaw'>,
  { notificationId, topicId, deliveryIds, cap }: CapQuestion,
): Promise<string[]> {
  const users = await tx.$queryRaw<{ id: string }[]>(sql`
    select id from users
    where id in (
      select coalesce(u.merged_into_id, u.id) from deliveries d join users u on u.id = d.user_id
      where d.id = any(${[...deliveryIds]}::uuid[])
    )
    order by id
    for no key update
  `);
  // A statement of its own: this one sees what was begun while the locks were waited for.
  const rows = await tx.$queryRaw<{ id: string }[]>(sql`
    with capped as (
      select living.id from unnest(${users.map(({ id }) => id)}::uuid[]) as living (id)
      cross join lateral (
        select count(distinct d.notification_id) as count
        from users family
        cross join lateral (
          select notification_id, begun_at, status from deliveries
          where user_id = family.id and id >= rpad(
            lpad(to_hex((extract(epoch from now() - make_interval(secs => ${toSeconds(cap.within)}, days => ${waitDaysMax})) * 1000)::bigint), 12, '0'),
            32, '0'
          )::uuid
          union all
          -- Queued again, it may have been made at any time.
          select notification_id, begun_at, status from deliveries
          where user_id = family.id and replays > 0 and begun_at > now() - make_interval(secs => ${toSeconds(cap.within)})
        ) d
        where (family.id = living.id or family.merged_into_id = living.id)
          and d.notification_id <> ${notificationId}::uuid
          and ${topicId === null ? sql`true` : sql`exists (select from notifications n where n.id = d.notification_id and n.topic_id = ${topicId}::uuid)`}
          and d.begun_at > now() - make_interval(secs => ${toSeconds(cap.within)})
          and d.status in ('SENDING', 'SENT', 'DELIVERED', 'OPENED', 'CLICKED')
      ) others
      where others.count >= ${cap.max}
    )
    select d.id from deliveries d join users u on u.id = d.user_id
    where d.id = any(${[...deliveryIds]}::uuid[]) and coalesce(u.merged_into_id, u.id) in (select id from capped)
  `);
  return rows.map(({ id }) => id);
}
