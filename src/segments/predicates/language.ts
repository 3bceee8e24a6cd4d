import { z } from 'zod';
import { sql } from '../../storage/database.ts';
import { toLanguage } from '../../users/user-attributes.ts';
import { definePredicate, listOf, toWords } from '../predicate.ts';

const languageSchema = z.string().transform((text, context) => {
  const tag = toLanguage(text);
  if (tag === null) context.addIssue('Not a BCP 47 language tag, such as "en" or "pt-BR".');
  return tag ?? text;
});

/** Prefers a language; of whichever region, if none is asked for (RFC 4647, 3.3.1). */
export const language = definePredicate({
  name: 'language',
  argument: {
    type: 'String',
    isList: true,
    description:
      'The preferred language is one of these BCP 47 tags, or a narrower one: "pt" takes "pt-BR" in, "pt-BR" takes "pt" not. Does not hold without a preferred language. `{ language: ["pt", "en-GB"] }`',
  },
  args: listOf(languageSchema),
  words: (languages) => `prefers the language ${toWords(languages)}`,
  toSql: (languages) => sql`exists (
    select from unnest(${languages}::text[]) as wanted (tag)
    where u.preferred_language = wanted.tag or starts_with(u.preferred_language, wanted.tag || '-')
  )`,
  decide: (languages, { preferredLanguage: value }) => ({
    holds: value !== null && languages.some((wanted) => value === wanted || value.startsWith(`${wanted}-`)),
    value,
  }),
});
