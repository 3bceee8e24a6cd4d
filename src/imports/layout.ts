import { DomainError } from '../errors.ts';
import { isJsonObject } from './csv-records.ts';
import { type ConvertedTypes, type FieldWriter, fieldNames, findFieldWriter } from './fields.ts';
import type { LineDraft } from './line-draft.ts';
import type { Mapping } from './mapping.ts';

/** What a file's columns are. Records are read one after another. */
export interface Layout {
  /** Of one column, or one name of an NDJSON object; null: it is unknown. */
  findColumn(name: string): FieldWriter | null;
  /** What a slip in a name may have meant. */
  knownColumns: readonly string[];
  /** Before a record's columns are read. */
  begin?(draft: LineDraft): void;
  /** When all of them are. */
  finish?(draft: LineDraft): void;
}

/** The columns are our own fields. In NDJSON standard and custom attributes may be in `userAttributes`, as `saveUser` has them. */
export function ownLayout(types: ConvertedTypes): Layout {
  const findField = (name: string) => findFieldWriter(name, { types });
  return {
    findColumn: (name) => (name === 'userAttributes' ? nested(findField) : findField(name)),
    knownColumns: fieldNames,
  };
}

function nested(findField: (name: string) => FieldWriter | null): FieldWriter {
  return (draft, value) => {
    if (!isJsonObject(value)) throw new DomainError('VALUE_INVALID', 'This is no JSON object.', ['userAttributes']);
    for (const [name, inner] of Object.entries(value)) {
      if (inner === null || inner === '') continue;
      const write = findField(name);
      if (!write) throw new DomainError('VALUE_INVALID', 'There is no such field.', ['userAttributes', name]);
      write(draft, inner);
    }
  };
}

/** The columns are what a mapping file says. */
export function mappedLayout({ columns, fixed }: Mapping, types: ConvertedTypes): Layout {
  const writers = new Map(Object.entries(columns).map(([name, column]) => [name, toWriter(column, types)]));
  const always = Object.entries(fixed).map(([field, value]) => ({ write: getFieldWriter(field, { types }), value }));
  return {
    findColumn: (name) => writers.get(name) ?? null,
    knownColumns: [...writers.keys()],
    begin(draft) {
      for (const { write, value } of always) write(draft, value);
    },
  };
}

function toWriter(column: Mapping['columns'][string], types: ConvertedTypes): FieldWriter {
  if (column === null) return leftOut;
  if (typeof column === 'string') return getFieldWriter(column, { types });
  const { field, separator, values } = column;
  const write = getFieldWriter(field, { separator, types });
  if (!values) return write;
  const meant = new Map(Object.entries(values));
  return (draft, value) => {
    const inOurs = meant.get(String(value)) ?? value;
    if (inOurs !== '') write(draft, inOurs);
  };
}

/** A column that is known and left out. */
export const leftOut: FieldWriter = () => undefined;

function getFieldWriter(name: string, options: Parameters<typeof findFieldWriter>[1]): FieldWriter {
  const writer = findFieldWriter(name, options);
  if (!writer) throw new Error('A mapping that was parsed names fields only.');
  return writer;
}
