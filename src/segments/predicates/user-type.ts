import { z } from 'zod';
import { UserType } from '../../generated/prisma/enums.ts';
import { sql } from '../../storage/database.ts';
import { definePredicate, listOf, toWords } from '../predicate.ts';

/** Is a lead or a customer. */
export const userType = definePredicate({
  name: 'type',
  argument: {
    type: 'UserType',
    isList: true,
    description: 'The user is of one of these types: `{ type: [CUSTOMER] }`.',
  },
  args: listOf(z.enum(UserType)),
  words: (types) => `is a ${toWords(types)}`,
  toSql: (types) => sql`u.type = any(${types}::user_type[])`,
  decide: (types, { type }) => ({ holds: types.includes(type), value: type }),
});
