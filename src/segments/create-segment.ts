import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import { newId } from '../ids.ts';
import { sql } from '../storage/database.ts';
import { write } from '../storage/write.ts';

/** A new, empty static segment. */
export interface NewSegment {
  principal: string;
  name: string;
  description?: string | null | undefined;
  idempotencyKey?: string | null | undefined;
}

const nameCharactersMax = 256;
const descriptionCharactersMax = 4096;

/** @throws DomainError `VALUE_INVALID`, `NAME_TAKEN`, `IDEMPOTENCY_KEY_REUSED`. */
export async function createSegment(deployment: Deployment, request: NewSegment): Promise<{ segmentId: string }> {
  const { principal, idempotencyKey, ...input } = request;
  const name = request.name.normalize('NFC').trim();
  if (name.length === 0 || [...name].length > nameCharactersMax) {
    throw new DomainError('VALUE_INVALID', `A name has 1 to ${nameCharactersMax} characters.`, ['name']);
  }
  const description = request.description ?? null;
  if (description !== null && [...description].length > descriptionCharactersMax) {
    throw new DomainError('VALUE_INVALID', `At most ${descriptionCharactersMax} characters.`, ['description']);
  }
  return write(deployment, { principal, mutation: 'createSegment', idempotencyKey, input }, async (tx) => {
    const rows = await tx.$queryRaw<{ id: string }[]>(sql`
      insert into segments (id, name, description) values (${newId()}::uuid, ${name}, ${description})
      on conflict (name) do nothing
      returning id
    `);
    const [created] = rows;
    if (!created) throw new DomainError('NAME_TAKEN', 'Another segment has this name.', ['name']);
    return { segmentId: created.id };
  });
}
