import { z } from 'zod';
import { Channel, Gender, Platform, PushStatus, UserType } from '../generated/prisma/enums.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { now, toDayText, toMomentText } from './clock.ts';

const moment = z.string();
/** As it is: `z.record` would leave out an attribute of the name "__proto__". */
const attributes = z.custom<Readonly<Record<string, unknown>>>(
  (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
);

const installationSchema = z.object({
  id: z.uuid(),
  appId: z.uuid(),
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
  id: z.uuid(),
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
  segmentIds: z.array(z.uuid()),
});

/** One user with all that a filter can ask about, as of one moment. */
export type Person = z.infer<typeof personSchema>;
/** One of the user's installations. */
export type PersonInstallation = Person['installations'][number];

/** Reads users whole, in one statement; who is a tombstone, or nobody, is left out. */
export async function readPersons(db: Pick<Transaction, '$queryRaw'>, userIds: readonly string[]): Promise<Person[]> {
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
      array(select m.segment_id from segment_members m where m.user_id = u.id) as "segmentIds"
    from users u
    where u.id = any(${[...userIds]}::uuid[]) and u.merged_into_id is null
  `);
  return z.array(personSchema).parse(rows);
}
