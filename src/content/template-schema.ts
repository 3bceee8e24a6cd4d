import type { Template } from '../generated/prisma/client.ts';
import { builder } from '../graphql/builder.ts';
import { loadPage, parsePage, selects, toConnection } from '../graphql/connection.ts';
import { refusedWith } from '../graphql/errors.ts';
import { localId, toLocalId } from '../graphql/global-id.ts';
import { byId, type Loader } from '../graphql/loaders.ts';
import { principalOf } from '../graphql/principal.ts';
import { mayReadAll } from '../graphql/rights.ts';
import { sql } from '../storage/database.ts';
import { contentSchema } from './content.ts';
import { ContentInput, ContentObject, toLocalContent, toTemplateReference } from './content-schema.ts';
import { createTemplate } from './create-template.ts';
import { deleteTemplate } from './delete-template.ts';
import { updateTemplate } from './update-template.ts';

const templateById: Loader<string, Template | null> = byId((db, ids) =>
  db.template.findMany({ where: { id: { in: ids } } }),
);

const TemplateObject = builder.prismaObject('Template', {
  description: 'A content by a name, for sends.',
  authScopes: { readAll: true },
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Unique.' }),
    content: t.field({
      type: ContentObject,
      description: 'What it says, with its placeholders.',
      resolve: ({ content }) => contentSchema.parse(content),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When it was last changed.' }),
  }),
});

builder.nodeRef(TemplateObject, {
  id: { resolve: localId },
  loadWithoutCache: (id, context) => (mayReadAll(context) ? context.loaders.load(templateById, id) : null),
});

builder.queryFields((t) => ({
  template: t.field({
    type: TemplateObject,
    nullable: true,
    authScopes: { readAll: true },
    description: 'A template; null when there is none.',
    args: { id: t.arg.id({ required: true, description: 'Global id.' }) },
    resolve: (_, args, { loaders }) => {
      const id = toLocalId(args.id, 'Template');
      return id === null ? null : loaders.load(templateById, id);
    },
  }),
  templates: t.connection({
    type: TemplateObject,
    authScopes: { readAll: true },
    description: 'All templates, oldest first.',
    resolve: async (_, args, { db }, info) => {
      const page = parsePage(args);
      const list = { from: sql`templates t`, row: sql`t.*`, id: sql`t.id`, where: sql`true` };
      return toConnection(page, await loadPage<Template>(db, list, { page, withCount: selects(info, 'totalCount') }));
    },
  }),
}));

const getTemplate = async (found: Promise<Template | null>): Promise<Template> => {
  const template = await found;
  if (!template) throw new Error('The template that was written is not there.');
  return template;
};

const idempotencyKey = 'Makes a repeat of this call harmless for 24 hours.';

builder.relayMutationField(
  'createTemplate',
  {
    description: 'A new template.',
    inputFields: (t) => ({
      name: t.string({ required: true, description: 'Unique, 1 to 256 characters.' }),
      content: t.field({ type: ContentInput, required: true, description: 'What it says.' }),
      idempotencyKey: t.string({ description: idempotencyKey }),
    }),
  },
  {
    description: 'Makes a template, which sends then say by its name.',
    authScopes: { write: true },
    errors: refusedWith('VALUE_INVALID', 'LIMIT_EXCEEDED', 'NOT_FOUND', 'NAME_TAKEN', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input }, context) => {
      const content = toLocalContent(input.content);
      const made = await createTemplate(context, { ...input, content, principal: principalOf(context) });
      context.loaders.renew();
      return made;
    },
  },
  {
    description: 'The template.',
    outputFields: (t) => ({
      template: t.field({
        type: TemplateObject,
        description: 'As it was made.',
        resolve: ({ templateId }, _, { loaders }) => getTemplate(loaders.load(templateById, templateId)),
      }),
    }),
  },
);

builder.relayMutationField(
  'updateTemplate',
  {
    description: 'What is to change of a template: what is absent stays.',
    inputFields: (t) => ({
      template: t.id({ required: true, description: 'Global id or name.' }),
      name: t.string({ description: 'Unique, 1 to 256 characters.' }),
      content: t.field({ type: ContentInput, description: 'What it says from now on, as a whole.' }),
      idempotencyKey: t.string({ description: idempotencyKey }),
    }),
  },
  {
    description: 'Changes a template. What was sent with it, also what is still to be sent, stays as it was.',
    authScopes: { write: true },
    errors: refusedWith('VALUE_INVALID', 'LIMIT_EXCEEDED', 'NOT_FOUND', 'NAME_TAKEN', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input: { template, ...change } }, context) => {
      const changed = await updateTemplate(context, {
        ...change,
        template: toTemplateReference(template),
        content: change.content && toLocalContent(change.content),
        principal: principalOf(context),
      });
      context.loaders.renew();
      return changed;
    },
  },
  {
    description: 'The template.',
    outputFields: (t) => ({
      template: t.field({
        type: TemplateObject,
        description: 'As it is now.',
        resolve: ({ templateId }, _, { loaders }) => getTemplate(loaders.load(templateById, templateId)),
      }),
    }),
  },
);

builder.relayMutationField(
  'deleteTemplate',
  {
    description: 'Which template.',
    inputFields: (t) => ({
      template: t.id({ required: true, description: 'Global id or name.' }),
      idempotencyKey: t.string({ description: idempotencyKey }),
    }),
  },
  {
    description: 'Removes a template. What was sent with it, also what is still to be sent, stays as it was.',
    authScopes: { write: true },
    errors: refusedWith('NOT_FOUND', 'VALUE_INVALID', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input: { template, ...rest } }, context) => {
      const gone = await deleteTemplate(context, {
        ...rest,
        template: toTemplateReference(template),
        principal: principalOf(context),
      });
      context.loaders.renew();
      return gone;
    },
  },
  {
    description: 'What is gone.',
    outputFields: (t) => ({
      deletedTemplateId: t.globalID({
        description: 'Global id that the template had.',
        resolve: ({ templateId }) => ({ type: 'Template', id: templateId }),
      }),
    }),
  },
);
