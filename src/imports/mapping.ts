import { z } from 'zod';
import { findNearMiss } from '../near-miss.ts';
import { fieldNames, findFieldWriter } from './fields.ts';
import { fileRefusal } from './line-draft.ts';

/** What a column of another service's file is. Null: it is left out. */
const columnSchema = z.union([
  z.string(),
  z.null(),
  z.strictObject({
    field: z.string(),
    /** Between the items of a list. */
    separator: z.string().min(1).optional(),
    /** What stands in the file, and what is meant by it; what is not named here is taken as it is. */
    values: z.record(z.string(), z.string()).optional(),
  }),
]);

/** How the columns of another service's file are ours, and what is the same for each of its users. */
export const mappingSchema = z.strictObject({
  columns: z.record(z.string(), columnSchema),
  /** By field: what a record has of which its columns say nothing. */
  fixed: z.record(z.string(), z.string()).default({}),
});

/** In the form of a mapping file. */
export type Mapping = z.infer<typeof mappingSchema>;

/** @throws DomainError `VALUE_INVALID`: it is no mapping, or names a field that there is not. */
export function parseMapping(text: string): Mapping {
  const parsed = mappingSchema.safeParse(parseJson(text));
  if (!parsed.success) {
    const [mistake] = parsed.error.issues;
    const place = mistake && mistake.path.length > 0 ? ` at ${mistake.path.join('.')}` : '';
    throw fileRefusal(`This is no mapping${place}: it is to be { "columns": { "<column>": "<field>" } }.`);
  }
  const { columns, fixed } = parsed.data;
  const fields = Object.values(columns).flatMap((column) =>
    typeof column === 'string' ? column : (column?.field ?? []),
  );
  for (const field of [...fields, ...Object.keys(fixed)]) {
    if (findFieldWriter(field, { types: new Map() }) === null) throw unknownField(field);
  }
  return parsed.data;
}

function unknownField(name: string) {
  const meant = findNearMiss(name, fieldNames);
  const hint =
    meant === null ? `the fields are ${fieldNames.join(', ')} and customAttributes.<name>` : `is it ${meant}?`;
  return fileRefusal(`The mapping names ${JSON.stringify(name)}, which is no field: ${hint}`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
