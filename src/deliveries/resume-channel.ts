import { endPauses } from '../apps/end-pauses.ts';
import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import type { Channel } from '../generated/prisma/enums.ts';
import { sql } from '../storage/database.ts';
import { write } from '../storage/write.ts';
import { listPausesOf } from './pauses-of-app.ts';

/** A channel that is to be used again. */
export interface ResumeRequest {
  principal: string;
  appId: string;
  channel: Channel;
  idempotencyKey?: string | null | undefined;
}

/**
 * Ends the pauses of an app's channel, whatever its provider, the common ones too where they send for it; there need be none. What
 * they have kept waiting is due at once: workers are woken, and hear of it with their next batch. A provider that is still down is
 * paused again.
 *
 * @throws DomainError `NOT_FOUND` (the app), `IDEMPOTENCY_KEY_REUSED`
 */
export async function resumeChannel(deployment: Deployment, request: ResumeRequest): Promise<{ appId: string }> {
  const { principal, idempotencyKey, ...input } = request;
  const { appId, channel } = input;
  return write(deployment, { principal, mutation: 'resumeChannel', idempotencyKey, input }, async (tx) => {
    const [app] = await tx.$queryRaw<unknown[]>(sql`select id from apps where id = ${appId}::uuid for key share`);
    if (!app) throw new DomainError('NOT_FOUND', 'There is no such app.', ['app']);
    const pauses = await listPausesOf(tx, { appId, channel });
    await endPauses(tx, sql`id = any(${pauses.map(({ id }) => id)}::uuid[])`);
    return { appId };
  });
}
