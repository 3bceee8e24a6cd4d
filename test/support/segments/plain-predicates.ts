import fc from 'fast-check';
import {
  type Attributes,
  ageMs,
  apps,
  countries,
  dayMs,
  decimals,
  eventNames,
  languages,
  type PlainInstallation,
  type PlainPerson,
  platforms,
  propertyValues,
  pushStatuses,
  staticSegments,
  tags,
  texts,
  topics,
  versions,
  type World,
  zones,
} from './plain-people.ts';

// What every predicate means, written a second time, plainly and without a look at the program: a table, one row each.

/** A predicate with arguments: as a client writes them (moments as `Date`), and whether it holds then. */
interface Plain {
  args: unknown;
  holds(person: PlainPerson, world: World): boolean;
}

/** One predicate with arguments at random. */
type Row = (now: number, segments: readonly string[]) => fc.Arbitrary<Plain>;

function row<Args>(
  arbitrary: (now: number, segments: readonly string[]) => fc.Arbitrary<Args>,
  holds: (args: Args, person: PlainPerson, world: World) => boolean,
): Row {
  return (now, segments) =>
    arbitrary(now, segments).map((args) => ({ args, holds: (person, world) => holds(args, person, world) }));
}

const some = <Value>(values: readonly Value[]) =>
  fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: 3 });

/** One to three of the fields. */
function oneToThree<Fields extends object>(fields: fc.Arbitrary<Fields>): fc.Arbitrary<Partial<Fields>> {
  return fields.chain((given) =>
    fc.subarray(Object.keys(given), { minLength: 1, maxLength: 3 }).map((names) => {
      const picked: Partial<Fields> = { ...given };
      for (const name of Object.keys(given)) if (!names.includes(name)) Reflect.deleteProperty(picked, name);
      return picked;
    }),
  );
}

type Duration = { minutes: number } | { hours: number } | { days: number };
const durations: fc.Arbitrary<Duration> = fc.constantFrom<Duration>(
  { minutes: 60 },
  { hours: 1 },
  { hours: 24 },
  { days: 1 },
  { days: 7 },
  { days: 400 },
);
const inDays = fc.constantFrom({ days: 1 }, { days: 7 }, { days: 400 });

function toMs(duration: Duration): number {
  if ('minutes' in duration) return duration.minutes * 60_000;
  return 'hours' in duration ? duration.hours * 3_600_000 : duration.days * dayMs;
}

/** Code point by code point. */
function order(a: string, b: string): number {
  const [left, right] = [[...a], [...b]].map((characters) => characters.map((each) => each.codePointAt(0) ?? 0));
  for (let index = 0; ; index += 1) {
    const [one, other] = [left?.[index], right?.[index]];
    if (one === undefined || other === undefined) return (one === undefined ? 0 : 1) - (other === undefined ? 0 : 1);
    if (one !== other) return one - other;
  }
}

/** By whole numbers of 10^-20. */
function orderNumbers(a: string, b: string): number {
  const [one, other] = [toUnits(a), toUnits(b)];
  return one < other ? -1 : one > other ? 1 : 0;
}

function toUnits(decimal: string): bigint {
  const [whole = '', fraction = ''] = decimal.replace('-', '').split('.');
  const units = BigInt(whole + fraction.padEnd(20, '0'));
  return decimal.startsWith('-') ? -units : units;
}

type Type = 'STRING' | 'NUMBER' | 'BOOLEAN' | 'DATE' | 'DATETIME';

interface Comparison {
  eq?: unknown;
  ne?: unknown;
  gt?: unknown;
  gte?: unknown;
  lt?: unknown;
  lte?: unknown;
  in?: unknown[];
  contains?: string;
  startsWith?: string;
  exists?: boolean;
  withinLast?: Duration;
}

const valuesOf = (type: Type, now: number): fc.Arbitrary<unknown> =>
  ({
    STRING: fc.constantFrom<unknown>(...texts),
    // As a client may write them: not all in the form in which they are kept.
    NUMBER: fc.constantFrom<unknown>(...decimals, 10, 10.5, '1e1', '+9.0', '-0'),
    BOOLEAN: fc.boolean(),
    DATE: ageMs.map((age) => new Date(now - age).toISOString().slice(0, 10)),
    DATETIME: ageMs.map((age) => new Date(now - age).toISOString()),
  })[type];

function comparisons(type: Type, now: number): fc.Arbitrary<Comparison> {
  const value = valuesOf(type, now);
  if (type === 'BOOLEAN') return oneToThree(fc.record({ eq: value, ne: value, exists: fc.boolean() }));
  const ordered = {
    eq: value,
    ne: value,
    gt: value,
    gte: value,
    lt: value,
    lte: value,
    in: fc.array(value, { minLength: 1, maxLength: 3 }),
    exists: fc.boolean(),
  };
  if (type === 'NUMBER') return oneToThree(fc.record(ordered));
  if (type === 'STRING') {
    const part = fc.constantFrom(...texts);
    return oneToThree(fc.record({ ...ordered, contains: part, startsWith: part }));
  }
  return oneToThree(fc.record({ ...ordered, withinLast: type === 'DATE' ? inDays : durations }));
}

const written: Record<string, string> = { '1e1': '10', '+9.0': '9', '-0': '0' };
const isOfType = (type: Type, found: unknown) =>
  type === 'BOOLEAN'
    ? typeof found === 'boolean'
    : typeof found === 'string' && (type !== 'NUMBER' || /^-?\d+(\.\d+)?$/.test(found));

/** What day it is somewhere; in UTC where nobody knows the place. */
function todayIn(zone: string | null | undefined, now: number): string {
  const timeZone = zone === null || zone === undefined || zone.startsWith('Mars/') ? 'UTC' : zone;
  return new Intl.DateTimeFormat('en-CA', { timeZone, year: 'numeric', month: '2-digit', day: '2-digit' }).format(now);
}

const isDefined = (value: unknown) => value !== undefined;

function compares(
  comparison: Comparison,
  type: Type,
  found: unknown,
  { person, now }: { person: PlainPerson; now: number },
) {
  const { exists, ...rest } = comparison;
  if (exists !== undefined && exists !== isDefined(found)) return false;
  if (Object.values(rest).filter(isDefined).length === 0) return true;
  if (!isOfType(type, found)) return false;
  const text = String(found);
  const compareTo = (other: unknown) =>
    type === 'NUMBER' ? orderNumbers(text, written[String(other)] ?? String(other)) : order(text, String(other));
  const age = (duration: Duration) => {
    if (type === 'DATETIME') return Date.parse(text) >= now - toMs(duration) && Date.parse(text) <= now;
    const today = Date.parse(todayIn(person.standard.timeZone, now));
    return Date.parse(text) >= today - toMs(duration) && Date.parse(text) <= today;
  };
  const { eq, ne, gt, gte, lt, lte, in: list, contains, startsWith, withinLast } = rest;
  return (
    (eq === undefined || compareTo(eq) === 0) &&
    (ne === undefined || compareTo(ne) !== 0) &&
    (gt === undefined || compareTo(gt) > 0) &&
    (gte === undefined || compareTo(gte) >= 0) &&
    (lt === undefined || compareTo(lt) < 0) &&
    (lte === undefined || compareTo(lte) <= 0) &&
    (list === undefined || list.some((operand) => compareTo(operand) === 0)) &&
    (contains === undefined || contains === '' || text.split(contains).length > 1) &&
    (startsWith === undefined || text.slice(0, startsWith.length) === startsWith) &&
    (withinLast === undefined || age(withinLast))
  );
}

const attributeTypes = {
  plan: 'STRING',
  points: 'NUMBER',
  isMember: 'BOOLEAN',
  since: 'DATE',
  paidAt: 'DATETIME',
} as const;
const installationTypes = { build: 'NUMBER', theme: 'STRING', seenOn: 'DATE' } as const;
const fieldTypes = { sku: 'STRING', amount: 'NUMBER', day: 'DATE', isGift: 'BOOLEAN' } as const;
const typeOf = (types: Readonly<Record<string, Type>>, name: string): Type => types[name] ?? 'STRING';

/** How the attributes of {@link Attributes} are defined. */
export const plainDefinitions = [
  ...Object.entries(attributeTypes).map(([name, type]) => ({ owner: 'USER', name, type, fields: null })),
  ...Object.entries(installationTypes).map(([name, type]) => ({ owner: 'INSTALLATION', name, type, fields: null })),
  {
    owner: 'USER',
    name: 'orders',
    type: 'OBJECT_LIST',
    fields: Object.entries(fieldTypes).map(([name, type]) => ({ name, type })),
  },
];

type FieldCondition = Comparison & { field: string };
type AttributeCondition = Comparison & { name: string; any?: FieldCondition[]; all?: FieldCondition[] };

const fieldConditions = (now: number) =>
  fc.array(
    fc.oneof(
      ...Object.entries(fieldTypes).map(([field, type]) =>
        comparisons(type, now).map((comparison): FieldCondition => ({ field, ...comparison })),
      ),
    ),
    { minLength: 1, maxLength: 2 },
  );

const attributeConditions = (types: Readonly<Record<string, Type>>, now: number) =>
  Object.entries(types).map(([name, type]) =>
    comparisons(type, now).map((comparison): AttributeCondition => ({ name, ...comparison })),
  );

const listConditions = (now: number): fc.Arbitrary<AttributeCondition> =>
  oneToThree(
    fc.record({
      exists: fc.boolean(),
      any: fieldConditions(now),
      all: fieldConditions(now),
    }),
  ).map((condition) => ({ name: 'orders', ...condition }));

function attributeHolds(
  { name, any, all, ...comparison }: AttributeCondition,
  attributes: Attributes,
  { person, now, types }: { person: PlainPerson; now: number; types: Readonly<Record<string, Type>> },
): boolean {
  const found = attributes[name];
  if (name !== 'orders') return compares(comparison, typeOf(types, name), found, { person, now });
  if (comparison.exists !== undefined && comparison.exists !== isDefined(found)) return false;
  const objects: Attributes[] = Array.isArray(found) ? found.map((object) => ({ ...Object(object) })) : [];
  const fits = (conditions: FieldCondition[]) => (object: Attributes) =>
    conditions.every(({ field, ...each }) => compares(each, typeOf(fieldTypes, field), object[field], { person, now }));
  return (!any || objects.some(fits(any))) && (!all || (objects.length > 0 && objects.every(fits(all))));
}

const standardNames = [
  'DISPLAY_NAME',
  'FIRST_NAME',
  'MIDDLE_NAME',
  'LAST_NAME',
  'GENDER',
  'BIRTHDAY',
  'PREFERRED_LANGUAGE',
  'PREFERRED_CHANNEL',
  'TIME_ZONE',
  'COUNTRY',
  'REGION',
  'PICTURE_URL',
];
const toKey = (name: string) => name.toLowerCase().replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());

interface Moments {
  from?: Date;
  to?: Date;
  withinLast?: Duration;
}

const moments = (now: number) => {
  const moment = ageMs.map((age) => new Date(now - age));
  return oneToThree(fc.record({ from: moment, to: moment, withinLast: durations }));
};

const isAt = (moment: number, { from, to, withinLast }: Moments, now: number) =>
  (!from || moment >= from.getTime()) &&
  (!to || moment < to.getTime()) &&
  (!withinLast || moment >= now - toMs(withinLast));

interface VersionCondition {
  eq?: string;
  gt?: string;
  gte?: string;
  lt?: string;
  lte?: string;
}

interface InstallationCondition {
  platform?: string[];
  app?: string[];
  appVersion?: VersionCondition;
  pushStatus?: string[];
  isPushEnabled?: boolean;
  isPrimary?: boolean;
  attribute?: AttributeCondition[];
  subscribedFrom?: Date;
  subscribedTo?: Date;
  lastSeenWithin?: Duration;
}

function installationConditions(now: number): fc.Arbitrary<InstallationCondition> {
  const [moment, version] = [ageMs.map((age) => new Date(now - age)), fc.constantFrom(...versions)];
  return oneToThree(
    fc.record({
      platform: some<string>(platforms),
      app: some<string>(apps),
      appVersion: oneToThree(fc.record({ eq: version, gt: version, gte: version, lt: version, lte: version })),
      pushStatus: some<string>(pushStatuses),
      isPushEnabled: fc.boolean(),
      isPrimary: fc.boolean(),
      attribute: fc.array(fc.oneof(...attributeConditions(installationTypes, now)), { minLength: 1, maxLength: 2 }),
      subscribedFrom: moment,
      subscribedTo: moment,
      lastSeenWithin: durations,
    }),
  );
}

/** Semantic Versioning 2.0.0, 11; null for what is no version. */
function toVersion(text: string): { core: number[]; pre: string[] } | null {
  const [withoutBuild = ''] = text.replace(/^v/, '').split('+');
  const dash = withoutBuild.indexOf('-');
  const numbers = dash === -1 ? withoutBuild : withoutBuild.slice(0, dash);
  if (!/^\d+(\.\d+){0,2}$/.test(numbers)) return null;
  const core = [...numbers.split('.').map(Number), 0, 0].slice(0, 3);
  return { core, pre: dash === -1 ? [] : withoutBuild.slice(dash + 1).split('.') };
}

function orderVersions(a: { core: number[]; pre: string[] }, b: { core: number[]; pre: string[] }): number {
  const core = a.core.map((part, index) => part - (b.core[index] ?? 0)).find((difference) => difference !== 0);
  if (core !== undefined) return core;
  if (a.pre.length === 0 || b.pre.length === 0) return b.pre.length - a.pre.length;
  for (const [index, one] of a.pre.entries()) {
    const other = b.pre[index];
    if (other === undefined) return 1;
    if (one === other) continue;
    const [isNumber, isOther] = [/^\d+$/.test(one), /^\d+$/.test(other)];
    if (isNumber && isOther) return Number(one) - Number(other);
    if (isNumber !== isOther) return isNumber ? -1 : 1;
    return one < other ? -1 : 1;
  }
  return a.pre.length - b.pre.length;
}

function versionHolds(condition: VersionCondition, found: string | null): boolean {
  const version = found === null ? null : toVersion(found);
  if (!version) return false;
  const against = (text: string) => orderVersions(version, toVersion(text) ?? { core: [], pre: [] });
  const { eq, gt, gte, lt, lte } = condition;
  return (
    (eq === undefined || against(eq) === 0) &&
    (gt === undefined || against(gt) > 0) &&
    (gte === undefined || against(gte) >= 0) &&
    (lt === undefined || against(lt) < 0) &&
    (lte === undefined || against(lte) <= 0)
  );
}

function installationHolds(
  condition: InstallationCondition,
  installation: PlainInstallation,
  { person, now }: { person: PlainPerson; now: number },
): boolean {
  const { platform, app, appVersion, pushStatus, isPushEnabled, isPrimary } = condition;
  const { attribute, subscribedFrom, subscribedTo, lastSeenWithin } = condition;
  const since = installation.subscribedAt;
  return (
    (!platform || platform.includes(installation.platform)) &&
    (!app || app.includes(installation.appId)) &&
    (!appVersion || versionHolds(appVersion, installation.appVersion)) &&
    (!pushStatus || pushStatus.includes(installation.pushStatus)) &&
    (isPushEnabled === undefined || isPushEnabled === installation.isEnabled) &&
    (isPrimary === undefined || isPrimary === installation.isPrimary) &&
    (attribute ?? []).every((each) =>
      attributeHolds(each, installation.attributes, { person, now, types: installationTypes }),
    ) &&
    (!subscribedFrom || (since !== null && since >= subscribedFrom.getTime())) &&
    (!subscribedTo || (since !== null && since < subscribedTo.getTime())) &&
    (!lastSeenWithin || installation.lastSeenAt >= now - toMs(lastSeenWithin))
  );
}

const isReachable = ({ installations }: PlainPerson) =>
  installations.some(
    ({ pushStatus, isEnabled, hasAddress, isSubscribed }) =>
      pushStatus === 'ALLOWED' && isEnabled && hasAddress && isSubscribed,
  );

const wantedValues = fc.constantFrom(...propertyValues.filter((value) => value !== undefined));

interface WantedEvent {
  name: string;
  within?: Duration;
  properties?: Attributes;
}

const countEvents = ({ name, within, properties = {} }: WantedEvent, { events }: PlainPerson, now: number): number =>
  events.filter(
    (done) =>
      done.name === name &&
      (!within || done.at >= now - toMs(within)) &&
      Object.entries(properties).every(([property, value]) => done.properties[property] === value),
  ).length;

/** By its name in `AudienceFilter`. */
export const plainPredicates: Readonly<Record<string, Row>> = {
  tag: row(
    () => fc.constantFrom(...tags, 'none'),
    (tag, person) => person.tags.includes(tag),
  ),
  type: row(
    () => some(['LEAD', 'CUSTOMER']),
    (types, person) => types.includes(person.type),
  ),
  language: row(
    () => some(languages),
    (wanted, { standard: { preferredLanguage: found } }) =>
      wanted.some((tag) => found?.split('-').slice(0, tag.split('-').length).join('-') === tag),
  ),
  country: row(
    () => some([...countries, 'nl']),
    (wanted, { standard: { country } }) => wanted.some((code) => code.toUpperCase() === country),
  ),
  timeZone: row(
    () => some(zones),
    (wanted, { standard: { timeZone } }) => wanted.some((zone) => zone === timeZone),
  ),
  standardAttribute: row(
    (now) =>
      fc
        .constantFrom(...standardNames)
        .chain((name) =>
          comparisons(name === 'BIRTHDAY' ? 'DATE' : 'STRING', now).map((comparison) => ({ name, ...comparison })),
        ),
    ({ name, ...comparison }, person, { now }) => {
      const type = name === 'BIRTHDAY' ? 'DATE' : 'STRING';
      return compares(comparison, type, person.standard[toKey(name)] ?? undefined, { person, now });
    },
  ),
  attribute: row(
    (now) => fc.oneof(...attributeConditions(attributeTypes, now), listConditions(now)),
    (condition, person, { now }) =>
      attributeHolds(condition, person.attributes, { person, now, types: attributeTypes }),
  ),
  createdAt: row(moments, (condition, { createdAt }, { now }) => isAt(createdAt, condition, now)),
  lastSeen: row(moments, (condition, { installations }, { now }) => {
    const seen = installations.map(({ lastSeenAt }) => lastSeenAt);
    return seen.length > 0 && isAt(Math.max(...seen), condition, now);
  }),
  topic: row(
    () => fc.constantFrom(...topics),
    (topic, person) => {
      const said = person.topics.filter((each) => each.topic === topic);
      const ofAll = said.find(({ channel }) => channel === null);
      return said.some(({ isSubscribed }) => isSubscribed) || (!ofAll && topic === topics[0]);
    },
  ),
  event: row(
    () =>
      fc.record(
        {
          name: fc.constantFrom(...eventNames),
          count: fc.constantFrom(1, 2),
          within: durations,
          properties: fc.oneof(
            fc.record({ sku: wantedValues }),
            fc.record({ amount: wantedValues }),
            fc.record({ sku: wantedValues, amount: wantedValues }),
          ),
        },
        { requiredKeys: ['name'] },
      ),
    ({ count = 1, ...wanted }, person, { now }) => countEvents(wanted, person, now) >= count,
  ),
  noEvent: row(
    () => fc.record({ name: fc.constantFrom(...eventNames), within: durations }),
    (wanted, person, { now }) => countEvents(wanted, person, now) === 0,
  ),
  inSegment: row(
    (_, segments) => fc.constantFrom(...staticSegments, ...segments),
    (id, person, world) => {
      const filter = world.filters.get(id);
      return filter ? filter(person, world) : person.segments.includes(id);
    },
  ),
  isPushReachable: row(
    () => fc.boolean(),
    (wanted, person) => wanted === isReachable(person),
  ),
  hasChannel: row(
    () => some(['PUSH', 'EMAIL', 'SMS', 'WHATSAPP', 'IN_APP']),
    (wanted, { addresses, installations }) =>
      wanted.some((channel) =>
        channel === 'PUSH'
          ? installations.some(({ hasAddress }) => hasAddress)
          : addresses.some((own) => own === (channel === 'WHATSAPP' ? 'SMS' : channel)),
      ),
  ),
  installation: row(installationConditions, (condition, person, { now }) =>
    person.installations.some((each) => installationHolds(condition, each, { person, now })),
  ),
};

/** A filter of plain predicates. */
export type PlainFilter =
  | { all: PlainFilter[] }
  | { any: PlainFilter[] }
  | { not: PlainFilter }
  | { name: string; plain: Plain };

/** Filters of a few levels over all predicates; dynamic segments are among `segments`. */
export function arbitraryFilter(now: number, segments: readonly string[]): fc.Arbitrary<PlainFilter> {
  const leaves = Object.entries(plainPredicates).map(([name, arbitrary]) =>
    arbitrary(now, segments).map((plain): PlainFilter => ({ name, plain })),
  );
  const { node } = fc.letrec<{ node: PlainFilter }>((tie) => ({
    node: fc.oneof(
      { maxDepth: 3, depthSize: 'small' },
      { weight: 3, arbitrary: fc.oneof(...leaves) },
      { weight: 1, arbitrary: fc.array(tie('node'), { minLength: 1, maxLength: 3 }).map((all) => ({ all })) },
      { weight: 1, arbitrary: fc.array(tie('node'), { minLength: 1, maxLength: 3 }).map((any) => ({ any })) },
      { weight: 1, arbitrary: tie('node').map((not) => ({ not })) },
    ),
  }));
  return node;
}

/** A filter as a client would send it. */
export function toInputFilter(filter: PlainFilter): object {
  if ('all' in filter) return { all: filter.all.map(toInputFilter) };
  if ('any' in filter) return { any: filter.any.map(toInputFilter) };
  return 'not' in filter ? { not: toInputFilter(filter.not) } : { [filter.name]: filter.plain.args };
}

/** Whether a filter holds. */
export function filterHolds(filter: PlainFilter, person: PlainPerson, world: World): boolean {
  if ('all' in filter) return filter.all.every((part) => filterHolds(part, person, world));
  if ('any' in filter) return filter.any.some((part) => filterHolds(part, person, world));
  return 'not' in filter ? !filterHolds(filter.not, person, world) : filter.plain.holds(person, world);
}
