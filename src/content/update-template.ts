import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { write } from '../storage/write.ts';
import { type ContentInput, parseContent } from './parse-content.ts';
import { refuseEndlessTexts } from './refuse-endless-texts.ts';
import { settleContent } from './settle-content.ts';
import { findTemplate, parseContentName, type TemplateReference } from './template.ts';

/** What is to change: what is absent stays. */
export interface TemplateUpdate {
  principal: string;
  template: TemplateReference;
  name?: string | null | undefined;
  /** As a whole. */
  content?: ContentInput | null | undefined;
  idempotencyKey?: string | null | undefined;
}

/**
 * Changes a template. What was sent with it stays as it was.
 *
 * @throws DomainError `NOT_FOUND` (the template, a segment), `VALUE_INVALID`, `LIMIT_EXCEEDED`, `NAME_TAKEN`,
 * `IDEMPOTENCY_KEY_REUSED`.
 */
export async function updateTemplate(deployment: Deployment, request: TemplateUpdate): Promise<{ templateId: string }> {
  const { principal, idempotencyKey, ...input } = request;
  const name = typeof request.name === 'string' ? parseContentName(request.name) : null;
  const content = request.content ? parseContent(request.content) : null;
  if (content) refuseEndlessTexts(content, null, ['content']);
  return write(deployment, { principal, mutation: 'updateTemplate', idempotencyKey, input }, async (tx) => {
    const template = await findTemplate(tx, request.template, { isLocked: true });
    if (!template) throw new DomainError('NOT_FOUND', 'There is no such template.', ['template']);
    if (name !== null) await refuseTakenName(tx, { templateId: template.id, name });
    const labels = content && (await settleContent(tx, content, ['content'])).labels.map((label) => label.name);
    await tx.$executeRaw(sql`
      update templates set
        name = coalesce(${name}, name),
        content = coalesce(${content && JSON.stringify(content)}::jsonb, content),
        label_names = coalesce(${labels}::text[], label_names),
        updated_at = now()
      where id = ${template.id}::uuid
    `);
    return { templateId: template.id };
  });
}

/** Of two that take a name at once, the second meets the unique index, and is repeated. */
async function refuseTakenName(
  tx: Transaction,
  { templateId, name }: { templateId: string; name: string },
): Promise<void> {
  const others = await tx.$queryRaw<unknown[]>(
    sql`select id from templates where name = ${name} and id <> ${templateId}::uuid`,
  );
  if (others.length > 0) throw new DomainError('NAME_TAKEN', 'Another template has this name.', ['name']);
}
