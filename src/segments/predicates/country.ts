import { z } from 'zod';
import { sql } from '../../storage/database.ts';
import { toCountry } from '../../users/user-attributes.ts';
import { definePredicate, listOf, toWords } from '../predicate.ts';

const countrySchema = z.string().transform((text, context) => {
  const code = toCountry(text);
  if (code === null) context.addIssue('Not an ISO 3166-1 alpha-2 country code, such as "NL".');
  return code ?? text;
});

/** Has a country. */
export const country = definePredicate({
  name: 'country',
  argument: {
    type: 'String',
    isList: true,
    description:
      'The country is one of these ISO 3166-1 alpha-2 codes: `{ country: ["NL", "BE"] }`. Does not hold without a country.',
  },
  args: listOf(countrySchema),
  words: (countries) => `has the country ${toWords(countries)}`,
  toSql: (countries) => sql`u.country = any(${countries}::text[])`,
  decide: (countries, { country: value }) => ({ holds: value !== null && countries.includes(value), value }),
});
