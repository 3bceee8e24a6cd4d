import { DomainError } from '../errors.ts';
import type { Recipient } from '../generated/prisma/client.ts';
import { builder } from '../graphql/builder.ts';
import { refusedWith } from '../graphql/errors.ts';
import { parseId } from '../graphql/global-id.ts';
import { principalOf } from '../graphql/principal.ts';
import { mayWrite } from '../graphql/rights.ts';
import { addRecipient } from '../identity/add-recipient.ts';
import { removeRecipient } from '../identity/remove-recipient.ts';
import { ownInstallationId } from '../installations/schema.ts';
import { toUserReferenceInput, UserObject, UserRefInput, userById } from '../users/schema.ts';
import { RecipientInterface, recipientById, recipientTypes } from './schema.ts';
import { updateRecipient } from './update-recipient.ts';

/**
 * The recipient that a verb has written.
 *
 * @throws DomainError `NOT_FOUND` of one that was removed since: a repeat of the call tells of it still.
 */
async function getRecipient(found: Promise<Recipient | null>): Promise<Recipient> {
  const recipient = await found;
  if (!recipient) throw new DomainError('NOT_FOUND', 'The recipient was removed since.');
  return recipient;
}

builder.relayMutationField(
  'addRecipient',
  {
    description: 'Which address is added, and to whom: `email` or `phone`, exactly one.',
    inputFields: (t) => ({
      user: t.field({ type: UserRefInput, required: true, description: 'Whose address it is.' }),
      create: t.boolean({
        required: true,
        defaultValue: false,
        description:
          'Make a customer, if the reference is an externalUserId, e-mail address or phone that names nobody.',
      }),
      email: t.string({ description: 'E-mail address (RFC 5322).' }),
      phone: t.string({ description: 'Phone number (E.164, with or without "+").' }),
      language: t.string({ description: 'BCP 47 language tag to write in, such as "pt-BR". Null removes it.' }),
      region: t.string({ description: 'Region of the address, at most 255 characters. Null removes it.' }),
      idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 24 hours.' }),
    }),
  },
  {
    description:
      "Adds an e-mail address or a phone to a profile, which names its user from then on. Of one that the user has already, language and region are written. Never undoes an opt-out; never takes another user's address: that is `USER_MERGE_INTERRUPTED`.",
    authScopes: { write: true },
    errors: refusedWith(
      'NOT_FOUND',
      'USER_MERGE_INTERRUPTED',
      'IDENTIFIER_BLOCKED',
      'IDENTIFIER_LIMIT_EXCEEDED',
      'EMAIL_INVALID',
      'PHONE_INVALID',
      'VALUE_INVALID',
      'IDEMPOTENCY_KEY_REUSED',
    ),
    resolve: async (_, { input: { user, ...addition } }, context) => {
      const done = await addRecipient(context, {
        ...addition,
        principal: principalOf(context),
        user: toUserReferenceInput(user),
      });
      context.loaders.renew();
      return done;
    },
  },
  {
    description: 'The recipient.',
    outputFields: (t) => ({
      recipient: t.field({
        type: RecipientInterface,
        description: 'As it is now.',
        resolve: ({ recipientId }, _, { loaders }) => getRecipient(loaders.load(recipientById, recipientId)),
      }),
    }),
  },
);

builder.relayMutationField(
  'updateRecipient',
  {
    description: 'What changes at a recipient. An absent field stays as it is.',
    inputFields: (t) => ({
      recipient: t.id({ required: true, description: 'Global id, of any of the four types of recipients.' }),
      isSubscribed: t.boolean({
        description:
          'False: the person opts out. True: the person subscribes, also after an opt-out. Whenever it is given, who said it and when is kept.',
      }),
      language: t.string({ description: 'BCP 47 language tag to write in, such as "pt-BR". Null removes it.' }),
      region: t.string({ description: 'Region of the address, at most 255 characters. Null removes it.' }),
      idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 24 hours.' }),
    }),
  },
  {
    description:
      "Changes language, region and consent of a recipient. A server key may name any; an installation its own user's. Nothing else than this, with `isSubscribed: true`, ends an opt-out.",
    authScopes: { write: true, installation: true },
    errors: refusedWith('NOT_FOUND', 'VALUE_INVALID', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input: { recipient, ...update } }, context) => {
      const done = await updateRecipient(context, {
        ...update,
        principal: principalOf(context),
        recipientId: parseId(recipient, recipientTypes, ['recipient']),
        installationId: mayWrite(context) ? null : ownInstallationId(context.caller),
      });
      context.loaders.renew();
      return done;
    },
  },
  {
    description: 'The recipient.',
    outputFields: (t) => ({
      recipient: t.field({
        type: RecipientInterface,
        description: "As it is now. For a merged user's inbox: the survivor's.",
        resolve: ({ recipientId }, _, { loaders }) => getRecipient(loaders.load(recipientById, recipientId)),
      }),
    }),
  },
);

builder.relayMutationField(
  'removeRecipient',
  {
    description: 'Which address goes.',
    inputFields: (t) => ({
      recipient: t.id({
        required: true,
        description:
          'Global id of an EmailRecipient or SmsRecipient. A push recipient goes with its installation, an inbox with its user.',
      }),
      idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 24 hours.' }),
    }),
  },
  {
    description:
      'Removes an e-mail address or a phone, which names its user no more. What is queued for it ends as ADDRESS_GONE. Should it come back, by whichever way, an opt-out of it still holds. STATE_CONFLICT when nothing else names the user.',
    authScopes: { write: true },
    errors: refusedWith('NOT_FOUND', 'VALUE_INVALID', 'STATE_CONFLICT', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input: { recipient, idempotencyKey } }, context) => {
      const done = await removeRecipient(context, {
        principal: principalOf(context),
        recipientId: parseId(recipient, recipientTypes, ['recipient']),
        idempotencyKey,
      });
      context.loaders.renew();
      return done;
    },
  },
  {
    description: 'The user without the address.',
    outputFields: (t) => ({
      user: t.field({
        type: UserObject,
        nullable: true,
        description: 'Whose address it was.',
        resolve: ({ userId }, _, { loaders }) => loaders.load(userById, userId),
      }),
    }),
  },
);
