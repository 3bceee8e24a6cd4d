import { DomainError } from '../errors.ts';
import { findNearMiss } from '../near-miss.ts';
import { findVariablesMistake } from '../operations/text-mistake.ts';
import type { FieldWriter } from './fields.ts';
import { type Layout, leftOut } from './layout.ts';
import { fileRefusal, type LineDraft, newLineDraft } from './line-draft.ts';

/** Reads the fields of a record. @throws DomainError for what is no value of its field. */
export type RecordReader<Content> = (content: Content) => LineDraft;

/**
 * Reads CSV records under this header.
 *
 * @throws DomainError `VALUE_INVALID` when two columns have one name, or one is unknown and `ignoresUnknown` is false.
 */
export function toCsvReader(
  header: readonly string[],
  layout: Layout,
  { ignoresUnknown }: { ignoresUnknown: boolean },
): RecordReader<readonly string[]> {
  const names = header.map((name) => name.trim());
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw fileRefusal(`Two columns are called ${JSON.stringify(twice)}.`);
  const writers = names.map((name): FieldWriter => {
    const writer = layout.findColumn(name);
    if (writer) return writer;
    if (ignoresUnknown) return leftOut;
    throw fileRefusal(`The column ${JSON.stringify(name)} is unknown: ${hint(name, layout)}`);
  });
  return (fields) => {
    if (fields.length !== writers.length) {
      const message = `The header has ${writers.length} fields, and this record ${fields.length}.`;
      throw new DomainError('VALUE_INVALID', message, []);
    }
    const draft = newLineDraft();
    layout.begin?.(draft);
    for (let index = 0; index < fields.length; index += 1) {
      const field = fields[index];
      if (field) writers[index]?.(draft, field);
    }
    layout.finish?.(draft);
    return draft;
  };
}

function hint(name: string, { knownColumns }: Layout): string {
  const meant = findNearMiss(name, knownColumns);
  const question = meant === null ? '' : `is it ${JSON.stringify(meant)}? Else `;
  return `${question}map it, or leave unknown ones out by --ignore-unknown-columns.`;
}

/** Names in objects whose writers are kept. @default 1_000 */
const cachedNamesMax = 1_000;

/** Reads NDJSON records. A name that is unknown refuses its record, unless `ignoresUnknown`. Null is as good as absent. */
export function toJsonReader(
  layout: Layout,
  { ignoresUnknown }: { ignoresUnknown: boolean },
): RecordReader<Readonly<Record<string, unknown>>> {
  const known = new Map<string, FieldWriter | null>();
  const findColumn = (name: string): FieldWriter | null => {
    const found = known.get(name) ?? layout.findColumn(name);
    if (known.size < cachedNamesMax) known.set(name, found);
    return found;
  };
  return (object) => {
    const mistake = findVariablesMistake(object);
    if (mistake !== null) throw new DomainError('VALUE_INVALID', `A line ${mistake}.`, []);
    const draft = newLineDraft();
    layout.begin?.(draft);
    for (const [name, value] of Object.entries(object)) {
      const writer = findColumn(name);
      if (!writer && !ignoresUnknown) throw new DomainError('VALUE_INVALID', 'There is no such field.', [name]);
      if (value !== null && value !== '') writer?.(draft, value);
    }
    layout.finish?.(draft);
    return draft;
  };
}
