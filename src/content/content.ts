import { z } from 'zod';
import type { MessageButton, MessageContent } from '../channels/channel.ts';
import { idSchema } from '../ids.ts';

/** http or https where it holds no placeholders. */
const url = z.string().nullable();
const buttonSchema: z.ZodType<MessageButton> = z.object({ label: z.string(), url, action: z.string().nullable() });

/** What may be said, field by field. Not `z.record` for data, which leaves out `__proto__`: data is the caller's, whatever its keys. */
const fields = {
  title: z.string().nullable(),
  body: z.string(),
  subtitle: z.string().nullable(),
  icon: url,
  image: url,
  url,
  buttons: z.array(buttonSchema),
  data: z.custom<Record<string, unknown>>((data) => typeof data === 'object' && data !== null).nullable(),
};

/** What a variation says otherwise. */
export const otherFieldsSchema = z.object(fields).partial();

const variationSchema = z.object({
  /** BCP 47; null: any. */
  language: z.string().nullable(),
  /** Id of a segment; null: anybody. */
  segment: idSchema.nullable(),
  /** What is said otherwise; what is absent is said as to everybody. */
  fields: otherFieldsSchema,
});
/** What is said to some instead. */
export type Variation = z.infer<typeof variationSchema>;

const labelSchema = z.object({
  name: z.string(),
  /** The first whose filter (as `segments/filter.ts` stores one) holds for the user says the value. */
  cases: z.array(z.object({ filter: z.record(z.string(), z.unknown()), value: z.string() })),
  /** When none holds, or there is no user. */
  defaultValue: z.string(),
});
/** A named value that depends on the user. */
export type Label = z.infer<typeof labelSchema>;

/** The cases of a label in its row. */
export const labelCasesSchema = labelSchema.shape.cases;

/**
 * What a notification, and a template, keeps of its content: the texts with their placeholders. `labels` are those that the texts
 * name, as they were when a notification was accepted; a template has none.
 */
export const contentSchema = z.object({
  ...fields,
  buttons: fields.buttons.default([]),
  variations: z.array(variationSchema).default([]),
  labels: z.array(labelSchema).default([]),
});
export type Content = z.infer<typeof contentSchema>;

/** Not `z.record`, which leaves out `__proto__`. */
const valuesSchema = z.custom<Record<string, unknown>>((values) => typeof values === 'object').nullish();

/** What a notification keeps for the placeholders of its texts, beside its content. */
export const sendValuesSchema = z.object({
  data: valuesSchema,
  /** The event that it is sent for, `{ name, properties }`. */
  event: z.object({ properties: valuesSchema }).nullish(),
});

/** What is said to whom a variation is for; null: to everybody else. Pure. */
export function fieldsOf(content: Content, variation: number | null): MessageContent {
  const { variations, labels: _, ...said } = content;
  return { ...said, ...(variation === null ? {} : variations[variation]?.fields) };
}
