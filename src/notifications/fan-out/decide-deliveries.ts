import type { Configured } from '../../deliveries/app-channels.ts';
import { ineligibility } from '../../deliveries/eligibility.ts';
import { zoneOf } from '../../deliveries/zone.ts';
import type { Notification } from '../../generated/prisma/client.ts';
import { Channel, type Orchestration, type Purpose } from '../../generated/prisma/enums.ts';
import { recipientChannelOf } from '../../recipients/recipient-channel.ts';
import { type Sql, sql } from '../../storage/database.ts';
import { isTopicDeclined } from '../../topics/topic-declined.ts';
import { type QuietHours, readQuietHours } from '../schedule.ts';
import { failedStatuses } from './decide-fallback.ts';

/** By which channels, and who is refused. */
export interface Audience {
  /** Empty: every channel of `configured.channels` that a user has a recipient of, so no WhatsApp beside an SMS. */
  channels: readonly Channel[];
  configured: Configured;
  targetOnlyPrimaryDevices: boolean;
  purpose: Purpose;
  /** What it is about. Null: nothing that one could decline. */
  topicId: string | null;
  /** Null: all are due at once. */
  timing: Timing | null;
}

/** SQL that says why nothing is sent to the recipient `r` by a channel, which may be another than its own. */
function ineligibilityFor({ targetOnlyPrimaryDevices, purpose, topicId, configured }: Refusing, channel: Sql): Sql {
  const isDeclined =
    topicId === null || purpose === 'TRANSACTIONAL'
      ? undefined
      : isTopicDeclined({ topicId: sql`${topicId}::uuid`, userId: sql`r.user_id`, channel });
  return sql`coalesce(
    ${ineligibility(sql`${targetOnlyPrimaryDevices}`, isDeclined)},
    case when ${isUnserved(configured, channel)} then 'CHANNEL_NOT_CONFIGURED'::delivery_reason end
  )`;
}

/**
 * SQL that says whether there is nothing that could send to the recipient `r` by a channel. Of which form the address of `i` is may
 * not be known: that is told when it is sent (`deliveries/send-one.ts`).
 */
const isUnserved = ({ channels, pushKinds, ownPushKinds }: Configured, channel: Sql): Sql => sql`
  case
    when ${channel} = 'PUSH' and i.address_kind is null then false
    when ${channel} <> 'PUSH' then ${channel} <> all(${channels}::channel[])
    else i.address_kind <> all(${pushKinds}::text[]) and not exists (
      select from unnest(${ownPushKinds.map(({ appId }) => appId)}::uuid[], ${ownPushKinds.map(({ kind }) => kind)}::text[])
        as own (app_id, kind)
      where own.app_id = i.app_id and own.kind = i.address_kind
    )
  end
`;

type Refusing = Pick<Audience, 'targetOnlyPrimaryDevices' | 'purpose' | 'topicId' | 'configured'>;

/** An audience of people. */
export interface PeopleAudience extends Audience {
  /** Which of their recipients, `r` of `u`, are meant; the others are as if they were not there. Null: all. */
  meant: Sql | null;
  /** A push goes to one installation of each user: of those that it may go to, the one that was seen last (rule M7). */
  onePerUser: boolean;
  /** By all channels, or by which one of them (rule M1). */
  orchestration: Orchestration;
  /** What the notification has made already: a relation of `target_key`, `user_id` and `is_discarded`. */
  made: Sql;
}

/** What a notification has made so far. */
export const madeBy = (notificationId: string): Sql => sql`(
  select target_key, user_id, status = 'DISCARDED' as is_discarded from deliveries where notification_id = ${notificationId}::uuid
)`;

/**
 * Whether what is `made` shuts out what was decided: what was discarded is nothing that one has got, and a merge can bring an
 * address since. That nothing can be sent is still said once.
 */
const shutsOut = (decided: Sql): Sql => sql`(not made.is_discarded or ${decided}.reason is not null)`;

/** When deliveries are due that are not due at once. */
export interface Timing {
  /** At this time of day, in UTC, where the user is; where that has passed, at once. Null: at once. */
  localTime: Date | null;
  /** Then, where the user is, not before they end. */
  quietHours: QuietHours | null;
}

/** Null: deliveries of it are due at once. */
export function toTiming({
  localTime,
  sendAt,
  quietHours,
}: Pick<Notification, 'localTime' | 'sendAt' | 'quietHours'>): Timing | null {
  const timing = { localTime: localTime ? sendAt : null, quietHours: readQuietHours(quietHours) };
  return timing.localTime === null && timing.quietHours === null ? null : timing;
}

/** When a delivery is due to `u` by `i`, where that is; UTC where nobody knows. */
function dueAt({ localTime, quietHours }: Timing): Sql {
  const wanted =
    localTime === null
      ? sql`now()`
      : sql`greatest(now(), at_wall_clock(${localTime}::timestamptz at time zone 'UTC', zone))`;
  const due =
    quietHours === null
      ? wanted
      : sql`coalesce(quiet_until(${wanted}, zone, ${quietHours.from}::time, ${quietHours.to}::time), ${wanted})`;
  const zone = zoneOf({ profile: sql`u.time_zone`, userId: sql`u.id` });
  // The offset has the zone looked up once, not wherever it is named.
  return sql`(select ${due} from (select ${zone} as zone offset 0) place)`;
}

/** In which order channels are tried where none is named; WhatsApp is sent only where it is. */
export const orderOfUnnamed = Object.values(Channel).filter((channel) => channel !== 'WHATSAPP');

/** In which order channels are tried: as they were asked for, else those of {@link orderOfUnnamed} that are configured. */
export function orderOfChannels({ channels, configured }: Pick<Audience, 'channels' | 'configured'>): Channel[] {
  return channels.length > 0
    ? [...channels]
    : orderOfUnnamed.filter((channel) => configured.channels.includes(channel));
}

/**
 * What is to become of each recipient of some users: rows of `target_key`, `channel`, `user_id`, `recipient_id` and `reason`,
 * which is null where it may be sent to, and `next_attempt_at` where there is a timing. A user without an address for an asked
 * channel has one row that says so. The one statement for fan-out and previews.
 *
 * @param users a relation `audience (user_id)`
 */
export function decideUserDeliveries(audience: PeopleAudience, users: Sql): Sql {
  const order = orderOfChannels(audience);
  const wanted = audience.orchestration === 'ALL' ? audience : { ...audience, channels: order };
  const decided = everyRecipient(wanted, users);
  const each = audience.onePerUser ? lastSeenOnly(decided, audience) : decided;
  return audience.orchestration === 'ALL' ? each : oneChannelOnly(each, { ...audience, order });
}

function everyRecipient(audience: PeopleAudience, users: Sql): Sql {
  const { channels, configured, timing, meant, onePerUser } = audience;
  const wanted = channels.length > 0 ? channels : [null];
  const recipientChannels = wanted.map((channel) => channel && recipientChannelOf(channel));
  return sql`
    select
      case
        when r.id is null then md5(concat(audience.user_id, wanted.channel))::uuid
        -- The same phone may get an SMS too.
        when r.channel <> wanted.channel then md5(concat(r.id, wanted.channel))::uuid
        else r.id
      end as target_key,
      coalesce(wanted.channel, r.channel) as channel,
      audience.user_id,
      r.id as recipient_id,
      ${ineligibilityFor(audience, sql`coalesce(wanted.channel, r.channel)`)} as reason
      ${onePerUser ? sql`, i.last_seen_at` : sql``}
      ${timing ? sql`, ${dueAt(timing)} as next_attempt_at` : sql``}
    from ${users}
    ${timing || meant ? sql`join users u on u.id = audience.user_id` : sql``}
    cross join unnest(${wanted}::channel[], ${recipientChannels}::channel[]) as wanted (channel, recipient_channel)
    left join recipients r on r.user_id = audience.user_id
      and (r.channel = wanted.recipient_channel or (wanted.channel is null and r.channel = any(${configured.channels}::channel[])))
      and ${meant ?? sql`true`}
    left join installations i on i.id = r.installation_id
  `;
}

const columnsOf = ({ timing }: Pick<Audience, 'timing'>) =>
  sql`target_key, channel, user_id, recipient_id, reason ${timing ? sql`, next_attempt_at` : sql``}`;

/** Who has got a push of this notification by an installation already, also by way of a merge, gets no second one. */
function lastSeenOnly(decided: Sql, { made, timing }: PeopleAudience): Sql {
  return sql`
    select ${columnsOf({ timing })}
    from (
      select *, row_number() over (
        partition by user_id, channel order by reason is null desc, last_seen_at desc, recipient_id
      ) as place
      from (${decided}) each_recipient
    ) ranked
    where channel is distinct from 'PUSH' or recipient_id is null or (place = 1 and not exists (
      select from recipients own join ${made} made on made.target_key = own.id
      where own.user_id = ranked.user_id and own.channel = 'PUSH' and ${shutsOut(sql`ranked`)}
    ))
  `;
}

/** Who has got anything of this notification already, also by way of a merge, gets no more. */
function oneChannelOnly(decided: Sql, { made, ...ranked }: Ranked): Sql {
  return sql`
    select * from (${byFirstChannel(decided, ranked)}) by_channel
    where not exists (
      select from users family join ${made} made on made.user_id = family.id
      where (family.id = by_channel.user_id or family.merged_into_id = by_channel.user_id)
        and ${shutsOut(sql`by_channel`)}
    )
  `;
}

type Ranked = Pick<PeopleAudience, 'made' | 'orchestration' | 'timing'> & { order: readonly Channel[] };

/**
 * By the first channel at which the user can be reached, the preferred one before all others where that is asked for; by the
 * first of all where there is none.
 */
function byFirstChannel(decided: Sql, { orchestration, timing, order }: Omit<Ranked, 'made'>): Sql {
  const columns = columnsOf({ timing });
  const asked = sql`array_position(${[...order]}::channel[], channel)`;
  const place =
    orchestration === 'PREFERRED' ? sql`case when channel = u.preferred_channel then 0 else ${asked} end` : asked;
  return sql`
    select ${columns}
    from (
      select ${columns}, place, coalesce(
        min(place) filter (where reason is null) over (partition by user_id), min(place) over (partition by user_id)
      ) as chosen
      from (
        select each_recipient.*, ${place} as place from (${decided}) each_recipient join users u on u.id = user_id
      ) placed
    ) ranked
    where place = chosen
  `;
}

/**
 * As {@link decideUserDeliveries}, for those whom the channels before these did not reach: rows of what may be sent only. An address
 * at which the notification has failed already, as a merge can bring one, is passed over. Where a delivery lives, that one is followed.
 */
export function decideNextDeliveries(audience: PeopleAudience & { notificationId: string }, users: Sql): Sql {
  const decided = everyRecipient(audience, users);
  const each = audience.onePerUser ? lastSeenOnly(decided, audience) : decided;
  const untried = sql`
    select * from (${each}) next where not exists (
      select from deliveries tried
      where tried.notification_id = ${audience.notificationId}::uuid and tried.target_key = next.target_key
        and tried.status = any(${[...failedStatuses]}::delivery_status[])
    )
  `;
  return sql`
    select * from (${byFirstChannel(untried, { ...audience, orchestration: 'FALLBACK', order: audience.channels })}) by_channel
    where reason is null
  `;
}

/** The same of installations that are meant themselves: rows of `installation_id`, `user_id`, `recipient_id` and `reason`. */
export function decideInstallationDeliveries(
  { timing, ...refusing }: Refusing & Pick<Audience, 'timing'>,
  installationIds: readonly string[],
): Sql {
  return sql`
    select
      meant.id as installation_id, r.id as recipient_id, i.user_id,
      ${ineligibilityFor(refusing, sql`r.channel`)} as reason
      ${timing ? sql`, ${dueAt(timing)} as next_attempt_at` : sql``}
    from unnest(${[...installationIds]}::uuid[]) as meant (id)
    left join installations i on i.id = meant.id
    left join recipients r on r.installation_id = i.id
    ${timing ? sql`left join users u on u.id = i.user_id` : sql``}
  `;
}
