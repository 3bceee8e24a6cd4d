import fc from 'fast-check';
import { newId } from '../../../src/ids.ts';
import { sql, type Transaction } from '../../../src/storage/database.ts';

// People as a plain program would keep them, for what segments decide: made at random, and written to the database. Values
// come from small sets, so that filters meet them, with what is easily got wrong among them.

export const apps = [newId(), newId()] as const;
export const staticSegments = [newId(), newId()] as const;
/** Of the first, whoever has said nothing is subscribed; of the second, nobody. */
export const topics = [newId(), newId()] as const;
const channels = ['PUSH', 'EMAIL', 'SMS', 'IN_APP'] as const;
export const eventNames = ['purchase', 'Purchase', 'login', '\u{1f600}'];
/** Values of properties; absent ones among them. */
export const propertyValues = [undefined, 'a', 'A', '1', 1, 0, -0.05, 1e21, true, false, '\u{1f600}'];

const almost256 = 'a'.repeat(255);

/** U+FF5A and U+FFFD come before U+1F600 by code point, and after it in UTF-16. Some differ after 256 characters only. */
export const texts = [
  '',
  'a',
  'ab',
  'abc',
  'b',
  'A',
  'é',
  '%',
  '_',
  '"',
  "'",
  '\u{ff5a}',
  '\u{fffd}',
  '\u{1f600}',
  'a\u{1f600}',
  `${almost256}\u{fffd}`,
  `${almost256}\u{1f600}`,
  `${almost256}\u{1f600}b`,
  `${almost256}\u{1f600}c`,
];
export const decimals = [
  '0',
  '-1',
  '1',
  '9',
  '10',
  '10.5',
  '-0.05',
  '0.0000001',
  '0.3',
  '9007199254740992',
  '9007199254740993',
];
export const tags = ['vip', 'VIP', 'new', '\u{1f600}'];
export const zones = ['Pacific/Kiritimati', 'Pacific/Pago_Pago', 'Europe/Zagreb', 'America/New_York'];
/** No zone of PostgreSQL's, as a newer ICU may accept one. */
const unknownZone = 'Mars/Olympus';
export const languages = ['pt', 'pt-BR', 'en', 'zh-Hant-TW'];
export const countries = ['NL', 'HR', 'US'];
export const versions = [
  '1.2.3',
  '1.2',
  'v1.2.10',
  '1.2.3-beta',
  '1.2.3-beta.2',
  '1.2.3-beta.10',
  '1.2.3-alpha.1',
  '1.2.3+7',
  '2',
  '01.2.3',
  '10.0.0',
];
export const platforms = ['WEB', 'IOS', 'ANDROID'] as const;
export const pushStatuses = ['ASK', 'ALLOWED', 'BLOCKED', 'UNSUPPORTED', 'SUSPENDED'] as const;

const hourMs = 3_600_000;
export const dayMs = 24 * hourMs;
/** How long before now things have happened, in milliseconds: also on the edge, just beyond it, and in the future. */
const ages = [
  -hourMs,
  0,
  1,
  hourMs,
  hourMs + 1,
  23 * hourMs,
  dayMs - 1,
  dayMs,
  2 * dayMs,
  7 * dayMs,
  7 * dayMs + 1,
  400 * dayMs,
];

/** What has a value of an attribute: of the type that it is defined with, or, seldom, what another type has left. */
const orLeftover = (values: fc.Arbitrary<unknown>) =>
  fc.oneof(
    { weight: 12, arbitrary: values },
    { weight: 1, arbitrary: fc.constantFrom(true, '7', 'text', [], ['text']) },
  );

/** Attributes by name; an absent one has no value. */
export type Attributes = Readonly<Record<string, unknown>>;

export interface PlainInstallation {
  id: string;
  appId: string;
  platform: (typeof platforms)[number];
  appVersion: string | null;
  pushStatus: (typeof pushStatuses)[number];
  isEnabled: boolean;
  isPrimary: boolean;
  hasAddress: boolean;
  isSubscribed: boolean;
  subscribedAt: number | null;
  lastSeenAt: number;
  attributes: Attributes;
}

/** Moments in milliseconds, days as `2020-11-30`. */
export interface PlainPerson {
  id: string;
  type: 'LEAD' | 'CUSTOMER';
  standard: Readonly<Record<string, string | null>>;
  tags: readonly string[];
  attributes: Attributes;
  createdAt: number;
  installations: readonly PlainInstallation[];
  addresses: readonly ('EMAIL' | 'SMS' | 'IN_APP')[];
  segments: readonly string[];
  /** Each topic's at most once for each channel, and for all (null). */
  topics: readonly { topic: string; channel: string | null; isSubscribed: boolean }[];
  events: readonly {
    name: string;
    properties: Attributes;
    at: number;
    /** Tracked for somebody who was merged into the person. */
    isOfTombstone: boolean;
  }[];
}

/** What is the case when a filter is asked. */
export interface World {
  /** The database's clock, in milliseconds. */
  now: number;
  /** Dynamic segments by id: who is in them. */
  filters: ReadonlyMap<string, (person: PlainPerson, world: World) => boolean>;
}

const momentText = (ms: number) => new Date(ms).toISOString();
const dayText = (ms: number) => momentText(ms).slice(0, 10);

const perhaps = <Value>(values: fc.Arbitrary<Value>) => fc.option(values, { freq: 3 });
const optional = <Value>(values: fc.Arbitrary<Value>) => fc.option(values, { freq: 3, nil: undefined });

/** Without the attributes that have no value. */
const present = (attributes: Record<string, unknown>): Attributes =>
  Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== undefined));

export const ageMs = fc.constantFrom(...ages);
const days = (now: number) => ageMs.map((age) => dayText(now - age));
const moments = (now: number) => ageMs.map((age) => now - age);

const orders = (now: number) =>
  fc.array(
    fc
      .record({
        sku: optional(fc.constantFrom(...texts.slice(0, 4))),
        amount: optional(fc.constantFrom(...decimals)),
        day: optional(days(now)),
        isGift: optional(fc.boolean()),
      })
      .map(present),
    { maxLength: 3 },
  );

const attributesOfUser = (now: number) =>
  fc
    .record({
      plan: optional(orLeftover(fc.constantFrom(...texts))),
      points: optional(orLeftover(fc.constantFrom(...decimals))),
      isMember: optional(orLeftover(fc.boolean())),
      since: optional(orLeftover(days(now))),
      paidAt: optional(orLeftover(moments(now).map(momentText))),
      orders: optional(orLeftover(orders(now))),
    })
    .map(present);

const installation = (now: number): fc.Arbitrary<PlainInstallation> =>
  fc
    .record({
      id: fc.constant('').map(() => newId()),
      appId: fc.constantFrom(...apps),
      platform: fc.constantFrom(...platforms),
      appVersion: perhaps(fc.constantFrom(...versions, 'nightly', '')),
      pushStatus: fc.constantFrom(...pushStatuses, 'ALLOWED', 'ALLOWED'),
      isEnabled: fc.boolean(),
      isPrimary: fc.boolean(),
      hasAddress: fc.boolean(),
      isSubscribed: fc.boolean(),
      subscribedAt: perhaps(moments(now)),
      lastSeenAt: moments(now),
      attributes: fc
        .record({
          build: optional(orLeftover(fc.constantFrom(...decimals))),
          theme: optional(orLeftover(fc.constantFrom(...texts))),
          seenOn: optional(orLeftover(days(now))),
        })
        .map(present),
    })
    // Who has an address is subscribed since then, at the latest.
    .map((made) => ({ ...made, subscribedAt: made.subscribedAt ?? (made.hasAddress ? now : null) }));

const text = perhaps(fc.constantFrom(...texts));

/** People as of a moment. */
export const arbitraryPerson = (now: number): fc.Arbitrary<PlainPerson> =>
  fc.record({
    id: fc.constant('').map(() => newId()),
    type: fc.constantFrom('LEAD', 'CUSTOMER'),
    standard: fc.record({
      displayName: text,
      firstName: text,
      middleName: text,
      lastName: text,
      gender: perhaps(fc.constantFrom('MALE', 'FEMALE', 'OTHER')),
      birthday: perhaps(days(now)),
      preferredLanguage: perhaps(fc.constantFrom(...languages, 'pto')),
      preferredChannel: perhaps(fc.constantFrom('PUSH', 'EMAIL')),
      timeZone: perhaps(fc.constantFrom(...zones, unknownZone)),
      country: perhaps(fc.constantFrom(...countries)),
      region: text,
      pictureUrl: text,
    }),
    tags: fc.uniqueArray(fc.constantFrom(...tags), { maxLength: 3 }),
    attributes: attributesOfUser(now),
    createdAt: moments(now),
    installations: fc
      .array(installation(now), { maxLength: 3 })
      // One at most is primary.
      .map((own) => own.map((each, index) => ({ ...each, isPrimary: each.isPrimary && index === 0 }))),
    addresses: fc.uniqueArray(fc.constantFrom('EMAIL', 'SMS', 'IN_APP'), { maxLength: 3 }),
    segments: fc.uniqueArray(fc.constantFrom(...staticSegments), { maxLength: 2 }),
    topics: fc.uniqueArray(
      fc.record({
        topic: fc.constantFrom(...topics),
        channel: fc.constantFrom(null, ...channels),
        isSubscribed: fc.boolean(),
      }),
      { maxLength: 5, selector: ({ topic, channel }) => `${topic} ${channel}` },
    ),
    events: fc.array(
      fc.record({
        name: fc.constantFrom(...eventNames),
        properties: fc
          .record({
            sku: fc.constantFrom(...propertyValues),
            amount: fc.constantFrom(...propertyValues, ['a'], { a: 1 }, null),
          })
          .map(present),
        at: moments(now),
        isOfTombstone: fc.boolean(),
      }),
      { maxLength: 4 },
    ),
  });

/** Writes people as they are. */
export async function insertPeople(tx: Transaction, people: readonly PlainPerson[]): Promise<void> {
  const users = people.map(({ standard, createdAt, ...person }) => ({
    ...person,
    ...standard,
    createdAt: momentText(createdAt),
  }));
  await tx.$executeRaw(sql`
    insert into users (
      id, type, display_name, first_name, middle_name, last_name, gender, birthday, preferred_language, preferred_channel,
      time_zone, country, region, picture_url, tags, custom_attributes, created_at
    )
    select
      id, type, "displayName", "firstName", "middleName", "lastName", gender, birthday, "preferredLanguage",
      "preferredChannel", "timeZone", country, region, "pictureUrl", tags, attributes, "createdAt"
    from jsonb_to_recordset(${JSON.stringify(users)}::jsonb) as given (
      id uuid, type user_type, "displayName" text, "firstName" text, "middleName" text, "lastName" text, gender gender,
      birthday date, "preferredLanguage" text, "preferredChannel" channel, "timeZone" text, country text, region text,
      "pictureUrl" text, tags text[], attributes jsonb, "createdAt" timestamptz
    )`);
  const installations = people.flatMap(({ id: userId, installations: own }) =>
    own.map((each) => ({
      ...each,
      userId,
      subscribedAt: each.subscribedAt === null ? null : momentText(each.subscribedAt),
      lastSeenAt: momentText(each.lastSeenAt),
    })),
  );
  await tx.$executeRaw(sql`
    with given as (
      select * from jsonb_to_recordset(${JSON.stringify(installations)}::jsonb) as given (
        id uuid, "appId" uuid, "userId" uuid, platform platform, "appVersion" text, "pushStatus" push_status,
        "isEnabled" boolean, "isPrimary" boolean, "hasAddress" boolean, attributes jsonb, "subscribedAt" timestamptz,
        "lastSeenAt" timestamptz, "isSubscribed" boolean
      )
    ),
    recipient as (
      insert into recipients (id, channel, user_id, installation_id, is_subscribed)
      select uuid_v7(), 'PUSH', "userId", id, "isSubscribed" from given
    )
    insert into installations (
      id, app_id, user_id, platform, app_version, push_status, is_push_registration_enabled, is_primary_device,
      address_hash, address_cipher, custom_attributes, subscribed_at, last_seen_at
    )
    select
      id, "appId", "userId", platform, "appVersion", "pushStatus", "isEnabled", "isPrimary",
      case when "hasAddress" then uuid_send(id) end, case when "hasAddress" then uuid_send(id) end, attributes,
      "subscribedAt", "lastSeenAt"
    from given`);
  await tx.$executeRaw(sql`
    insert into recipients (id, channel, user_id, address)
    select uuid_v7(), channel, id, case when channel <> 'IN_APP' then id::text end
    from jsonb_to_recordset(${JSON.stringify(people)}::jsonb) as given (id uuid, addresses channel[]), unnest(addresses) as channel`);
  await tx.$executeRaw(sql`
    insert into segment_members (segment_id, user_id)
    select segment_id, id
    from jsonb_to_recordset(${JSON.stringify(people)}::jsonb) as given (id uuid, segments uuid[]), unnest(segments) as segment_id`);
  await insertTopics(tx, people);
  await insertEvents(tx, people);
}

async function insertTopics(tx: Transaction, people: readonly PlainPerson[]): Promise<void> {
  const said = people.flatMap(({ id: userId, topics: own }) => own.map((each) => ({ ...each, userId, id: newId() })));
  await tx.$executeRaw(sql`
    insert into topic_preferences (id, user_id, topic_id, channel, is_subscribed, said_at, said_by)
    select id, "userId", topic, channel, "isSubscribed", now(), 'test'
    from jsonb_to_recordset(${JSON.stringify(said)}::jsonb)
      as given (id uuid, "userId" uuid, topic uuid, channel channel, "isSubscribed" boolean)`);
}

async function insertEvents(tx: Transaction, people: readonly PlainPerson[]): Promise<void> {
  const tombstones = people.map(({ id }) => ({ id: newId(), of: id }));
  await tx.$executeRaw(sql`
    insert into users (id, merged_into_id)
    select id, "of" from jsonb_to_recordset(${JSON.stringify(tombstones)}::jsonb) as given (id uuid, "of" uuid)`);
  const done = people.flatMap(({ id, events }, index) =>
    events.map(({ isOfTombstone, at, ...event }) => ({
      ...event,
      id: newId(),
      userId: isOfTombstone ? tombstones[index]?.id : id,
      at: momentText(at),
    })),
  );
  await tx.$executeRaw(sql`
    insert into tracked_events (id, user_id, name, properties, at)
    select id, "userId", name, properties, at
    from jsonb_to_recordset(${JSON.stringify(done)}::jsonb)
      as given (id uuid, "userId" uuid, name text, properties jsonb, at timestamptz)`);
}
