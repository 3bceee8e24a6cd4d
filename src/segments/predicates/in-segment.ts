import { idSchema } from '../../ids.ts';
import { definePredicate } from '../predicate.ts';

/** Is a member of another segment. */
export const inSegment = definePredicate({
  name: 'inSegment',
  argument: {
    type: 'SegmentId',
    description:
      'The user is in this segment, static or dynamic. Global id: `{ inSegment: "U2VnbWVudDox" }`. A dynamic segment cannot name itself, also not through others; at most 16 name each other in a row, with at most 20,000 conditions, groups and values in all.',
  },
  args: idSchema,
  words: (id) => `is in the segment ${id}`,
  segmentId: (id) => id,
  toSql: (id, scope) => scope.toMemberSql(id),
  decide: (id, person, scope) => scope.decideMember(id, person),
  toInstallationSql: (id, scope) => scope.toInstallationSql(id),
});
