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
  data: z.record(z.string(), z.unknown()).nullable(),
});
