import { z } from 'zod';
import { userReferenceSchema } from '../identity/user-reference.ts';

/** What a notification keeps of its target: the expression, in normal form. Who that is, is decided at fan-out. */
export const targetSchema = z.object({
  users: z.array(userReferenceSchema),
  installations: z.array(z.uuid()),
  segments: z.array(z.uuid()),
});
export type Target = z.infer<typeof targetSchema>;

/**
 * Where a fan-out goes on: the references first, as one page, then the members of the segments by user id, then those whom
 * a merge has made members meanwhile.
 */
export const fanOutCursorSchema = z.discriminatedUnion('phase', [
  z.object({ phase: z.literal('references') }),
  z.object({ phase: z.literal('segments'), after: z.uuid().nullable() }),
  z.object({ phase: z.literal('merged'), after: z.uuid().nullable() }),
]);
export type FanOutCursor = z.infer<typeof fanOutCursorSchema>;
