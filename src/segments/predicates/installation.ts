import { z } from 'zod';
import { Platform, PushStatus } from '../../generated/prisma/enums.ts';
import { idSchema } from '../../ids.ts';
import { type Sql, sql } from '../../storage/database.ts';
import type { ArgumentObject } from '../argument.ts';
import { ago } from '../clock.ts';
import {
  attributeArgument,
  attributeInWords,
  attributeSchema,
  attributeToSql,
  decideAttribute,
  parseAttributeCondition,
} from '../custom-attribute.ts';
import { durationArgument, durationInWords, durationSchema } from '../duration.ts';
import { isoAgo, momentSchema } from '../moments.ts';
import type { Person, PersonInstallation } from '../person.ts';
import { definePredicate, listOf, parseInput, toWords } from '../predicate.ts';
import { toVersionKey } from '../version.ts';

/** @default 256 // characters */
const versionCharactersMax = 256;
const version = z
  .string()
  .refine(
    (text) => text.length <= versionCharactersMax && toVersionKey(text) !== null,
    'Not a version, such as "2.10.0" or "3.0.0-beta.1".',
  );
const operators = { eq: '=', gt: '>', gte: '>=', lt: '<', lte: '<=' } as const;
const versionSchema = z
  .strictObject({
    eq: version.optional(),
    gt: version.optional(),
    gte: version.optional(),
    lt: version.optional(),
    lte: version.optional(),
  })
  .refine((given) => Object.keys(given).length > 0, 'Say how the version is compared.');
type Versions = z.infer<typeof versionSchema>;

const parts = {
  platform: listOf(z.enum(Platform)).optional(),
  app: listOf(idSchema).optional(),
  appVersion: versionSchema.optional(),
  pushStatus: listOf(z.enum(PushStatus)).optional(),
  isPushEnabled: z.boolean().optional(),
  isPrimary: z.boolean().optional(),
  subscribedFrom: momentSchema.optional(),
  subscribedTo: momentSchema.optional(),
  lastSeenWithin: durationSchema.optional(),
};
const schema = z.strictObject({ ...parts, attribute: z.array(attributeSchema).optional() });
const inputSchema = z
  .strictObject({ ...parts, attribute: listOf(z.unknown()).optional() })
  .refine((given) => Object.keys(given).length > 0, 'Say which installation: nothing would mean any.');
type InstallationCondition = z.infer<typeof schema>;

const versionArgument: ArgumentObject = {
  name: 'VersionCondition',
  description:
    'How a version compares by Semantic Versioning 2.0.0: "2.10" is more than "2.9.1", and "3.0.0-beta.1" less than "3.0.0". "2.1" is "2.1.0". All that is given holds; what is no such version fits nothing.',
  fields: {
    eq: { type: 'String', description: 'As high as this. Build metadata ("+7") does not count.' },
    gt: { type: 'String', description: 'Higher.' },
    gte: { type: 'String', description: 'This or higher.' },
    lt: { type: 'String', description: 'Lower.' },
    lte: { type: 'String', description: 'This or lower.' },
  },
};

const argument: ArgumentObject = {
  name: 'InstallationCondition',
  description: 'What an installation is: all that is given, at least one, holds for the same installation.',
  fields: {
    platform: { type: 'Platform', isList: true, description: 'It runs on one of these.' },
    app: { type: 'AppId', isList: true, description: 'It is of one of these apps. Global ids.' },
    appVersion: { type: versionArgument, description: "The app's version is so." },
    pushStatus: { type: 'PushStatus', isList: true, description: 'Its push status is one of these.' },
    isPushEnabled: { type: 'Boolean', description: 'Whether `isPushRegistrationEnabled` is set.' },
    isPrimary: { type: 'Boolean', description: 'Whether it is a primary device.' },
    attribute: {
      type: attributeArgument,
      isList: true,
      description: "What the installation's own custom attributes are: all of these.",
    },
    subscribedFrom: { type: 'DateTime', description: 'It got its first push address then or later.' },
    subscribedTo: { type: 'DateTime', description: 'It got its first push address earlier than this.' },
    lastSeenWithin: {
      type: durationArgument,
      description: "It registered last so long ago, or later, by the database's clock.",
    },
  },
};

/** What `i`, a row of installations, has to be. Wants `u` in scope. */
function fits(condition: InstallationCondition): Sql {
  const { platform, app, appVersion, pushStatus, isPushEnabled, isPrimary } = condition;
  const { attribute = [], subscribedFrom, subscribedTo, lastSeenWithin } = condition;
  const conditions = [
    platform && sql`i.platform = any(${platform}::platform[])`,
    app && sql`i.app_id = any(${app}::uuid[])`,
    appVersion && versionToSql(appVersion),
    pushStatus && sql`i.push_status = any(${pushStatus}::push_status[])`,
    isPushEnabled === undefined ? undefined : sql`i.is_push_registration_enabled = ${isPushEnabled}`,
    isPrimary === undefined ? undefined : sql`i.is_primary_device = ${isPrimary}`,
    ...attribute.map((wanted) => attributeToSql(wanted, sql`i.custom_attributes`)),
    subscribedFrom === undefined ? undefined : sql`i.subscribed_at >= ${subscribedFrom}::timestamptz`,
    subscribedTo === undefined ? undefined : sql`i.subscribed_at < ${subscribedTo}::timestamptz`,
    lastSeenWithin && sql`i.last_seen_at >= ${ago(lastSeenWithin)}`,
  ].filter((part) => part !== undefined);
  return conditions.reduce((both, part) => sql`${both} and ${part}`);
}

function versionToSql(versions: Versions): Sql {
  const key = sql`(version_key(i.app_version) collate "C")`;
  const { eq, gt, gte, lt, lte } = versions;
  const conditions = [
    eq === undefined ? null : sql`${key} = version_key(${eq})`,
    gt === undefined ? null : sql`${key} > version_key(${gt})`,
    gte === undefined ? null : sql`${key} >= version_key(${gte})`,
    lt === undefined ? null : sql`${key} < version_key(${lt})`,
    lte === undefined ? null : sql`${key} <= version_key(${lte})`,
  ].filter((condition) => condition !== null);
  return conditions.reduce((both, condition) => sql`${both} and ${condition}`);
}

/** The same as {@link fits} for an installation that was read. */
function doesFit(condition: InstallationCondition, installation: PersonInstallation, person: Person): boolean {
  const { platform, app, appVersion, pushStatus, isPushEnabled, isPrimary } = condition;
  const { attribute = [], subscribedFrom, subscribedTo, lastSeenWithin } = condition;
  const { subscribedAt } = installation;
  return (
    (platform === undefined || platform.includes(installation.platform)) &&
    (app === undefined || app.includes(installation.appId)) &&
    (appVersion === undefined || isVersion(appVersion, installation.appVersion)) &&
    (pushStatus === undefined || pushStatus.includes(installation.pushStatus)) &&
    (isPushEnabled === undefined || isPushEnabled === installation.isPushEnabled) &&
    (isPrimary === undefined || isPrimary === installation.isPrimary) &&
    attribute.every((wanted) => decideAttribute(wanted, installation.customAttributes, person)) &&
    (subscribedFrom === undefined || (subscribedAt !== null && subscribedAt >= subscribedFrom)) &&
    (subscribedTo === undefined || (subscribedAt !== null && subscribedAt < subscribedTo)) &&
    (lastSeenWithin === undefined || installation.lastSeenAt >= isoAgo(person.now, lastSeenWithin))
  );
}

function isVersion({ eq, gt, gte, lt, lte }: Versions, found: string | null): boolean {
  const key = found === null ? null : toVersionKey(found);
  if (key === null) return false;
  // Keys are ASCII.
  const keyOf = (wanted: string) => toVersionKey(wanted) ?? '';
  return (
    (eq === undefined || key === keyOf(eq)) &&
    (gt === undefined || key > keyOf(gt)) &&
    (gte === undefined || key >= keyOf(gte)) &&
    (lt === undefined || key < keyOf(lt)) &&
    (lte === undefined || key <= keyOf(lte))
  );
}

function inWords(condition: InstallationCondition): string {
  const { platform, app, appVersion = {}, pushStatus, isPushEnabled, isPrimary } = condition;
  const { attribute = [], subscribedFrom, subscribedTo, lastSeenWithin } = condition;
  return [
    platform && `runs on ${toWords(platform)}`,
    app && `is of the app ${toWords(app)}`,
    ...Object.entries(operators).map(([name, sign]) => {
      const wanted = Reflect.get(appVersion, name);
      return typeof wanted === 'string' && `has a version ${sign} ${wanted}`;
    }),
    pushStatus && `has the push status ${toWords(pushStatus)}`,
    isPushEnabled !== undefined && `is ${isPushEnabled ? '' : 'not '}enabled for push`,
    isPrimary !== undefined && `is ${isPrimary ? '' : 'not '}a primary device`,
    ...attribute.map((wanted) => `has ${attributeInWords(wanted)}`),
    subscribedFrom !== undefined && `is subscribed since ${subscribedFrom} or later`,
    subscribedTo !== undefined && `is subscribed since before ${subscribedTo}`,
    lastSeenWithin && `was seen within the last ${durationInWords(lastSeenWithin)}`,
  ]
    .filter((part) => typeof part === 'string')
    .join(' and ');
}

/** Has an installation that is so. A push that is targeted by it goes only to those that are. */
export const installation = definePredicate({
  name: 'installation',
  argument: {
    type: argument,
    description:
      'The user has an installation that is so, all of it the same one: `{ installation: { platform: [IOS], appVersion: { lt: "2.10.0" } } }`. A push to a target with this condition goes only to installations that fit it.',
  },
  args: schema,
  parse(input, { definitions, path }) {
    const { attribute, ...rest } = parseInput(inputSchema, input, path);
    const wanted = attribute?.map((given, index) =>
      parseAttributeCondition(given, definitions.INSTALLATION, [...path, 'attribute', String(index)]),
    );
    return { ...rest, ...(wanted && { attribute: wanted }) };
  },
  words: (condition) => `has an installation that ${inWords(condition)}`,
  toSql: (condition) => sql`exists (select from installations i where i.user_id = u.id and ${fits(condition)})`,
  decide(condition, person) {
    const found = person.installations.filter((each) => doesFit(condition, each, person));
    const shown = found.length > 0 ? found : person.installations;
    return { holds: found.length > 0, value: shown.map(toValue) };
  },
  toInstallationSql: (condition) => fits(condition),
});

/** What is told of an installation that decided, or of all if none did. */
function toValue({ id, platform, appVersion, pushStatus, isPushEnabled, isPrimary, lastSeenAt }: PersonInstallation) {
  return { id, platform, appVersion, pushStatus, isPushEnabled, isPrimary, lastSeenAt };
}
