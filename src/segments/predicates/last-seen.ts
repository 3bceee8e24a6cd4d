import { sql } from '../../storage/database.ts';
import { beginsAt, isWithin, momentsArgument, momentsInWords, momentsSchema } from '../moments.ts';
import { definePredicate } from '../predicate.ts';

/** Was last seen. */
export const lastSeen = definePredicate({
  name: 'lastSeen',
  argument: {
    type: momentsArgument,
    description:
      'When the user was last seen: when any of the installations registered last. Does not hold without an installation. `{ lastSeen: { to: "2026-11-01T00:00:00Z" } }`',
  },
  args: momentsSchema,
  words: (moments) => `was last seen ${momentsInWords(moments)}`,
  // Not by `max`, which would look at each user's installations for itself.
  toSql(moments) {
    const least = beginsAt(moments);
    const since = least === null ? sql`true` : sql`i.last_seen_at >= ${least}`;
    const ended = sql`exists (select from installations i where i.user_id = u.id and i.last_seen_at >= ${moments.to}::timestamptz)`;
    return sql`
      exists (select from installations i where i.user_id = u.id and ${since})
      and ${moments.to === undefined ? sql`true` : sql`not ${ended}`}
    `;
  },
  decide(moments, { installations, now }) {
    const value = installations
      .map(({ lastSeenAt }) => lastSeenAt)
      .sort()
      .at(-1);
    return { holds: value !== undefined && isWithin(value, moments, now), value: value ?? null };
  },
});
