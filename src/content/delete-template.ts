import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import { sql } from '../storage/database.ts';
import { write } from '../storage/write.ts';
import { findTemplate, type TemplateReference } from './template.ts';

/** A template that is to go. What was sent with it stays. */
export interface TemplateDeletion {
  principal: string;
  template: TemplateReference;
  idempotencyKey?: string | null | undefined;
}

/** @throws DomainError `NOT_FOUND`, `IDEMPOTENCY_KEY_REUSED`. */
export async function deleteTemplate(
  deployment: Deployment,
  { principal, idempotencyKey, ...input }: TemplateDeletion,
): Promise<{ templateId: string }> {
  return write(deployment, { principal, mutation: 'deleteTemplate', idempotencyKey, input }, async (tx) => {
    const template = await findTemplate(tx, input.template, { isLocked: true });
    if (!template) throw new DomainError('NOT_FOUND', 'There is no such template.', ['template']);
    await tx.$executeRaw(sql`delete from templates where id = ${template.id}::uuid`);
    return { templateId: template.id };
  });
}
