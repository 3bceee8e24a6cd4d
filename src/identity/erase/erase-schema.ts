import { builder } from '../../graphql/builder.ts';
import { refusedWith } from '../../graphql/errors.ts';
import { principalOf } from '../../graphql/principal.ts';
import { refuseCaller } from '../../graphql/refuse-caller.ts';
import { toUserReferenceInput, UserRefInput } from '../../users/schema.ts';
import { eraseUser } from './erase-user.ts';
import { exportUser } from './export-user.ts';

builder.relayMutationField(
  'eraseUser',
  {
    description: 'Who is forgotten.',
    inputFields: (t) => ({
      user: t.field({
        type: UserRefInput,
        required: true,
        description: 'Names the user; whoever was merged into it goes too.',
      }),
      idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 24 hours.' }),
    }),
  },
  {
    description:
      "Forgets a person for good, and everybody who was merged into that person: identifiers, attributes, recipients, installations with their tokens, memberships, merge records, rendered messages. What is queued ends as ERASED, and its ids name nobody from then on. What is left: ids in deliveries, events and the audit log, counts, and keyed hashes of addresses that were opted out, so that an opt-out survives. Texts of notifications are the sender's, and stay.",
    authScopes: { administer: true },
    errors: refusedWith('NOT_FOUND', 'EMAIL_INVALID', 'PHONE_INVALID', 'VALUE_INVALID', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input: { user, idempotencyKey } }, context) => {
      const done = await eraseUser(context, {
        principal: principalOf(context),
        user: toUserReferenceInput(user),
        idempotencyKey,
      });
      context.loaders.renew();
      return done;
    },
  },
  {
    description: 'Who was forgotten.',
    outputFields: (t) => ({
      erasedUser: t.globalID({
        description: 'Global id of the user that there was. It names nobody now.',
        resolve: ({ userId }) => ({ id: userId, type: 'User' }),
      }),
    }),
  },
);

builder.queryField('exportUser', (t) =>
  t.field({
    type: 'JSONObject',
    nullable: true,
    authScopes: { administer: true },
    description:
      'Everything that is known of a user, as one JSON document of one moment: `user`, `mergedUsers`, `identifiers`, `claims`, `recipients` with consent, `installations` with their push addresses, `segments`, `mergeRecords`, `deliveries` with their events, `notifications` (what those say), `renderedMessages`. Ids are those that inputs take. Complete, however long it is. Null when there is no such user. For server keys; it is in the audit log.',
    args: { user: t.arg({ type: UserRefInput, required: true, description: 'Names the user.' }) },
    resolve: (_, { user }, context) => {
      const { caller } = context;
      if (caller?.kind !== 'SERVER') throw refuseCaller(caller);
      return exportUser(context, { apiKeyId: caller.subjectId, user: toUserReferenceInput(user) });
    },
  }),
);
