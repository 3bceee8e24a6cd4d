import SchemaBuilder from '@pothos/core';
import ErrorsPlugin from '@pothos/plugin-errors';
import PrismaPlugin from '@pothos/plugin-prisma';
import RelayPlugin from '@pothos/plugin-relay';
import ScopeAuthPlugin from '@pothos/plugin-scope-auth';
import { GraphQLError } from 'graphql';
import type PrismaTypes from '../generated/pothos-types.ts';
import { getDatamodel } from '../generated/pothos-types.ts';
import type { Context } from './context.ts';
import { decodeGlobalId } from './global-id.ts';
import { refuseCaller } from './refuse-caller.ts';
import { isInstallation, mayReadAll, mayReadSome, mayWrite } from './rights.ts';

/** Ids of one `nodes`. */
const nodesMax = 100;

/** The one schema builder. Types and fields are added by each concept's `schema.ts`; `schema.ts` here lists them. */
export const builder = new SchemaBuilder<{
  Context: Context;
  PrismaTypes: PrismaTypes;
  DefaultFieldNullability: false;
  Scalars: {
    ID: { Input: string; Output: string };
    DateTime: { Input: Date; Output: Date };
    Date: { Input: Date; Output: Date };
    JSONObject: { Input: Record<string, unknown>; Output: unknown };
    FilterValue: { Input: string | number | boolean; Output: string | number | boolean };
  };
  Connection: { totalCount: () => Promise<number> };
  AuthScopes: {
    /** Everybody, also nobody. */
    anyone: boolean;
    /** A server key. */
    administer: boolean;
    /** Who may change everything but keys and apps: a server key, or an operation of a partner that was granted it. */
    write: boolean;
    /** Who may read everything but keys and exports: server and dashboard keys, and what is registered for a partner. */
    readAll: boolean;
    /** Also who may read some people only; each type asks who (`mayReadUser`). */
    readSome: boolean;
    /** A publishable key. */
    app: boolean;
    /** An installation with a token that has not expired. */
    installation: boolean;
    /** An installation whose token may have expired. */
    formerInstallation: boolean;
  };
}>({
  plugins: [ScopeAuthPlugin, ErrorsPlugin, RelayPlugin, PrismaPlugin],
  defaultFieldNullability: false,
  scopeAuth: {
    authScopes: (context) => ({
      anyone: true,
      administer: context.caller?.kind === 'SERVER',
      write: mayWrite(context),
      readAll: mayReadAll(context),
      readSome: mayReadSome(context),
      app: context.caller?.kind === 'APP',
      installation: isInstallation(context),
      formerInstallation: context.caller?.kind === 'INSTALLATION',
    }),
    unauthorizedError: (_, { caller }) => refuseCaller(caller),
    authorizeOnSubscribe: true,
  },
  errors: {
    directResult: true,
    defaultUnionOptions: {
      name: ({ fieldName }) => `${fieldName.charAt(0).toUpperCase()}${fieldName.slice(1)}Result`,
      description: 'The payload, or why nothing was done.',
    },
  },
  relay: {
    clientMutationId: 'omit',
    decodeGlobalID: decodeGlobalId,
    cursorType: 'String',
    nodesOnConnection: { description: 'The nodes of `edges`, without their cursors.' },
    nodeQueryOptions: {
      description: 'Any object by its global id; null when there is none, or none that this caller may see.',
      args: { id: { description: 'Global id.' } },
      // Each type's `loadWithoutCache` says who may see the object.
      authScopes: { anyone: true },
      nullable: true,
    },
    nodesQueryOptions: {
      description: 'As `node`, for up to 100 ids at once; parallel to them.',
      args: { ids: { description: 'Global ids, 100 at most.' } },
      authScopes: { anyone: true },
      nullable: { list: false, items: true },
      resolve: (_, { ids }, __, ___, resolveNodes) => {
        if (ids.length <= nodesMax) return resolveNodes(ids);
        throw new GraphQLError(`At most ${nodesMax} ids.`, { extensions: { code: 'BAD_USER_INPUT' } });
      },
    },
    nodeTypeOptions: { description: 'Anything that has a global id.' },
    idFieldOptions: { description: 'Global id: names this object among all of this deployment.' },
    pageInfoTypeOptions: { description: 'Where a page stands in its connection.' },
    hasNextPageFieldOptions: { description: 'Whether there is more after this page. Only told when paging forwards.' },
    hasPreviousPageFieldOptions: {
      description: 'Whether there is more before this page. Only told when paging backwards.',
    },
    startCursorFieldOptions: { description: 'Cursor of the first edge; null on an empty page.' },
    endCursorFieldOptions: { description: 'Cursor of the last edge; null on an empty page.' },
    firstArgOptions: { description: 'How many from the front, 1 to 100. Default 20.' },
    lastArgOptions: { description: 'How many from the back, 1 to 100; with `before`, or from the end.' },
    afterArgOptions: { description: 'Only what comes after this cursor.' },
    beforeArgOptions: { description: 'Only what comes before this cursor.' },
    edgesFieldOptions: { description: 'The page, each node with its cursor.' },
    nodeFieldOptions: { description: 'The object.' },
    cursorFieldOptions: { description: 'Where this edge stands; for `after` and `before`.' },
    pageInfoFieldOptions: { description: 'Where this page stands.' },
    defaultConnectionTypeOptions: { description: 'One page of a list.' },
    defaultEdgeTypeOptions: { description: 'One entry of a page.' },
    mutationInputArgOptions: { description: 'What is to be done.', required: true },
  },
  prisma: { client: ({ db }) => db, dmmf: getDatamodel() },
});

builder.queryType({ description: 'What can be asked.' });
builder.mutationType({
  description: 'What can be done. Every mutation answers its payload, or an `Error` that says why nothing was done.',
});
builder.subscriptionType({ description: 'What can be followed, over WebSocket (graphql-transport-ws) or SSE.' });

builder.globalConnectionField('totalCount', (t) =>
  t.int({ description: 'How many there are in all, on every page.', resolve: (connection) => connection.totalCount() }),
);
