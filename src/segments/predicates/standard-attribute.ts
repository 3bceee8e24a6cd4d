import { z } from 'zod';
import type { ScalarType } from '../../attributes/attribute-definition.ts';
import { sql } from '../../storage/database.ts';
import { toDayText } from '../clock.ts';
import {
  comparisonFields,
  comparisonInWords,
  comparisonSchema,
  comparisonToSql,
  decideComparison,
  type Operand,
  parseComparison,
} from '../comparison.ts';
import type { Person } from '../person.ts';
import { definePredicate, parseInput } from '../predicate.ts';

const columns = {
  DISPLAY_NAME: sql`u.display_name`,
  FIRST_NAME: sql`u.first_name`,
  MIDDLE_NAME: sql`u.middle_name`,
  LAST_NAME: sql`u.last_name`,
  GENDER: sql`u.gender::text`,
  BIRTHDAY: toDayText(sql`u.birthday`),
  PREFERRED_LANGUAGE: sql`u.preferred_language`,
  PREFERRED_CHANNEL: sql`u.preferred_channel::text`,
  TIME_ZONE: sql`u.time_zone`,
  COUNTRY: sql`u.country`,
  REGION: sql`u.region`,
  PICTURE_URL: sql`u.picture_url`,
} as const;
type StandardAttribute = keyof typeof columns;

const values: Readonly<Record<StandardAttribute, (person: Person) => string | null>> = {
  DISPLAY_NAME: ({ displayName }) => displayName,
  FIRST_NAME: ({ firstName }) => firstName,
  MIDDLE_NAME: ({ middleName }) => middleName,
  LAST_NAME: ({ lastName }) => lastName,
  GENDER: ({ gender }) => gender,
  BIRTHDAY: ({ birthday }) => birthday,
  PREFERRED_LANGUAGE: ({ preferredLanguage }) => preferredLanguage,
  PREFERRED_CHANNEL: ({ preferredChannel }) => preferredChannel,
  TIME_ZONE: ({ timeZone }) => timeZone,
  COUNTRY: ({ country }) => country,
  REGION: ({ region }) => region,
  PICTURE_URL: ({ pictureUrl }) => pictureUrl,
};

const typeOf = (name: StandardAttribute): ScalarType => (name === 'BIRTHDAY' ? 'DATE' : 'STRING');

function toOperand(name: StandardAttribute): Operand {
  const value = sql`(${columns[name]} collate "C")`;
  return {
    type: typeOf(name),
    value,
    isPresent: sql`(${columns[name]} is not null)`,
    equals: (wanted) => sql`${value} = ${String(wanted)}`,
  };
}

const nameSchema = z.literal(Object.keys(columns).filter((name): name is StandardAttribute => name in columns));
const schema = comparisonSchema.extend({ name: nameSchema });
const namedSchema = z.looseObject({ name: nameSchema });

/** Has a standard attribute that is so: rule U14. */
export const standardAttribute = definePredicate({
  name: 'standardAttribute',
  argument: {
    type: {
      name: 'StandardAttributeCondition',
      description:
        'What a standard attribute is: all that is given holds, at least one operator. BIRTHDAY is a DATE, all others are compared as STRING, as `User` shows them. Without a value only `exists: false` holds.',
      fields: {
        name: { type: 'StandardAttribute', isRequired: true, description: 'Which one.' },
        ...comparisonFields,
      },
    },
    description:
      'What one of the user\'s standard attributes is: `{ standardAttribute: { name: LAST_NAME, startsWith: "Mc" } }`. Without a value only `exists: false` holds.',
  },
  args: schema,
  parse(input, { path }) {
    const { name, ...comparison } = parseInput(namedSchema, input, path);
    return { name, ...parseComparison(comparison, typeOf(name), path) };
  },
  words: ({ name, ...comparison }) => `has a ${name} that ${comparisonInWords(comparison)}`,
  toSql: ({ name, ...comparison }) => comparisonToSql(comparison, toOperand(name)),
  decide({ name, ...comparison }, person) {
    const value = values[name](person);
    return { holds: decideComparison(comparison, typeOf(name), value ?? undefined, person), value };
  },
});
