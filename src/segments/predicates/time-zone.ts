import { z } from 'zod';
import { sql } from '../../storage/database.ts';
import { isTimeZone } from '../../users/user-attributes.ts';
import { definePredicate, listOf, toWords } from '../predicate.ts';

/** Has a time zone. */
export const timeZone = definePredicate({
  name: 'timeZone',
  argument: {
    type: 'String',
    isList: true,
    description:
      'The time zone is one of these IANA names, such as "Europe/Zagreb"; another name of the same zone is another. Does not hold without a time zone. `{ timeZone: ["Europe/Zagreb"] }`',
  },
  args: listOf(z.string().refine(isTimeZone, 'Not an IANA time zone, such as "Europe/Zagreb".')),
  words: (zones) => `has the time zone ${toWords(zones)}`,
  toSql: (zones) => sql`u.time_zone = any(${zones}::text[])`,
  decide: (zones, { timeZone: value }) => ({ holds: value !== null && zones.includes(value), value }),
});
