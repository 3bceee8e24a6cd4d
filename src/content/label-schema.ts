import type { Label } from '../generated/prisma/client.ts';
import { builder } from '../graphql/builder.ts';
import { loadPage, parsePage, selects, toConnection } from '../graphql/connection.ts';
import { refusedWith } from '../graphql/errors.ts';
import { localId } from '../graphql/global-id.ts';
import { byId, type Loader } from '../graphql/loaders.ts';
import { principalOf } from '../graphql/principal.ts';
import { mayReadAll } from '../graphql/rights.ts';
import { toShownFilter } from '../segments/filter.ts';
import { AudienceFilterInput, toLocalFilter } from '../segments/filter-schema.ts';
import { sql } from '../storage/database.ts';
import { type Label as LabelContent, labelCasesSchema } from './content.ts';
import { deleteLabel } from './delete-label.ts';
import { labelCasesMax, saveLabel } from './save-label.ts';

const labelById: Loader<string, Label | null> = byId((db, ids) => db.label.findMany({ where: { id: { in: ids } } }));

const LabelCaseObject = builder.objectRef<LabelContent['cases'][number]>('LabelCase').implement({
  description: 'A value, and for whom.',
  fields: (t) => ({
    filter: t.field({
      type: 'JSONObject',
      description: 'For whom: an `AudienceFilter` in normal form (ids are local ones).',
      resolve: ({ filter }) => toShownFilter(filter),
    }),
    value: t.exposeString('value', { description: 'What the label says then.' }),
  }),
});

const LabelObject = builder.prismaObject('Label', {
  description: 'A named value that depends on the user: `{{ label.name }}` in a text.',
  authScopes: { readAll: true },
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Unique.' }),
    cases: t.field({
      type: [LabelCaseObject],
      description: 'The first that holds for the user says the value.',
      extensions: { listSizeMax: labelCasesMax },
      resolve: ({ cases }) => labelCasesSchema.parse(cases),
    }),
    defaultValue: t.exposeString('defaultValue', { description: 'The value when none holds, or there is no user.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When it was last saved.' }),
  }),
});

builder.nodeRef(LabelObject, {
  id: { resolve: localId },
  loadWithoutCache: (id, context) => (mayReadAll(context) ? context.loaders.load(labelById, id) : null),
});

builder.queryField('labels', (t) =>
  t.connection({
    type: LabelObject,
    authScopes: { readAll: true },
    description: 'All labels, oldest first.',
    resolve: async (_, args, { db }, info) => {
      const page = parsePage(args);
      const list = { from: sql`labels l`, row: sql`l.*`, id: sql`l.id`, where: sql`true` };
      return toConnection(page, await loadPage<Label>(db, list, { page, withCount: selects(info, 'totalCount') }));
    },
  }),
);

const LabelCaseInput = builder.inputType('LabelCaseInput', {
  description: 'A value, and for whom.',
  fields: (t) => ({
    filter: t.field({ type: AudienceFilterInput, required: true, description: 'For whom, when a message is sent.' }),
    value: t.string({ required: true, description: 'What the label says then. At most 4096 characters.' }),
  }),
});

builder.relayMutationField(
  'saveLabel',
  {
    description: 'A label, as a whole.',
    inputFields: (t) => ({
      name: t.string({
        required: true,
        description: 'Unique, 1 to 256 characters. One with blanks is read as `{{ label["first name"] }}`.',
      }),
      cases: t.field({
        type: [LabelCaseInput],
        required: true,
        description: 'The first that holds for the user says the value. At most 50.',
      }),
      defaultValue: t.string({
        description: 'The value when none holds, or there is no user. At most 4096 characters. Default: an empty text.',
      }),
      idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 24 hours.' }),
    }),
  },
  {
    description:
      'Makes a label, or changes the one of that name. What was accepted before, also what is still to be sent, keeps the label as it was then.',
    authScopes: { write: true },
    errors: refusedWith('VALUE_INVALID', 'ATTRIBUTE_INVALID', 'LIMIT_EXCEEDED', 'NOT_FOUND', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input }, context) => {
      const cases = input.cases.map(({ filter, value }, index) => ({
        filter: toLocalFilter(filter, ['cases', String(index), 'filter']),
        value,
      }));
      const saved = await saveLabel(context, { ...input, cases, principal: principalOf(context) });
      context.loaders.renew();
      return saved;
    },
  },
  {
    description: 'The label.',
    outputFields: (t) => ({
      label: t.field({
        type: LabelObject,
        description: 'As it is now.',
        resolve: async ({ labelId }, _, { loaders }) => {
          const label = await loaders.load(labelById, labelId);
          if (!label) throw new Error('The label that was written is not there.');
          return label;
        },
      }),
      created: t.boolean({ description: 'Whether it is a new one.', resolve: ({ isNew }) => isNew }),
    }),
  },
);

builder.relayMutationField(
  'deleteLabel',
  {
    description: 'Which label.',
    inputFields: (t) => ({
      name: t.string({ required: true, description: 'Which label.' }),
      idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 24 hours.' }),
    }),
  },
  {
    description:
      'Removes a label. Refused while a template names it. What was accepted before, also what is still to be sent, keeps it.',
    authScopes: { write: true },
    errors: refusedWith('NOT_FOUND', 'STATE_CONFLICT', 'VALUE_INVALID', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input }, context) => {
      const gone = await deleteLabel(context, { ...input, principal: principalOf(context) });
      context.loaders.renew();
      return gone;
    },
  },
  {
    description: 'What is gone.',
    outputFields: (t) => ({
      deletedLabelId: t.globalID({
        description: 'Global id that the label had.',
        resolve: ({ labelId }) => ({ type: 'Label', id: labelId }),
      }),
    }),
  },
);
