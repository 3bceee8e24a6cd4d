import { z } from 'zod';
import { sql } from '../../storage/database.ts';
import { definePredicate } from '../predicate.ts';

const tagCharactersMax = 256;

/** Has a tag. */
export const tag = definePredicate({
  name: 'tag',
  argument: {
    type: 'String',
    description: 'The user has this tag, written exactly so, 1 to 256 characters: `{ tag: "vip" }`.',
  },
  args: z
    .string()
    .transform((text) => text.normalize('NFC'))
    .refine((text) => text.length > 0 && [...text].length <= tagCharactersMax, 'A tag has 1 to 256 characters.'),
  words: (wanted) => `has the tag ${JSON.stringify(wanted)}`,
  // The second part is what the index leaves out.
  toSql: (wanted) => sql`u.tags @> array[${wanted}]::text[] and u.tags <> '{}'`,
  decide: (wanted, { tags }) => ({ holds: tags.includes(wanted), value: tags }),
});
