import { z } from 'zod';
import { userReferenceSchema } from '../../identity/user-reference.ts';
import { idSchema } from '../../ids.ts';
import { type Filter, readFilter } from '../../segments/filter.ts';

/**
 * What a notification keeps of its target: the expression, in normal form. Who that is, is decided at fan-out; so is what the
 * filter of a segment says that is named in it.
 */
export const targetSchema = z.object({
  users: z.array(userReferenceSchema),
  installations: z.array(idSchema),
  segments: z.array(idSchema),
  excludeSegments: z.array(idSchema).default([]),
  /** Who is subscribed to it. */
  topic: idSchema.nullable().default(null),
  /** As `segments/filter.ts` stores one. */
  filter: z.record(z.string(), z.unknown()).nullable().default(null),
  /** All users there are: a broadcast. */
  everyone: z.boolean().default(false),
  /** At most so many users and installations; null: all that are meant. */
  limit: z.int().min(1).nullable().default(null),
  /** Push only to installations of these apps; empty: of any. */
  apps: z.array(idSchema).default([]),
  /** Only what was subscribed then or later … */
  subscribedFrom: z.iso.datetime().nullable().default(null),
  /** … and before this. */
  subscribedTo: z.iso.datetime().nullable().default(null),
  /** Push to one installation of each user. */
  onePerUser: z.boolean().default(false),
});
export type Target = z.infer<typeof targetSchema>;

/** Whom a target means beside those whom it names one by one. Null: nobody. */
export function toAudienceFilter({ segments, excludeSegments, topic, filter, everyone }: Target): Filter | null {
  const subscribed = topic === null ? [] : [{ topic }];
  const included = [...segments.map(inSegment), ...subscribed, ...(filter === null ? [] : [filter])];
  if (included.length === 0 && !everyone) return null;
  const anyOf = everyone ? [] : [{ any: included }];
  return readFilter({ all: [...anyOf, ...excludeSegments.map((id) => ({ not: inSegment(id) }))] });
}

/** Those of some whom a target does not mean after all. Null: there are none. */
export function toExcludedFilter({ excludeSegments }: Target): Filter | null {
  return excludeSegments.length === 0 ? null : readFilter({ any: excludeSegments.map(inSegment) });
}

const inSegment = (id: string) => ({ inSegment: id });

/** How many users and installations a fan-out has taken so far, where a target has a limit. */
const taken = z.int().default(0);

/**
 * Where a fan-out goes on: the references first, as one page, then those in the segments and under the filter by user id, then
 * those whom a merge has made such meanwhile.
 */
export const fanOutCursorSchema = z.discriminatedUnion('phase', [
  z.object({ phase: z.literal('references'), taken }),
  z.object({ phase: z.literal('segments'), after: idSchema.nullable(), taken }),
  z.object({ phase: z.literal('merged'), after: idSchema.nullable(), taken }),
]);
export type FanOutCursor = z.infer<typeof fanOutCursorSchema>;
