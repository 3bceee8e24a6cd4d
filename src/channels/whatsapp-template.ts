import { z } from 'zod';

/**
 * A message template that Meta has approved, for who has not written within the last 24 hours: WhatsApp takes no free text
 * then. Named by the key `whatsApp` of a content's data.
 */
const whatsAppTemplateSchema = z.strictObject({
  /** Infobip: its name. Twilio: its ContentSid, `HX…`. */
  template: z.string().min(1).max(512),
  /** Of the template, as it was registered: `en_GB`. Twilio has one ContentSid for each. @default en */
  language: z.string().min(1).max(20).default('en'),
  /** Values of `{{1}}`, `{{2}}` … of its body, in order; none empty. */
  parameters: z.array(z.string().min(1).max(1_024)).max(100).default([]),
});
export type WhatsAppTemplate = z.infer<typeof whatsAppTemplateSchema>;

/** The template that `data` names; null when it names none, undefined when it tries to and cannot be read. Pure. */
export function parseWhatsAppTemplate(data: Record<string, unknown> | null): WhatsAppTemplate | null | undefined {
  if (data === null || !Object.hasOwn(data, 'whatsApp')) return null;
  return whatsAppTemplateSchema.safeParse(data.whatsApp).data;
}

/**
 * Where the template that `data` names cannot be read, as a path within `data`; null: it can, or none is named. Pure.
 *
 * @param isOpen texts that are known later only, and are right until then
 */
export function findWhatsAppMistake(
  data: Record<string, unknown> | null,
  isOpen: (text: string) => boolean,
): string[] | null {
  if (data === null || !Object.hasOwn(data, 'whatsApp')) return null;
  const known = (value: unknown): unknown => {
    if (typeof value === 'string') return isOpen(value) ? 'later' : value;
    return Array.isArray(value) ? value.map(known) : value;
  };
  const { whatsApp } = data;
  const isObject = typeof whatsApp === 'object' && whatsApp !== null && !Array.isArray(whatsApp);
  const given = isObject
    ? Object.fromEntries(Object.entries(whatsApp).map(([key, value]) => [key, known(value)]))
    : whatsApp;
  const issue = whatsAppTemplateSchema.safeParse(given).error?.issues[0];
  return issue ? ['whatsApp', ...issue.path.map(String)] : null;
}
