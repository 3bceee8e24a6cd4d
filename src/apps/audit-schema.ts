import type { AuditEntry } from '../generated/prisma/client.ts';
import { builder } from '../graphql/builder.ts';
import { loadPage, parsePage, selects, toConnection } from '../graphql/connection.ts';
import { parseId } from '../graphql/global-id.ts';
import { sql } from '../storage/database.ts';
import { ApiKeyObject, apiKeyById } from './api-key-schema.ts';

const AuditEntryObject = builder.objectRef<AuditEntry>('AuditEntry').implement({
  description: 'One thing that was done with a key. Entries are added, and never changed or removed.',
  authScopes: { administer: true },
  fields: (t) => ({
    at: t.expose('at', { type: 'DateTime', description: 'When it was done.' }),
    apiKey: t.field({
      type: ApiKeyObject,
      nullable: true,
      description: 'With which key; null when that is not kept any longer.',
      resolve: ({ apiKeyId }, _, { loaders }) => loaders.load(apiKeyById, apiKeyId),
    }),
    action: t.exposeString('action', { description: 'The mutation, or the operation that a dashboard ran.' }),
    subject: t.field({
      type: 'JSONObject',
      nullable: true,
      description: 'Ids of what came out, without their types; null when there were none, or too many to keep.',
      resolve: ({ subject }) => subject,
    }),
  }),
});

builder.queryField('auditLog', (t) =>
  t.connection({
    type: AuditEntryObject,
    authScopes: { administer: true },
    description:
      'What was done with server, dashboard and partner keys, oldest first: `last` for the newest. For server keys.',
    args: { apiKey: t.arg.id({ description: 'Only with this key. Global id.' }) },
    resolve: async (_, { apiKey, ...args }, { db }, info) => {
      const page = parsePage(args);
      const apiKeyId = parseId(apiKey, 'ApiKey', ['apiKey']) ?? null;
      const list = {
        from: sql`audit_entries e`,
        row: sql`e.*`,
        id: sql`e.id`,
        where: apiKeyId === null ? sql`true` : sql`e.api_key_id = ${apiKeyId}::uuid`,
      };
      return toConnection(page, await loadPage<AuditEntry>(db, list, { page, withCount: selects(info, 'totalCount') }));
    },
  }),
);
