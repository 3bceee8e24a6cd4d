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
