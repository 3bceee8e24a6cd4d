import type { DomainError } from '../../errors.ts';
import { IdentifierKind } from '../../generated/prisma/enums.ts';
import { builder } from '../../graphql/builder.ts';
import { ErrorCodeEnum } from '../../graphql/errors.ts';
import { ChannelEnum, toUserReferenceInput, UserObject, UserRefInput, userById } from '../../users/schema.ts';
import { MovedCountsObject } from './merge-record-schema.ts';
import { MergeOverridesInput, toOverrides } from './merge-schema.ts';
import { type MergeOutcome, type MergePreview, optOutsMax, previewMerge } from './preview-merge.ts';

const MergeSourceEnum = builder.enumType('MergeSource', {
  description: 'Of which of the two users something comes.',
  values: {
    SURVIVOR: { description: 'Of who would remain.' },
    MERGED: { description: 'Of the merged user.' },
    BOTH: { description: 'Both have it.' },
  },
});

const IdentifierKindEnum = builder.enumType('IdentifierKind', {
  description: 'What names a user.',
  values: {
    [IdentifierKind.EXTERNAL_USER_ID]: { description: "The id in the app's own back end." },
    [IdentifierKind.EMAIL]: { description: 'An e-mail address.' },
    [IdentifierKind.PHONE]: { description: 'A phone number.' },
  },
});

const MergedAttribute = builder.objectRef<MergeOutcome['attributes'][number]>('MergedAttribute').implement({
  description: 'A value that the one user would have.',
  authScopes: { readAll: true },
  fields: (t) => ({
    name: t.exposeString('name', { description: 'As it is called in `User`, or as the custom attribute is.' }),
    isCustom: t.exposeBoolean('isCustom', { description: 'Whether it is a custom attribute.' }),
    value: t.exposeString('value', { description: 'As text; a list as JSON.' }),
    source: t.expose('source', { type: MergeSourceEnum, description: 'Whose value it is now.' }),
  }),
});

const MergedTag = builder.objectRef<MergeOutcome['tags'][number]>('MergedTag').implement({
  description: 'A tag that the one user would have.',
  authScopes: { readAll: true },
  fields: (t) => ({
    name: t.exposeString('name', { description: 'The tag.' }),
    source: t.expose('source', { type: MergeSourceEnum, description: 'Who has it now.' }),
  }),
});

const MergedIdentifier = builder.objectRef<MergeOutcome['identifiers'][number]>('MergedIdentifier').implement({
  description: 'Something that would name the one user.',
  authScopes: { readAll: true },
  fields: (t) => ({
    kind: t.expose('kind', { type: IdentifierKindEnum, description: 'What it is.' }),
    value: t.exposeString('value', { description: 'In its normal form.' }),
    isAlias: t.exposeBoolean('isAlias', {
      description: 'Of an external user id: it would resolve, but not be the one that is shown.',
    }),
    source: t.expose('source', { type: MergeSourceEnum, description: 'Whom it names now.' }),
  }),
});

const MergedOptOut = builder.objectRef<MergeOutcome['optOuts'][number]>('MergedOptOut').implement({
  description: 'An address to which nothing would be sent.',
  authScopes: { readAll: true },
  fields: (t) => ({
    channel: t.expose('channel', { type: ChannelEnum, description: 'By which channel.' }),
    address: t.exposeString('address', {
      nullable: true,
      description: 'E-mail address, phone, or push registration id; null: the inbox.',
    }),
    source: t.expose('source', { type: MergeSourceEnum, description: 'Who has opted out.' }),
  }),
});

/** Tags of two users, 1,000 each. */
const tagsMax = 2_000;
/** Of two users: 100 e-mail addresses and phones for the one, and external user ids. */
const identifiersCounted = 220;
/** Standard and custom attributes. */
const attributesCounted = 100;

const MergeOutcomeObject = builder.objectRef<MergeOutcome>('MergeOutcome').implement({
  description: 'What would come out of a merge.',
  authScopes: { readAll: true },
  fields: (t) => ({
    attributes: t.field({
      type: [MergedAttribute],
      extensions: { listSizeMax: attributesCounted },
      description: 'Every standard and custom attribute that would have a value.',
      resolve: ({ attributes }) => attributes,
    }),
    tags: t.field({
      type: [MergedTag],
      extensions: { listSizeMax: tagsMax },
      description: 'The united tags.',
      resolve: ({ tags }) => tags,
    }),
    identifiers: t.field({
      type: [MergedIdentifier],
      extensions: { listSizeMax: identifiersCounted },
      description: 'All identifiers, with aliases.',
      resolve: ({ identifiers }) => identifiers,
    }),
    moved: t.field({ type: MovedCountsObject, description: 'What would move.', resolve: ({ moved }) => moved }),
    optOuts: t.field({
      type: [MergedOptOut],
      extensions: { listSizeMax: optOutsMax },
      description: `Where nothing would be sent, as one of the two has opted out: ${optOutsMax} at most.`,
      resolve: ({ optOuts }) => optOuts,
    }),
  }),
});

/** Not an `Error` itself: GraphQL takes a resolved error for a failure. */
type MergeRefusal = Pick<DomainError, 'code' | 'message' | 'inputPath'>;

const MergeRefusalObject = builder.objectRef<MergeRefusal>('MergeRefusal').implement({
  description: 'Why a merge would be refused, as `mergeUsers` would say it.',
  authScopes: { readAll: true },
  fields: (t) => ({
    code: t.field({ type: ErrorCodeEnum, description: 'For programs.', resolve: ({ code }) => code }),
    message: t.exposeString('message', { description: 'For people who write programs.' }),
    path: t.field({
      type: ['String'],
      nullable: true,
      description: 'The argument it is about, and the field in it.',
      resolve: ({ inputPath }) => inputPath && [...inputPath],
    }),
  }),
});

const MergePreviewObject = builder.objectRef<MergePreview>('MergePreview').implement({
  description: 'What `mergeUsers` would do now: either `refusal` or `outcome` is there.',
  authScopes: { readAll: true },
  fields: (t) => ({
    refusal: t.field({
      type: MergeRefusalObject,
      nullable: true,
      description: 'Why it would be refused; null: it would be done.',
      resolve: ({ refusal }) => {
        if (refusal === null) return null;
        const { code, message, inputPath } = refusal;
        return { code, message, inputPath };
      },
    }),
    survivor: t.field({
      type: UserObject,
      nullable: true,
      description: 'Who would remain, as it is now; null when nobody is named.',
      resolve: ({ survivorId }, _, { loaders }) => (survivorId === null ? null : loaders.load(userById, survivorId)),
    }),
    merged: t.field({
      type: UserObject,
      nullable: true,
      description: 'Who would be joined to it, as it is now; null when nobody is named.',
      resolve: ({ mergedId }, _, { loaders }) => (mergedId === null ? null : loaders.load(userById, mergedId)),
    }),
    outcome: t.field({
      type: MergeOutcomeObject,
      nullable: true,
      description: 'What would come out; null when it would be refused.',
      resolve: ({ outcome }) => outcome,
    }),
  }),
});

builder.queryField('previewMerge', (t) =>
  t.field({
    type: MergePreviewObject,
    authScopes: { readAll: true },
    description: 'What `mergeUsers` would do with the same input. Writes nothing.',
    args: {
      survivor: t.arg({ type: UserRefInput, required: true, description: 'Who would remain.' }),
      merged: t.arg({ type: UserRefInput, required: true, description: 'Who would be joined to it.' }),
      allowAlias: t.arg.boolean({
        required: true,
        defaultValue: false,
        description: "With two different external user ids: keep the merged one's as an alias.",
      }),
      overrides: t.arg({
        type: MergeOverridesInput,
        description: "For which attributes the merged user's value would win. Default: none.",
      }),
    },
    resolve: (_, { survivor, merged, allowAlias, overrides }, context) =>
      previewMerge(context, {
        survivor: toUserReferenceInput(survivor),
        merged: toUserReferenceInput(merged),
        allowAlias,
        overrides: toOverrides(overrides),
      }),
  }),
);
