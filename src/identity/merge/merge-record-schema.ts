import type { MergeRecord } from '../../generated/prisma/client.ts';
import { builder } from '../../graphql/builder.ts';
import { relatedConnection, relatedPages } from '../../graphql/connection.ts';
import { localId, toLocalId } from '../../graphql/global-id.ts';
import { byId, type Loader } from '../../graphql/loaders.ts';
import { mayReadAll } from '../../graphql/rights.ts';
import { sql } from '../../storage/database.ts';
import { UserObject, userById } from '../../users/schema.ts';
import {
  countMoved,
  type LeftBehind,
  leftBehindKinds,
  leftBehindReasons,
  type MovedCounts,
  parseLeftBehind,
} from './merge-record.ts';

/** A merge record by id. */
export const mergeRecordById: Loader<string, MergeRecord | null> = byId((db, ids) =>
  db.mergeRecord.findMany({ where: { id: { in: ids } } }),
);

// Records keep the survivor that they were made for, so those of a survivor's tombstones are its own story too.
const mergeRecordsOfUser = relatedPages<MergeRecord>({
  from: sql`merge_records m`,
  row: sql`m.*`,
  id: sql`m.id`,
  belongs: sql`m.survivor_id in (select id from users where parent.id in (id, merged_into_id))`,
});

/** Whether anybody was merged into a user, and still is. */
const wasMergedById: Loader<string, boolean> = {
  async load(db, ids) {
    const rows = await db.$queryRaw<{ id: string }[]>(sql`
      select asked.id from unnest(${ids}::uuid[]) as asked (id)
      where exists (
        select from merge_records m join users u on u.id = m.survivor_id
        where asked.id in (u.id, u.merged_into_id) and m.reason = 'mergeUsers' and m.undone_at is null
      )
    `);
    const found = new Set(rows.map(({ id }) => id));
    return ids.map((id) => found.has(id));
  },
};

export const MovedCountsObject = builder.objectRef<MovedCounts>('MovedCounts').implement({
  description: 'How much a merge moves to the survivor.',
  authScopes: { readAll: true },
  fields: (t) => ({
    identifiers: t.exposeInt('identifiers', { description: 'External user ids, e-mail addresses and phones.' }),
    installations: t.exposeInt('installations', { description: 'Apps on devices, with their push registrations.' }),
    recipients: t.exposeInt('recipients', { description: 'Recipients; the inbox is not moved, the survivor has one.' }),
    segments: t.exposeInt('segments', { description: 'Memberships, also those that the survivor had already.' }),
    topicPreferences: t.exposeInt('topicPreferences', {
      description: 'Topics of which the merged user has said something. Where either has said no, it stays no.',
    }),
    tombstones: t.exposeInt('tombstones', { description: 'Users that had been merged into the merged one.' }),
    attributes: t.exposeInt('attributes', { description: "Attributes of which the survivor gets the other's value." }),
    tags: t.exposeInt('tags', { description: 'Tags that are new to the survivor.' }),
  }),
});

const kindDescriptions: Record<(typeof leftBehindKinds)[number], string> = {
  IDENTIFIER: 'An external user id, e-mail address or phone.',
  CLAIM: 'What a client claimed that its person is called.',
  INSTALLATION: 'An app on a device, with its push registration.',
  SEGMENT: 'A membership.',
  ATTRIBUTE: "A standard attribute's value: the merged user has its own as it was, and so has the survivor.",
  CUSTOM_ATTRIBUTE: 'The same of a custom attribute.',
  INBOX_CONSENT: 'Whether the inbox is subscribed.',
  TOPIC_PREFERENCE: 'What was said of a topic.',
};

const LeftBehindKindEnum = builder.enumType('LeftBehindKind', {
  description: 'What an undo could not give back.',
  values: Object.fromEntries(leftBehindKinds.map((kind) => [kind, { description: kindDescriptions[kind] }])),
});

const reasonDescriptions: Record<(typeof leftBehindReasons)[number], string> = {
  GONE: 'It was removed since.',
  ELSEWHERE: "It is another user's by now.",
  CHANGED: 'It was changed after the merge, and stays so with the survivor.',
};

const LeftBehindReasonEnum = builder.enumType('LeftBehindReason', {
  description: 'Why it was not given back.',
  values: Object.fromEntries(leftBehindReasons.map((reason) => [reason, { description: reasonDescriptions[reason] }])),
});

export const LeftBehindObject = builder.objectRef<LeftBehind>('LeftBehind').implement({
  description: 'One thing that an undo could not give back to the restored user.',
  authScopes: { readAll: true },
  fields: (t) => ({
    kind: t.expose('kind', { type: LeftBehindKindEnum, description: 'What it is.' }),
    name: t.exposeString('name', {
      description:
        "Which one: an identifier's value, an attribute's name, a push registration id, the id of a segment, of a topic or of the survivor's inbox.",
    }),
    reason: t.expose('reason', { type: LeftBehindReasonEnum, description: 'Why.' }),
  }),
});

/** Entries of `leftBehind` that are counted into an operation's price. More can only be where more has moved. */
export const leftBehindCounted = 100;

export const MergeRecordObject = builder.prismaObject('MergeRecord', {
  description: 'That two users became one: by a merge, or because a lead was absorbed. And whether that was undone.',
  authScopes: { readAll: true },
  fields: (t) => ({
    survivor: t.field({
      type: UserObject,
      nullable: true,
      description: 'Who remained; if merged since, its survivor.',
      resolve: ({ survivorId }, _, { loaders }) => loaders.load(userById, survivorId),
    }),
    mergedUserId: t.globalID({
      description: 'Global id of the user that was merged. It names the survivor until the merge is undone.',
      resolve: ({ mergedId }) => ({ id: mergedId, type: 'User' }),
    }),
    mutation: t.exposeString('reason', { description: 'The mutation that did it: `mergeUsers` or `personalize`.' }),
    actor: t.exposeString('actor', { description: 'Who asked for it, such as `key:<id>` or `installation:<id>`.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the two became one.' }),
    moved: t.field({ type: MovedCountsObject, description: 'What moved, in numbers.', resolve: countMoved }),
    undoneAt: t.expose('undoneAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When `unmergeUsers` undid it; null: it did not.',
    }),
    undoneBy: t.exposeString('undoneBy', { nullable: true, description: 'Who asked for the undo.' }),
    leftBehind: t.field({
      type: [LeftBehindObject],
      extensions: { listSizeMax: leftBehindCounted },
      description: 'What the undo could not give back. Empty before it.',
      resolve: parseLeftBehind,
    }),
  }),
});

builder.nodeRef(MergeRecordObject, {
  id: { resolve: localId },
  loadWithoutCache: (id, context) => (mayReadAll(context) ? context.loaders.load(mergeRecordById, id) : null),
});

builder.queryField('mergeRecord', (t) =>
  t.field({
    type: MergeRecordObject,
    nullable: true,
    authScopes: { readAll: true },
    description: 'A merge record; null when there is none.',
    args: { id: t.arg.id({ required: true, description: 'Global id.' }) },
    resolve: (_, args, { loaders }) => {
      const id = toLocalId(args.id, 'MergeRecord');
      return id === null ? null : loaders.load(mergeRecordById, id);
    },
  }),
);

builder.prismaObjectFields(UserObject, (t) => ({
  mergeRecords: t.connection({
    type: MergeRecordObject,
    authScopes: { readAll: true },
    description:
      'What was merged into this user, or into one who was merged into it, oldest first; also what was undone. For server keys.',
    resolve: ({ id }, args, { loaders }, info) => relatedConnection(mergeRecordsOfUser, id, { args, loaders, info }),
  }),
  wasMerged: t.boolean({
    description:
      'Whether another user was merged into this one (`mergeUsers`), and still is: whoever asked by the id of the merged one gets this one. Absorbed leads do not count.',
    resolve: ({ id }, _, { loaders }) => loaders.load(wasMergedById, id),
  }),
}));
