import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import { newId } from '../ids.ts';
import { sql } from '../storage/database.ts';
import { write } from '../storage/write.ts';
import { parseName } from './name.ts';

/** A new app. */
export interface NewApp {
  principal: string;
  name: string;
  idempotencyKey?: string | null | undefined;
}

/**
 * Makes an app with nothing in it: only its back end may say who its users are, and no web page may call for it yet.
 *
 * @throws DomainError `VALUE_INVALID`, `NAME_TAKEN`, `IDEMPOTENCY_KEY_REUSED`.
 */
export async function createApp(deployment: Deployment, request: NewApp): Promise<{ appId: string }> {
  const { principal, idempotencyKey, ...input } = request;
  const name = parseName(request.name);
  return write(deployment, { principal, mutation: 'createApp', idempotencyKey, input }, async (tx) => {
    const [created] = await tx.$queryRaw<{ id: string }[]>(sql`
      insert into apps (id, name) values (${newId()}::uuid, ${name})
      on conflict (name) do nothing
      returning id
    `);
    if (!created) throw new DomainError('NAME_TAKEN', 'Another app has this name.', ['name']);
    return { appId: created.id };
  });
}
