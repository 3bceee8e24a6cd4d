import { z } from 'zod';
import { sql } from '../../storage/database.ts';
import type { ArgumentObject } from '../argument.ts';
import { durationArgument } from '../duration.ts';
import { eventConditionSchema, eventCountMax, eventInWords, eventsOf } from '../event-condition.ts';
import { findEvents } from '../person.ts';
import { definePredicate } from '../predicate.ts';

const argument: ArgumentObject = {
  name: 'EventCondition',
  description: 'Which event, how often and when: all that is given holds.',
  fields: {
    name: { type: 'String', isRequired: true, description: 'What it is called, written exactly so.' },
    count: {
      type: 'Int',
      description: `So often at least, 1 to ${eventCountMax.toLocaleString('en')}. Default: 1.`,
    },
    within: {
      type: durationArgument,
      description: "Not longer ago than this, by the database's clock. Default: ever, as far back as events are kept.",
    },
    properties: {
      type: 'JSONObject',
      description:
        'Each of these properties of the event has exactly this value: a text, a number or a boolean, 1 to 20 of them: `{ "sku": "A-7" }`. Others do not matter. With `count`, each event that is counted is so. In a variable, not in the document.',
    },
  },
};

/** Did something: rules A1, M5. */
export const event = definePredicate({
  name: 'event',
  argument: {
    type: argument,
    description:
      'The user has done this, as `trackEvents` was told: also what was tracked for those who were merged into the user. `{ event: { name: "purchase", count: 3, within: { days: 30 } } }`',
  },
  args: eventConditionSchema.extend({ count: z.int().min(1).max(eventCountMax).optional() }),
  words: ({ count = 1, ...condition }) =>
    `did ${eventInWords(condition)}${count === 1 ? '' : `, ${count} times or more`}`,
  event: ({ count: _, ...condition }) => condition,
  toSql({ count = 1, ...condition }) {
    const events = eventsOf(sql`u.id`, condition);
    return count === 1
      ? sql`exists (select from ${events})`
      : sql`(select count(*) from (select from ${events} limit ${count}) few) >= ${count}`;
  },
  decide({ count = 1, ...condition }, person) {
    const found = findEvents(person, condition);
    return { holds: found.count >= count, value: found };
  },
});
