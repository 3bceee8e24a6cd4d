import { ineligibility } from '../../deliveries/eligibility.ts';
import type { Channel } from '../../generated/prisma/enums.ts';
import { type Sql, sql } from '../../storage/database.ts';

/** Of which notification, and by which channels. */
export interface Audience {
  /** Null: of none yet, for a preview. */
  notificationId: string | null;
  /** Empty: every channel of `configured` that a user has an address for. */
  channels: readonly Channel[];
  configured: readonly Channel[];
  targetOnlyPrimaryDevices: boolean;
}

/** An audience of people. */
export interface PeopleAudience extends Audience {
  /** Which of their recipients, `r` of `u`, are meant; the others are as if they were not there. Null: all. */
  meant: Sql | null;
  /** A push goes to one installation of each user: of those that it may go to, the one that was seen last (rule M7). */
  onePerUser: boolean;
}

/**
 * What is to become of each recipient of some users: rows of `target_key`, `channel`, `user_id`, `recipient_id` and `reason`,
 * which is null where it may be sent to. A user without an address for an asked channel has one row that says so. The one
 * statement for fan-out and previews.
 *
 * @param users a relation `audience (user_id)`
 */
export function decideUserDeliveries(audience: PeopleAudience, users: Sql): Sql {
  const decided = everyRecipient(audience, users);
  return audience.onePerUser ? lastSeenOnly(decided, audience) : decided;
}

function everyRecipient(
  { channels, configured, targetOnlyPrimaryDevices, meant, onePerUser }: PeopleAudience,
  users: Sql,
): Sql {
  return sql`
    select
      coalesce(r.id, md5(concat(audience.user_id, wanted.channel))::uuid) as target_key,
      coalesce(r.channel, wanted.channel) as channel,
      audience.user_id,
      r.id as recipient_id,
      ${ineligibility(sql`${targetOnlyPrimaryDevices}`)} as reason
      ${onePerUser ? sql`, i.last_seen_at` : sql``}
    from ${users}
    join users u on u.id = audience.user_id
    cross join unnest(${channels.length > 0 ? channels : [null]}::channel[]) as wanted (channel)
    left join recipients r on r.user_id = audience.user_id
      and (r.channel = wanted.channel or (wanted.channel is null and r.channel = any(${configured}::channel[])))
      and ${meant ?? sql`true`}
    left join installations i on i.id = r.installation_id
  `;
}

/** Who has got a push of this notification by an installation already, also by way of a merge, gets no second one. */
function lastSeenOnly(decided: Sql, { notificationId }: PeopleAudience): Sql {
  return sql`
    select target_key, channel, user_id, recipient_id, reason
    from (
      select *, row_number() over (
        partition by user_id, channel order by reason is null desc, last_seen_at desc, recipient_id
      ) as place
      from (${decided}) each_recipient
    ) ranked
    where channel is distinct from 'PUSH' or recipient_id is null or (place = 1 and not exists (
      select from recipients own
      join deliveries made on made.notification_id = ${notificationId}::uuid and made.target_key = own.id
      where own.user_id = ranked.user_id and own.channel = 'PUSH'
    ))
  `;
}

/** The same of installations that are meant themselves: rows of `installation_id`, `user_id`, `recipient_id` and `reason`. */
export function decideInstallationDeliveries(
  { targetOnlyPrimaryDevices }: Pick<Audience, 'targetOnlyPrimaryDevices'>,
  installationIds: readonly string[],
): Sql {
  return sql`
    select
      meant.id as installation_id, r.id as recipient_id, i.user_id,
      ${ineligibility(sql`${targetOnlyPrimaryDevices}`)} as reason
    from unnest(${[...installationIds]}::uuid[]) as meant (id)
    left join installations i on i.id = meant.id
    left join recipients r on r.installation_id = i.id
  `;
}
