import { DomainError } from '../errors.ts';
import { sql, type Transaction } from '../storage/database.ts';

/** How a caller names a template. */
export interface TemplateReference {
  /** Local id; null: what was given is none. */
  id: string | null;
  /** What was given, as a name. */
  name: string;
}

/** A template's row. */
interface TemplateRow {
  id: string;
  /** As `contentSchema` has it. */
  content: unknown;
}

/** The template of that id, else of that name; null: there is none. */
export async function findTemplate(
  tx: Pick<Transaction, '$queryRaw'>,
  { id, name }: TemplateReference,
  { isLocked = false } = {},
): Promise<TemplateRow | null> {
  const [row] = await tx.$queryRaw<TemplateRow[]>(sql`
    select id, content from templates
    where id = ${id}::uuid or name = ${name.normalize('NFC').trim()}
    order by id = ${id}::uuid desc nulls last
    limit 1
    ${isLocked ? sql`for update` : sql``}
  `);
  return row ?? null;
}

const nameCharactersMax = 256;

/** The name of a template or a label, in Unicode NFC, without blanks around it. @throws DomainError `VALUE_INVALID`. */
export function parseContentName(text: string): string {
  const name = text.normalize('NFC').trim();
  if (name.length > 0 && [...name].length <= nameCharactersMax) return name;
  throw new DomainError('VALUE_INVALID', `A name has 1 to ${nameCharactersMax} characters.`, ['name']);
}
