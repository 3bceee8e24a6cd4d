import { ineligibility } from '../deliveries/eligibility.ts';
import type { Recipient } from '../generated/prisma/client.ts';
import { Channel } from '../generated/prisma/enums.ts';
import { builder } from '../graphql/builder.ts';
import { relatedConnection, relatedPages } from '../graphql/connection.ts';
import { localId, type NodeType } from '../graphql/global-id.ts';
import type { Loader } from '../graphql/loaders.ts';
import { mayReadUser, visible } from '../graphql/ownership.ts';
import { InstallationObject, installationById } from '../installations/schema.ts';
import { camelCaseKeys, sql } from '../storage/database.ts';
import { ChannelEnum, UserObject, userById } from '../users/schema.ts';

/** A recipient by id. The inbox of a merged user is its survivor's; all its other recipients have moved there. */
export const recipientById: Loader<string, Recipient | null> = {
  async load(db, ids) {
    const rows = await db.$queryRaw<{ asked_id: string }[]>(sql`
      select asked.id as asked_id, r.*
      from recipients asked
      join users u on u.id = asked.user_id
      left join recipients inbox on inbox.user_id = u.merged_into_id and inbox.channel = 'IN_APP'
      join recipients r on r.id = coalesce(inbox.id, asked.id)
      where asked.id = any(${ids}::uuid[])
    `);
    const recipients = new Map(rows.map((row) => [row.asked_id, camelCaseKeys<Recipient>(row)]));
    return ids.map((id) => recipients.get(id) ?? null);
  },
};

const recipientsOfUser = relatedPages<Recipient>({
  from: sql`recipients r`,
  row: sql`r.*`,
  id: sql`r.id`,
  belongs: sql`r.user_id = parent.id`,
});

const isRecipientReachable: Loader<string, boolean> = {
  async load(db, ids) {
    const rows = await db.$queryRaw<{ id: string }[]>(sql`
      select r.id from recipients r left join installations i on i.id = r.installation_id
      where r.id = any(${ids}::uuid[]) and ${ineligibility(sql`false`)} is null
    `);
    const reachable = new Set(rows.map((row) => row.id));
    return ids.map((id) => reachable.has(id));
  },
};

const typeNames = {
  PUSH: 'PushRecipient',
  EMAIL: 'EmailRecipient',
  SMS: 'SmsRecipient',
  // None has it: a WhatsApp goes to the phone of an SMS.
  WHATSAPP: 'SmsRecipient',
  IN_APP: 'InAppRecipient',
} as const satisfies Record<Channel, NodeType>;

/** The types whose ids name a recipient. */
export const recipientTypes: readonly NodeType[] = [...new Set(Object.values(typeNames))];

export const RecipientInterface = builder.interfaceRef<Recipient>('Recipient').implement({
  description: 'One address at which a user can be reached.',
  interfaces: [builder.nodeInterfaceRef()],
  resolveType: (recipient) => typeNames[recipient.channel],
  fields: (t) => ({
    id: t.globalID({
      description: 'Global id: names this object among all of this deployment.',
      resolve: ({ id, channel }) => ({ id, type: typeNames[channel] }),
    }),
    channel: t.expose('channel', { type: ChannelEnum, description: 'By which channel.' }),
    user: t.field({
      type: UserObject,
      description: 'Whose address it is.',
      resolve: async ({ userId }, _, { loaders }) => {
        const user = await loaders.load(userById, userId);
        if (!user) throw new Error('A recipient has no user.');
        return user;
      },
    }),
    language: t.exposeString('language', { nullable: true, description: 'BCP 47 language tag to write in.' }),
    region: t.exposeString('region', { nullable: true, description: 'Region of the address.' }),
    isSubscribed: t.exposeBoolean('isSubscribed', {
      description: 'False: the person has opted out, and nothing is sent here.',
    }),
    consentAt: t.expose('consentAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When `isSubscribed` was last said; null: nobody has said it of this recipient.',
    }),
    consentBy: t.exposeString('consentBy', {
      nullable: true,
      authScopes: { readAll: true },
      description: 'Who said it: `key:<id>` or `installation:<id>`. For server keys.',
    }),
    isReachable: t.boolean({
      description:
        'Whether a message sent now would go out: subscribed, and for a push enabled, allowed and with an address.',
      resolve: ({ id }, _, { loaders }) => loaders.load(isRecipientReachable, id),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was added.' }),
  }),
});

const PushRecipient = builder.objectRef<Recipient>('PushRecipient').implement({
  description: 'An installation as an address.',
  interfaces: [RecipientInterface],
  authScopes: (recipient, context) => mayReadUser(context, recipient.userId),
  fields: (t) => ({
    installation: t.field({
      type: InstallationObject,
      description: 'Where the pushes go.',
      resolve: async ({ installationId }, _, { loaders }) => {
        const installation = installationId === null ? null : await loaders.load(installationById, installationId);
        if (!installation) throw new Error('A push recipient has no installation.');
        return installation;
      },
    }),
  }),
});

const EmailRecipient = builder.objectRef<Recipient>('EmailRecipient').implement({
  description: 'An e-mail address.',
  interfaces: [RecipientInterface],
  authScopes: (recipient, context) => mayReadUser(context, recipient.userId),
  fields: (t) => ({
    email: t.string({ description: 'The address, in lower case.', resolve: ({ address }) => address ?? '' }),
  }),
});

const SmsRecipient = builder.objectRef<Recipient>('SmsRecipient').implement({
  description: 'A phone.',
  interfaces: [RecipientInterface],
  authScopes: (recipient, context) => mayReadUser(context, recipient.userId),
  fields: (t) => ({
    phone: t.string({ description: 'The number, E.164 with "+".', resolve: ({ address }) => address ?? '' }),
  }),
});

const InAppRecipient = builder.objectRef<Recipient>('InAppRecipient').implement({
  description: "A user's inbox.",
  interfaces: [RecipientInterface],
  authScopes: (recipient, context) => mayReadUser(context, recipient.userId),
});

for (const [channel, object] of [
  [Channel.PUSH, PushRecipient],
  [Channel.EMAIL, EmailRecipient],
  [Channel.SMS, SmsRecipient],
  [Channel.IN_APP, InAppRecipient],
] as const) {
  builder.nodeRef(object, {
    id: { resolve: localId },
    loadWithoutCache: async (id, context) => {
      const recipient = await context.loaders.load(recipientById, id);
      // An id that says another type names nothing.
      return recipient?.channel === channel ? visible(context, recipient, ({ userId }) => userId) : null;
    },
  });
}

builder.prismaObjectField(UserObject, 'recipients', (t) =>
  t.connection({
    type: RecipientInterface,
    description: 'The addresses at which the user can be reached, oldest first.',
    resolve: ({ id }, args, { loaders }, info) => relatedConnection(recipientsOfUser, id, { args, loaders, info }),
  }),
);
