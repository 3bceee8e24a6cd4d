import { sql } from '../../storage/database.ts';
import { beginsAt, isWithin, momentsArgument, momentsInWords, momentsSchema } from '../moments.ts';
import { definePredicate } from '../predicate.ts';

/** Has a profile since. */
export const createdAt = definePredicate({
  name: 'createdAt',
  argument: {
    type: momentsArgument,
    description: 'When the profile was made: `{ createdAt: { withinLast: { days: 7 } } }`.',
  },
  args: momentsSchema,
  words: (moments) => `was made ${momentsInWords(moments)}`,
  toSql(moments) {
    const least = beginsAt(moments);
    return sql`
      ${least === null ? sql`true` : sql`u.created_at >= ${least}`}
      and ${moments.to === undefined ? sql`true` : sql`u.created_at < ${moments.to}::timestamptz`}
    `;
  },
  decide: (moments, { createdAt: value, now }) => ({ holds: isWithin(value, moments, now), value }),
});
