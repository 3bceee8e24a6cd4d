import { sql } from '../../storage/database.ts';
import {
  attributeArgument,
  attributeInWords,
  attributeSchema,
  attributeToSql,
  attributeValueOf,
  decideAttribute,
  parseAttributeCondition,
} from '../custom-attribute.ts';
import { definePredicate } from '../predicate.ts';

/** Has a custom attribute that is so: rule U15. */
export const attribute = definePredicate({
  name: 'attribute',
  argument: {
    type: attributeArgument,
    description:
      'What one of the user\'s custom attributes is: `{ attribute: { name: "points", gte: 100, lt: 200 } }`. Without a value only `exists: false` holds.',
  },
  args: attributeSchema,
  parse: (input, { definitions, path }) => parseAttributeCondition(input, definitions.USER, path),
  words: (condition) => `has ${attributeInWords(condition)}`,
  toSql: (condition) => attributeToSql(condition, sql`u.custom_attributes`),
  decide: (condition, person) => ({
    holds: decideAttribute(condition, person.customAttributes, person),
    value: attributeValueOf(person.customAttributes, condition.name) ?? null,
  }),
});
