import { z } from 'zod';
import { idSchema } from '../ids.ts';

/**
 * What is enqueued when deliveries of a FALLBACK notification may have ended, for whoever decides which channel follows
 * (`notifications/fan-out/fall-back.job.ts`).
 */
export const fallBackTask = { name: 'fall-back', payload: z.object({ notificationId: idSchema }) };

/** At most one such job of a notification waits. */
export const fallBackKey = (notificationId: string): string => `fall back ${notificationId}`;
