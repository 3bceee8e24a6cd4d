import { builder } from '../graphql/builder.ts';
import { parseId } from '../graphql/global-id.ts';
import { PlatformEnum, PushStatusEnum } from '../installations/schema.ts';
import { ChannelEnum, UserTypeEnum } from '../users/schema.ts';
import type { Argument, ArgumentObject } from './argument.ts';
import { filterCharactersMax, filterDepthMax, filterNodesMax } from './filter.ts';
import { predicates } from './predicates.ts';

const StandardAttributeEnum = builder.enumType('StandardAttribute', {
  description: 'A standard attribute of a user, as a filter names it.',
  values: {
    DISPLAY_NAME: { description: 'What to call the user.' },
    FIRST_NAME: { description: 'Given name.' },
    MIDDLE_NAME: { description: 'What stands between first and last name.' },
    LAST_NAME: { description: 'Family name.' },
    GENDER: { description: '"MALE", "FEMALE" or "OTHER".' },
    BIRTHDAY: { description: 'Day of birth, compared as a DATE.' },
    PREFERRED_LANGUAGE: { description: 'BCP 47 language tag. See also `language`.' },
    PREFERRED_CHANNEL: { description: 'A `Channel`, such as "EMAIL".' },
    TIME_ZONE: { description: 'IANA time zone.' },
    COUNTRY: { description: 'ISO 3166-1 alpha-2 code.' },
    REGION: { description: 'Part of the country.' },
    PICTURE_URL: { description: 'URL of a picture.' },
  },
});

const types = {
  String: 'String',
  Boolean: 'Boolean',
  Int: 'Int',
  SegmentId: 'ID',
  TopicId: 'ID',
  AppId: 'ID',
  DateTime: 'DateTime',
  FilterValue: 'FilterValue',
  JSONObject: 'JSONObject',
  StandardAttribute: StandardAttributeEnum,
  UserType: UserTypeEnum,
  Channel: ChannelEnum,
  Platform: PlatformEnum,
  PushStatus: PushStatusEnum,
} as const;

/** A filter as GraphQL lets it in: what is in it, `parseFilter` knows. */
export type AudienceFilter = { readonly [name: string]: unknown };

const AudienceFilterRef = builder.inputRef<AudienceFilter>('AudienceFilter');
type InputObjectRef = typeof AudienceFilterRef;
const objects = new Map<string, InputObjectRef>();

function toObject({ name, description, isOneOf = false, fields }: ArgumentObject): InputObjectRef {
  const ref = builder.inputRef<AudienceFilter>(name);
  ref.implement({
    description,
    isOneOf,
    fields: (t) => Object.fromEntries(Object.entries(fields).map(([field, each]) => [field, t.field(toField(each))])),
  });
  objects.set(name, ref);
  return ref;
}

function toField(argument: Argument) {
  const { description, isList = false, isRequired: required = false, type: named } = argument;
  const type = typeof named === 'string' ? types[named] : (objects.get(named.name) ?? toObject(named));
  const list: [typeof type] = [type];
  return { type: isList ? list : type, required, description };
}

/** The filter of segments and targets: a tree over the registry's predicates. */
export const AudienceFilterInput = AudienceFilterRef.implement({
  isOneOf: true,
  description: `Says of a user whether it is meant: exactly one condition, or several under \`all\`, \`any\` and \`not\`. At most ${filterDepthMax} levels deep, with at most ${filterNodesMax} conditions and groups and ${filterCharactersMax.toLocaleString('en')} characters as JSON. An empty list is refused: nobody is meant by accident. A field that is null is as one that is absent. What is wrong is refused with its \`path\` in the filter.`,
  fields: (t) => ({
    all: t.field({
      type: [AudienceFilterRef],
      description: 'Each of these holds. At least one: `{ all: [{ tag: "vip" }, { not: { country: ["NL"] } }] }`.',
    }),
    any: t.field({
      type: [AudienceFilterRef],
      description: 'At least one of these holds: `{ any: [{ tag: "vip" }, { tag: "new" }] }`.',
    }),
    not: t.field({
      type: AudienceFilterRef,
      description:
        'This does not hold. So also where it does not for want of a value: no country is not the country "NL". `{ not: { isPushReachable: true } }`',
    }),
    ...Object.fromEntries(predicates.map(({ name, argument }) => [name, t.field(toField(argument))])),
  }),
});

const argumentOf = new Map(predicates.map(({ name, argument }) => [name, argument]));

/**
 * A filter with local ids instead of global ones, as `parseFilter` takes it.
 *
 * @throws DomainError `NOT_FOUND` at what is no id of a segment, a topic or an app.
 */
export function toLocalFilter(filter: AudienceFilter, path: readonly string[]): AudienceFilter {
  const localized = Object.entries(filter).map(([name, given]) => {
    const [at, argument] = [[...path, name], argumentOf.get(name)];
    return [name, argument ? toLocalArgument(argument, given, at) : toLocalParts(given, at)] as const;
  });
  return Object.fromEntries(localized);
}

function toLocalParts(given: unknown, path: readonly string[]): unknown {
  if (Array.isArray(given)) return given.map((part, index) => toLocalFilter(part, [...path, String(index)]));
  return typeof given === 'object' && given !== null ? toLocalFilter({ ...given }, path) : given;
}

function toLocalArgument(argument: Argument, given: unknown, path: readonly string[]): unknown {
  if (Array.isArray(given)) {
    return given.map((each, index) => toLocalArgument(argument, each, [...path, String(index)]));
  }
  const { type } = argument;
  if (typeof given === 'string' && type === 'SegmentId') return parseId(given, 'Segment', path);
  if (typeof given === 'string' && type === 'TopicId') return parseId(given, 'Topic', path);
  if (typeof given === 'string' && type === 'AppId') return parseId(given, 'App', path);
  if (typeof type === 'string' || typeof given !== 'object' || given === null) return given;
  const fields = Object.entries(given).map(([name, inner]) => {
    const field = type.fields[name];
    return [name, field ? toLocalArgument(field, inner, [...path, name]) : inner] as const;
  });
  return Object.fromEntries(fields);
}
