import { z } from 'zod';
import type { MergeRecord, Prisma } from '../../generated/prisma/client.ts';
import { Channel, Gender, IdentifierKind } from '../../generated/prisma/enums.ts';
import { idSchema } from '../../ids.ts';
import { standardAttributes } from '../../users/user-attributes.ts';

// What a merge record keeps, as it is written and as it is read again.

const customAttributesSchema = z.custom<Prisma.JsonObject>(
  (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
);

/** Custom attributes by name, as a column holds them. */
export function parseCustomAttributesColumn(stored: Prisma.JsonValue): Prisma.JsonObject {
  return customAttributesSchema.parse(stored);
}

const text = z.string().nullable();

/** A user's own values. Without what came later than the record. */
const snapshotSchema = z.object({
  displayName: text,
  firstName: text,
  middleName: text,
  lastName: text,
  gender: z.enum(Gender).nullable(),
  birthday: z.coerce.date().nullable(),
  preferredLanguage: text,
  preferredChannel: z.enum(Channel).nullable(),
  timeZone: text,
  country: text,
  region: text,
  pictureUrl: text,
  customAttributes: customAttributesSchema.default({}),
});
export type UserSnapshot = z.infer<typeof snapshotSchema>;

const beforeSchema = z.object({ survivor: snapshotSchema, merged: snapshotSchema });

const identifierSchema = z.object({ kind: z.enum(IdentifierKind), value: z.string() });

/** An inbox's consent as it was. */
const consentSchema = z.object({
  id: idSchema,
  isSubscribed: z.boolean(),
  consentAt: z.coerce.date().nullable(),
  consentBy: z.string().nullable(),
});
export type InboxConsent = z.infer<typeof consentSchema>;

const preferenceSchema = z.object({
  topicId: idSchema,
  channel: z.enum(Channel).nullable(),
  isSubscribed: z.boolean(),
  saidAt: z.coerce.date(),
  saidBy: z.string(),
});

const movedSchema = z.object({
  /** `isAlias`: as the merged user had it. */
  identifiers: z.array(identifierSchema.extend({ isAlias: z.boolean() })),
  /** Whether it was its user's primary one, before and after, and how often it had left a user. */
  installations: z.array(
    z.object({ id: idSchema, wasPrimary: z.boolean(), isPrimary: z.boolean(), departures: z.int() }),
  ),
  /** All but the inbox. */
  recipients: z.array(idSchema),
  /** Memberships. `wasSurvivors`: the survivor had been a member by itself. */
  segments: z.array(z.object({ id: idSchema, addedAt: z.coerce.date(), wasSurvivors: z.boolean() })),
  /** What clients claimed of the merged user. `isNew`: the survivor has got it thereby. */
  claims: z.array(identifierSchema.extend({ isNew: z.boolean() })),
  /** What clients claimed of the survivor, and the merged user is verified to be called. */
  endedClaims: z.array(identifierSchema),
  /** Users that had been merged into the merged one. */
  tombstones: z.array(idSchema),
  /** Standard attributes that the survivor got the merged user's values of. */
  attributes: z.array(z.enum(standardAttributes)),
  /** The same of custom attributes, by name. */
  customAttributes: z.array(z.string()),
  /** Tags that the survivor got. */
  tags: z.array(z.string()),
  /** Where only one of the two had opted out of its inbox: both, as they were. */
  inboxes: z.object({ survivor: consentSchema, merged: consentSchema }).nullable(),
  /** Of topics of which the merged one had said something: what both had, as it was. */
  topicPreferences: z
    .object({ survivor: z.array(preferenceSchema), merged: z.array(preferenceSchema) })
    .nullable()
    .default(null),
});
export type Moved = z.infer<typeof movedSchema>;

/** What the records of earlier versions say: keys without what they were before. */
const earlierMovedSchema = z.object({
  identifiers: z.array(identifierSchema),
  installations: z.array(idSchema),
  recipients: z.array(idSchema),
  segments: z.array(idSchema),
  claims: z.array(identifierSchema).default([]),
});

/** What an undo works on. */
export interface UndoFacts {
  mergedAt: Date;
  survivor: UserSnapshot;
  merged: UserSnapshot;
  moved: Moved;
}

/** What an undo needs of a record; null: an earlier version has written it, and did not keep that. */
export function parseUndoFacts({
  before,
  moved,
  createdAt,
}: Pick<MergeRecord, 'before' | 'moved' | 'createdAt'>): UndoFacts | null {
  const parsed = movedSchema.safeParse(moved);
  if (parsed.success) return { ...beforeSchema.parse(before), moved: parsed.data, mergedAt: createdAt };
  earlierMovedSchema.parse(moved);
  return null;
}

/** How much a merge moves, or has moved. */
export interface MovedCounts {
  identifiers: number;
  installations: number;
  recipients: number;
  segments: number;
  /** Topics of which the merged user has said something. */
  topicPreferences: number;
  /** Users that had been merged into the merged one. */
  tombstones: number;
  /** Standard and custom attributes whose values the survivor gets. */
  attributes: number;
  tags: number;
}

/** What a record's merge has moved, in numbers; of an earlier version's record, what that kept. */
export function countMoved({ moved }: Pick<MergeRecord, 'moved'>): MovedCounts {
  const { data } = movedSchema.safeParse(moved);
  const { identifiers, installations, recipients, segments } = data ?? earlierMovedSchema.parse(moved);
  return {
    identifiers: identifiers.length,
    installations: installations.length,
    recipients: recipients.length,
    segments: segments.length,
    topicPreferences: new Set(data?.topicPreferences?.merged.map(({ topicId }) => topicId)).size,
    tombstones: data?.tombstones.length ?? 0,
    attributes: (data?.attributes.length ?? 0) + (data?.customAttributes.length ?? 0),
    tags: data?.tags.length ?? 0,
  };
}

/** What an undo may find it cannot give back. */
export const leftBehindKinds = [
  'IDENTIFIER',
  'CLAIM',
  'INSTALLATION',
  'SEGMENT',
  'ATTRIBUTE',
  'CUSTOM_ATTRIBUTE',
  'INBOX_CONSENT',
  'TOPIC_PREFERENCE',
] as const;

/** Why: it is nowhere any more, it is another user's by now, or it was changed after the merge. */
export const leftBehindReasons = ['GONE', 'ELSEWHERE', 'CHANGED'] as const;

const leftBehindSchema = z.object({
  kind: z.enum(leftBehindKinds),
  /** An identifier's or claim's value, an attribute's name, an id of an installation, a segment, an inbox or a topic. */
  name: z.string(),
  reason: z.enum(leftBehindReasons),
});
export type LeftBehind = z.infer<typeof leftBehindSchema>;

/** What the undo of a record's merge could not give back; empty as long as it is not undone. */
export function parseLeftBehind({ leftBehind }: Pick<MergeRecord, 'leftBehind'>): LeftBehind[] {
  return z.array(leftBehindSchema).parse(leftBehind ?? []);
}
