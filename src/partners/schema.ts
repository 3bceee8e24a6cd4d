import { AppObject, appById } from '../apps/schema.ts';
import { DomainError } from '../errors.ts';
import type { RegisteredOperation } from '../generated/prisma/client.ts';
import { builder } from '../graphql/builder.ts';
import { loadPage, parsePage, selects, toConnection } from '../graphql/connection.ts';
import { refusedWith } from '../graphql/errors.ts';
import { parseId } from '../graphql/global-id.ts';
import { byId, type Loader } from '../graphql/loaders.ts';
import { principalOf } from '../graphql/principal.ts';
import { SegmentObject, segmentById } from '../segments/schema.ts';
import { sql } from '../storage/database.ts';
import { type NewOperation, registerPartnerOperations } from './register-operations.ts';

/** @default 100 // operations of one call */
const operationsMax = 100;

const operationById: Loader<string, RegisteredOperation | null> = byId((db, ids) =>
  db.registeredOperation.findMany({ where: { id: { in: ids } } }),
);

const ScopeObject = builder
  .objectRef<Pick<RegisteredOperation, 'scopeAppId' | 'scopeSegmentId'>>('OperationScope')
  .implement({
    description: 'Whose people an operation sees only. With both: those who are of the app and in the segment.',
    authScopes: { administer: true },
    fields: (t) => ({
      app: t.field({
        type: AppObject,
        nullable: true,
        description: 'Only users who have an installation of it; null: of any app.',
        resolve: ({ scopeAppId }, _, { loaders }) => (scopeAppId === null ? null : loaders.load(appById, scopeAppId)),
      }),
      segment: t.field({
        type: SegmentObject,
        nullable: true,
        description: 'Only its members; null: of any segment and of none.',
        resolve: ({ scopeSegmentId }, _, { loaders }) =>
          scopeSegmentId === null ? null : loaders.load(segmentById, scopeSegmentId),
      }),
    }),
  });

const PartnerOperationObject = builder.objectRef<RegisteredOperation>('PartnerOperation').implement({
  description: 'A document that a partner may run.',
  authScopes: { administer: true },
  fields: (t) => ({
    id: t.exposeID('documentId', {
      description:
        '`sha256:` and the hash of the document in hex: what the partner sends as `documentId`. Names it among those of its partner.',
    }),
    documentId: t.exposeString('documentId', { description: 'The same as `id`.' }),
    partner: t.string({ description: 'Who may run it.', resolve: ({ partner }) => partner ?? '' }),
    name: t.exposeString('name', { description: "The operation's name; without one, its first field's." }),
    document: t.exposeString('document', { description: 'The text that is run, exactly as it was registered.' }),
    pinnedVariables: t.expose('pinnedVariables', {
      type: 'JSONObject',
      description: 'Variables that have these values, whoever runs it.',
    }),
    isMutationGranted: t.exposeBoolean('isMutationGranted', {
      description: 'Whether it may change anything, if it is a mutation.',
    }),
    scope: t.field({
      type: ScopeObject,
      nullable: true,
      description: 'Whose people it sees only; null: everybody.',
      resolve: (row) => (row.scopeAppId === null && row.scopeSegmentId === null ? null : row),
    }),
    cost: t.exposeInt('cost', { description: 'What it costs at most: its points with full pages.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was registered first.' }),
  }),
});

builder.queryField('partnerOperations', (t) =>
  t.connection({
    type: PartnerOperationObject,
    authScopes: { administer: true },
    description: 'What is registered for a partner, oldest first. For server keys.',
    args: { partner: t.arg.string({ required: true, description: 'As in `createApiKey`.' }) },
    resolve: async (_, { partner, ...args }, { db }, info) => {
      const page = parsePage(args);
      const list = {
        from: sql`registered_operations o`,
        row: sql`o.*`,
        id: sql`o.id`,
        where: sql`o.partner = ${partner}`,
      };
      const found = await loadPage<RegisteredOperation>(db, list, { page, withCount: selects(info, 'totalCount') });
      return toConnection(page, found);
    },
  }),
);

const OperationScopeInput = builder.inputType('OperationScopeInput', {
  description: 'Whose people an operation sees only: at least one of these.',
  fields: (t) => ({
    app: t.id({ description: 'Only users who have an installation of this app. Global id.' }),
    segment: t.id({ description: 'Only members of this segment. Global id.' }),
  }),
});

const PartnerOperationInput = builder.inputType('PartnerOperationInput', {
  description: 'A document with exactly one operation.',
  fields: (t) => ({
    id: t.id({
      description:
        '`sha256:` and the hash of the document in hex, to be sure that it is that one. Default: worked out.',
    }),
    document: t.string({ required: true, description: 'The text. At most 65,536 characters.' }),
    pinnedVariables: t.field({
      type: 'JSONObject',
      description:
        'Values that variables of it have, whoever runs it; others than these are refused then. Needed for a variable inside of the `content` of a message or a template, which may hold placeholders.',
    }),
    scope: t.field({
      type: OperationScopeInput,
      description:
        'Lets it see some people only; all others are as if they did not exist. Without it, a variable that could name a person must be pinned; in a mutation always, as what it changes knows no scope.',
    }),
  }),
});

function toNewOperation(input: typeof PartnerOperationInput.$inferInput, index: number): NewOperation {
  const { scope, ...operation } = input;
  if (!scope) return operation;
  const path = ['operations', String(index), 'scope'];
  return {
    ...operation,
    scope: {
      appId: parseId(scope.app, 'App', [...path, 'app']) ?? null,
      segmentId: parseId(scope.segment, 'Segment', [...path, 'segment']) ?? null,
    },
  };
}

builder.relayMutationField(
  'registerPartnerOperations',
  {
    description: 'What a partner is to be able to run.',
    inputFields: (t) => ({
      partner: t.string({
        required: true,
        description: "As in `createApiKey`: 1 to 100 characters of A-Z, a-z, 0-9, '.', '_', '-'. Needs no key yet.",
      }),
      operations: t.field({
        type: [PartnerOperationInput],
        required: true,
        description:
          'At most 100, and 1,000 of one partner in all. One that is registered already gets these pins, this scope and this grant.',
      }),
      grantMutations: t.boolean({
        required: true,
        defaultValue: false,
        description: 'Whether mutations may be among them.',
      }),
      replaceAll: t.boolean({
        required: true,
        defaultValue: false,
        description: 'Removes what is registered for the partner and not in this list.',
      }),
      idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 24 hours.' }),
    }),
  },
  {
    description:
      'Lets a partner run these documents and nothing else but what was registered before. All of them, or none: each is validated and priced now. Within a second it holds on every gateway.',
    authScopes: { administer: true },
    errors: refusedWith('VALUE_INVALID', 'LIMIT_EXCEEDED', 'NOT_FOUND', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input }, context, { schema }) => {
      const { operations, grantMutations, replaceAll, ...rest } = input;
      if (operations.length > operationsMax) {
        throw new DomainError('LIMIT_EXCEEDED', `At most ${operationsMax} operations at once.`, ['operations']);
      }
      const done = await registerPartnerOperations(context, schema, {
        ...rest,
        operations: operations.map(toNewOperation),
        isMutationGranted: grantMutations,
        isReplacing: replaceAll,
        principal: principalOf(context),
      });
      context.loaders.renew();
      return done;
    },
  },
  {
    description: 'What the partner can run now.',
    outputFields: (t) => ({
      operations: t.field({
        type: [PartnerOperationObject],
        description: 'As they are registered, in the order of the input. One that a later call removed is left out.',
        resolve: async ({ operationIds }, _, { loaders }) =>
          (await loaders.loadMany(operationById, operationIds)).filter((row) => row !== null),
      }),
      removedCount: t.exposeInt('removedCount', { description: 'How many `replaceAll` removed.' }),
    }),
  },
);
