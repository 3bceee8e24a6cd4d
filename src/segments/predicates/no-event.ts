import { sql } from '../../storage/database.ts';
import type { ArgumentObject } from '../argument.ts';
import { durationArgument, durationSchema } from '../duration.ts';
import { eventConditionSchema, eventInWords, eventsOf } from '../event-condition.ts';
import { findEvents } from '../person.ts';
import { definePredicate } from '../predicate.ts';

const argument: ArgumentObject = {
  name: 'NoEventCondition',
  description: 'Which event has not been, and for how long.',
  fields: {
    name: { type: 'String', isRequired: true, description: 'What it is called, written exactly so.' },
    within: {
      type: durationArgument,
      isRequired: true,
      description: "Not within this time until now, by the database's clock.",
    },
  },
};

/** Did not do something: rules A2, M5. */
export const noEvent = definePredicate({
  name: 'noEvent',
  argument: {
    type: argument,
    description:
      'The user has not done this for so long, or never. With `event` under `all`: has done it, but not lately. `{ noEvent: { name: "login", within: { days: 90 } } }`',
  },
  args: eventConditionSchema.pick({ name: true }).extend({ within: durationSchema }),
  words: (condition) => `did not do ${eventInWords(condition)}`,
  event: (condition) => condition,
  // Not as `not exists`: of that PostgreSQL, for many events of each user, expects to find nobody, and looks through all of them.
  toSql: (condition) => sql`exists (select from ${eventsOf(sql`u.id`, condition)}) is not true`,
  decide(condition, person) {
    const found = findEvents(person, condition);
    return { holds: found.count === 0, value: found };
  },
});
