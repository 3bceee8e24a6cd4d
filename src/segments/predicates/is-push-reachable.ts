import { z } from 'zod';
import { sql } from '../../storage/database.ts';
import { definePredicate } from '../predicate.ts';

/** Can be reached by push: rule I5. */
export const isPushReachable = definePredicate({
  name: 'isPushReachable',
  argument: {
    type: 'Boolean',
    description:
      'Whether a push could be sent to the user now: an installation is ALLOWED, enabled, has an address and is not opted out. `{ isPushReachable: true }`',
  },
  args: z.boolean(),
  words: (wanted) => (wanted ? 'can be reached by push' : 'cannot be reached by push'),
  toSql: (wanted) => (wanted ? sql`u.is_push_reachable` : sql`not u.is_push_reachable`),
  decide: (wanted, { isPushReachable: value }) => ({ holds: value === wanted, value }),
});
