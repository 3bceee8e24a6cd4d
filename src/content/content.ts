import { z } from 'zod';
import type { MessageContent } from '../channels/channel.ts';

/** What a notification keeps of its content, and what every channel renders from. */
export const contentSchema: z.ZodType<MessageContent> = z.object({
  title: z.string().nullable(),
  body: z.string(),
  subtitle: z.string().nullable(),
  icon: z.string().nullable(),
  image: z.string().nullable(),
  url: z.string().nullable(),
  // Not `z.record`, which leaves out `__proto__`: data is the caller's, whatever its keys.
  data: z.custom<Record<string, unknown>>((data) => typeof data === 'object' && data !== null).nullable(),
});
