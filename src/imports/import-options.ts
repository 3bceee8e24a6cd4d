import { z } from 'zod';
import type { ConvertedTypes } from './fields.ts';
import { type Layout, mappedLayout, ownLayout } from './layout.ts';
import { mappingSchema } from './mapping.ts';
import { oneSignalLayout } from './presets/onesignal.ts';

/** How a file is read, and what its lines do: the same when an import goes on. */
export const importOptionsSchema = z.strictObject({
  format: z.enum(['csv', 'ndjson']),
  /** Between the fields of CSV: one character. */
  delimiter: z.string().length(1),
  preset: z.enum(['carillon', 'onesignal']),
  /** Instead of a preset. */
  mapping: mappingSchema.nullable(),
  /** `OVERRIDE`: attributes that a line does not have are removed. */
  mode: z.enum(['MERGE', 'OVERRIDE']),
  ignoreUnknownColumns: z.boolean(),
});
export type ImportOptions = z.infer<typeof importOptionsSchema>;

/** What the columns of a file are that is read so. */
export function toLayout({ preset, mapping }: ImportOptions, types: ConvertedTypes): Layout {
  if (mapping) return mappedLayout(mapping, types);
  return preset === 'onesignal' ? oneSignalLayout(types) : ownLayout(types);
}

/** The format that a file's name says, packed or not; null: none. */
export function formatOf(fileName: string): ImportOptions['format'] | null {
  const [, extension] = /\.(csv|ndjson|jsonl)(?:\.gz)?$/i.exec(fileName) ?? [];
  if (extension === undefined) return null;
  return extension.toLowerCase() === 'csv' ? 'csv' : 'ndjson';
}
