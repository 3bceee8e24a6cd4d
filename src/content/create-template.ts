import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import { newId } from '../ids.ts';
import { sql } from '../storage/database.ts';
import { write } from '../storage/write.ts';
import { type ContentInput, parseContent } from './parse-content.ts';
import { refuseEndlessTexts } from './refuse-endless-texts.ts';
import { settleContent } from './settle-content.ts';
import { parseContentName } from './template.ts';

/** A new template: a content by a name. */
export interface NewTemplate {
  principal: string;
  name: string;
  content: ContentInput;
  idempotencyKey?: string | null | undefined;
}

/**
 * @throws DomainError `VALUE_INVALID`, `LIMIT_EXCEEDED`, `NOT_FOUND` (a segment that it names), `NAME_TAKEN`,
 * `IDEMPOTENCY_KEY_REUSED`.
 */
export async function createTemplate(deployment: Deployment, request: NewTemplate): Promise<{ templateId: string }> {
  const { principal, idempotencyKey, ...input } = request;
  const name = parseContentName(request.name);
  const content = parseContent(request.content);
  refuseEndlessTexts(content, null, ['content']);
  return write(deployment, { principal, mutation: 'createTemplate', idempotencyKey, input }, async (tx) => {
    const templateId = newId();
    // Labels are read anew at each send: what a template keeps is their names.
    const { labels } = await settleContent(tx, content, ['content']);
    const rows = await tx.$queryRaw<unknown[]>(sql`
      insert into templates (id, name, content, label_names)
      values (
        ${templateId}::uuid, ${name}, ${JSON.stringify(content)}::jsonb, ${labels.map((label) => label.name)}::text[]
      )
      on conflict (name) do nothing
      returning id
    `);
    if (rows.length === 0) throw new DomainError('NAME_TAKEN', 'Another template has this name.', ['name']);
    return { templateId };
  });
}
