import { DomainError } from '../errors.ts';
import { readFilter } from '../segments/filter.ts';
import { segmentsNamedBy } from '../segments/known-segments.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { compileContent, listTexts } from './compile-content.ts';
import { type Content, contentSchema, type Label, labelCasesSchema } from './content.ts';
import { parseText } from './liquid.ts';
import { toNamedValues } from './names.ts';
import { type ContentInput, parseContent } from './parse-content.ts';
import { findTemplate, type TemplateReference } from './template.ts';

type Reader = Pick<Transaction, '$queryRaw'>;

/** What a caller wants said: exactly one of both. */
export interface SaidInput {
  content?: ContentInput | null | undefined;
  template?: TemplateReference | null | undefined;
}

/** What is to be said, as far as it is known without the database. */
export type Said = { content: Content } | { template: TemplateReference };

/** @throws DomainError `VALUE_INVALID`, `LIMIT_EXCEEDED` */
export function parseSaid({ content, template }: SaidInput): Said {
  if (content && template)
    throw new DomainError('VALUE_INVALID', 'Give a template or content, not both.', ['template']);
  if (content) return { content: parseContent(content) };
  if (template) return { template };
  throw new DomainError('VALUE_INVALID', 'Say what is to be said: give a template or content.', ['content']);
}

/**
 * The content as it is from now on, whatever becomes of its template and its labels: with the labels that its texts name. Its
 * segments exist, and are not deleted before the commit of `tx`; from then on the notification keeps them.
 *
 * @throws DomainError `NOT_FOUND` (a template, a segment), `VALUE_INVALID` (a label that there is not)
 */
export async function freezeContent(tx: Reader, said: Said): Promise<Content> {
  if ('content' in said) return settleContent(tx, said.content, ['content']);
  const template = await findTemplate(tx, said.template);
  if (!template) throw new DomainError('NOT_FOUND', 'There is no such template.', ['template']);
  return settleContent(tx, contentSchema.parse(template.content), ['template']);
}

/** A content with the labels that its texts name; of a template's, `path` leads to the template. Holds what it uses. */
export async function settleContent(tx: Reader, content: Content, path: readonly string[]): Promise<Content> {
  const labels = await holdLabels(tx, content, path);
  const ofVariations = content.variations.map(({ segment }) => segment);
  const ofLabels = labels.flatMap(({ cases }) => cases.flatMap(({ filter }) => segmentsNamedBy(readFilter(filter))));
  const known = await holdSegments(tx, [...ofVariations.filter((id) => id !== null), ...ofLabels]);
  const missing = ofVariations.findIndex((id) => id !== null && !known.has(id));
  if (missing >= 0) {
    const at = [...path, 'variations', String(missing), 'segment'];
    throw new DomainError('NOT_FOUND', 'There is no such segment.', at);
  }
  return { ...content, labels };
}

async function holdSegments(tx: Reader, ids: readonly string[]): Promise<ReadonlySet<string>> {
  if (ids.length === 0) return new Set();
  const rows = await tx.$queryRaw<{ id: string }[]>(sql`
    select id from segments where id = any(${[...ids]}::uuid[]) order by id for key share
  `);
  return new Set(rows.map(({ id }) => id));
}

async function holdLabels(tx: Reader, content: Content, path: readonly string[]): Promise<Label[]> {
  const { labels: names } = compileContent({ ...content, labels: [] }).named;
  if (names.length === 0) return [];
  const rows = await tx.$queryRaw<{ name: string; cases: unknown; default_value: string }[]>(sql`
    select name, cases, default_value from labels where name = any(${[...names]}::text[]) order by id for key share
  `);
  const missing = names.find((name) => !rows.some((row) => row.name === name));
  if (missing !== undefined) {
    const at = [...path, ...(pathOfLabel(content, missing) ?? [])];
    throw new DomainError('VALUE_INVALID', `There is no label "${missing}".`, at);
  }
  return rows.map(({ name, cases, default_value: defaultValue }) => ({
    name,
    cases: labelCasesSchema.parse(cases),
    defaultValue,
  }));
}

/** Where a content names a label first. */
function pathOfLabel(content: Content, name: string): readonly string[] | undefined {
  return listTexts(content).find(({ text }) => toNamedValues(parseText(text).paths).labels.includes(name))?.path;
}
