import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import { sql } from '../storage/database.ts';
import { write } from '../storage/write.ts';

/** A label that is to go. */
export interface LabelDeletion {
  principal: string;
  name: string;
  idempotencyKey?: string | null | undefined;
}

/**
 * Removes a label. What was accepted before keeps it.
 *
 * @throws DomainError `NOT_FOUND`, `STATE_CONFLICT` (a template names it), `IDEMPOTENCY_KEY_REUSED`.
 */
export async function deleteLabel(deployment: Deployment, request: LabelDeletion): Promise<{ labelId: string }> {
  const { principal, idempotencyKey, ...input } = request;
  const name = request.name.normalize('NFC').trim();
  return write(deployment, { principal, mutation: 'deleteLabel', idempotencyKey, input }, async (tx) => {
    // A template that is being saved holds it for key share: either its use is seen, or it finds no such label.
    const [label] = await tx.$queryRaw<{ id: string }[]>(sql`select id from labels where name = ${name} for update`);
    if (!label) throw new DomainError('NOT_FOUND', 'There is no such label.', ['name']);
    const [template] = await tx.$queryRaw<{ name: string }[]>(sql`
      select name from templates where ${name} = any(label_names) order by id limit 1
    `);
    if (template) throw new DomainError('STATE_CONFLICT', `The template "${template.name}" names it.`, ['name']);
    await tx.$executeRaw(sql`delete from labels where id = ${label.id}::uuid`);
    return { labelId: label.id };
  });
}
