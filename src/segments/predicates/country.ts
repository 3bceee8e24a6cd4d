import { z } from 'zod';
import { sql } from '../../storage/database.ts';
import { isCountry } from '../../users/user-attributes.ts';
import { definePredicate, listOf, toWords } from '../predicate.ts';

const countrySchema = z
  .string()
  .transform((text) => text.toUpperCase())
  .refine(isCountry, 'Not an ISO 3166-1 alpha-2 country code, such as "NL".');

/** Has a country. */
export const country = definePredicate({
  name: 'country',
  argument: {
    type: 'String',
    isList: true,
    description: 'The country is one of these ISO 3166-1 alpha-2 codes, such as "NL". Does not hold without a country.',
  },
  args: listOf(countrySchema),
  words: (countries) => `has the country ${toWords(countries)}`,
  toSql: (countries) => sql`u.country = any(${countries}::text[])`,
  decide: (countries, { country: value }) => ({ holds: value !== null && countries.includes(value), value }),
});
