import { z } from 'zod';
import { Channel, Gender, Platform, PushStatus, UserType } from '../generated/prisma/enums.ts';
import { idSchema } from '../ids.ts';
import { type Sql, sql, type Transaction } from '../storage/database.ts';
import { now, toDayText, toMomentText } from './clock.ts';
import { type EventCondition, eventCountMax, eventKeyOf, eventsOf } from './event-condition.ts';

const moment = z.string();
/** As it is: `z.record` would leave out an attribute of the name "__proto__". */
const attributes = z.custom<Readonly<Record<string, unknown>>>(
  (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
);

const installationSchema = z.object({
  id: idSchema,
  appId: idSchema,
  platform: z.enum(Platform),
  appVersion: z.string().nullable(),
  pushStatus: z.enum(PushStatus),
  isPushEnabled: z.boolean(),
  isPrimary: z.boolean(),
  hasAddress: z.boolean(),
  customAttributes: attributes,
  subscribedAt: moment.nullable(),
  lastSeenAt: moment,
});

const personSchema = z.object({
  id: idSchema,
  /** The database's clock; moments are texts that sort: `2026-11-22T15:04:05.678Z`. */
  now: moment,
  /** The day that it is where the user is. */
  today: z.string(),
  type: z.enum(UserType),
  displayName: z.string().nullable(),
  firstName: z.string().nullable(),
  middleName: z.string().nullable(),
  lastName: z.string().nullable(),
  gender: z.enum(Gender).nullable(),
  birthday: z.string().nullable(),
  preferredLanguage: z.string().nullable(),
  preferredChannel: z.enum(Channel).nullable(),
  timeZone: z.string().nullable(),
  country: z.string().nullable(),
  region: z.string().nullable(),
  pictureUrl: z.string().nullable(),
  tags: z.array(z.string()),
  customAttributes: attributes,
  isPushReachable: z.boolean(),
  createdAt: moment,
  installations: z.array(installationSchema),
  /** Channels by which there is an address. */
  channels: z.array(z.enum(Channel)),
  /** Static segments that the user was put into. */
  segmentIds: z.array(idSchema),
  topicPreferences: z.array(
    z.object({ topicId: idSchema, channel: z.enum(Channel).nullable(), isSubscribed: z.boolean() }),
  ),
  /** Topics that everybody is subscribed to who has said nothing. */
  topicsByDefault: z.array(idSchema),
});

/** Events of one condition: how many, up to 1,000, and when the last was. */
export interface EventFacts {
  count: number;
  lastAt: string | null;
}

/** One user with all that a filter can ask about, as of one moment. */
export type Person = z.infer<typeof personSchema> & {
  /** By `eventKeyOf` the condition that was asked for. */
  events: ReadonlyMap<string, EventFacts>;
};
/** One of the user's installations. */
export type PersonInstallation = Person['installations'][number];

/** What is known of a person's events. */
export function findEvents({ events }: Person, condition: EventCondition): EventFacts {
  const facts = events.get(eventKeyOf(condition));
  if (!facts) throw new Error('A person was read without the events that are asked for.');
  return facts;
}

/**
 * Reads users whole, in one statement; who is a tombstone, or nobody, is left out. Of their events, which may be many, it reads
 * what `asked` says, in another.
 */
export async function readPersons(
  db: Pick<Transaction, '$queryRaw'>,
  userIds: readonly string[],
  asked: readonly EventCondition[],
): Promise<Person[]> {
  const rows = await db.$queryRaw<unknown[]>(sql`
    select
      u.id, ${toMomentText(now)} as now, ${toDayText(sql`day_in_zone(${now}, u.time_zone)`)} as today, u.type::text,
      u.display_name as "displayName", u.first_name as "firstName", u.middle_name as "middleName",
      u.last_name as "lastName", u.gender::text, ${toDayText(sql`u.birthday`)} as birthday,
      u.preferred_language as "preferredLanguage", u.preferred_channel::text as "preferredChannel",
      u.time_zone as "timeZone", u.country, u.region, u.picture_url as "pictureUrl",
      coalesce(u.tags, '{}') as tags, u.custom_attributes as "customAttributes",
      u.is_push_reachable as "isPushReachable", ${toMomentText(sql`u.created_at`)} as "createdAt",
      array(
        select jsonb_build_object(
          'id', i.id, 'appId', i.app_id, 'platform', i.platform, 'appVersion', i.app_version,
          'pushStatus', i.push_status, 'isPushEnabled', i.is_push_registration_enabled,
          'isPrimary', i.is_primary_device, 'hasAddress', i.address_cipher is not null,
          'customAttributes', i.custom_attributes, 'subscribedAt', ${toMomentText(sql`i.subscribed_at`)},
          'lastSeenAt', ${toMomentText(sql`i.last_seen_at`)}
        )
        from installations i where i.user_id = u.id order by i.id
      ) as installations,
      array(
        select distinct r.channel::text from recipients r left join installations i on i.id = r.installation_id
        where r.user_id = u.id and (r.channel <> 'PUSH' or i.address_cipher is not null)
      ) as channels,
      array(select m.segment_id from segment_members m where m.user_id = u.id) as "segmentIds",
      array(
        select jsonb_build_object('topicId', p.topic_id, 'channel', p.channel, 'isSubscribed', p.is_subscribed)
        from topic_preferences p where p.user_id = u.id order by p.topic_id, p.channel
      ) as "topicPreferences",
      array(select t.id from topics t where t.is_subscribed_by_default) as "topicsByDefault"
    from users u
    where u.id = any(${[...userIds]}::uuid[]) and u.merged_into_id is null
  `);
  const persons = z.array(personSchema).parse(rows);
  const events = await readEvents(
    db,
    persons.map(({ id }) => id),
    asked,
  );
  return persons.map((person) => ({ ...person, events: events.get(person.id) ?? new Map() }));
}

/** Conditions of a statement. @default 100 */
const conditionsPerStatement = 100;

/** What was done, by user and by condition. */
async function readEvents(
  db: Pick<Transaction, '$queryRaw'>,
  userIds: readonly string[],
  asked: readonly EventCondition[],
): Promise<ReadonlyMap<string, ReadonlyMap<string, EventFacts>>> {
  const facts = new Map(userIds.map((id) => [id, new Map<string, EventFacts>()]));
  for (let start = 0; start < asked.length && userIds.length > 0; start += conditionsPerStatement) {
    const page = asked.slice(start, start + conditionsPerStatement);
    const rows = await db.$queryRaw<(EventFacts & { userId: string; place: number })[]>(
      page
        .map((condition, place) => countEvents(userIds, condition, place))
        .reduce((all, each) => sql`${all} union all ${each}`),
    );
    for (const { userId, place, count, lastAt } of rows) {
      const condition = page[place];
      if (condition) facts.get(userId)?.set(eventKeyOf(condition), { count, lastAt });
    }
  }
  return facts;
}

const countEvents = (userIds: readonly string[], condition: EventCondition, place: number): Sql => sql`
  select u.id as "userId", ${place}::int as place, found.count, found."lastAt"
  from unnest(${[...userIds]}::uuid[]) as u (id)
  cross join lateral (
    select count(*)::int as count, ${toMomentText(sql`max(few.at)`)} as "lastAt"
    from (select e.at from ${eventsOf(sql`u.id`, condition)} order by e.at desc limit ${eventCountMax}) few
  ) found
`;
