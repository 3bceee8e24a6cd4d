import type { Predicate } from './predicate.ts';
import { attribute } from './predicates/attribute.ts';
import { country } from './predicates/country.ts';
import { createdAt } from './predicates/created-at.ts';
import { event } from './predicates/event.ts';
import { hasChannel } from './predicates/has-channel.ts';
import { inSegment } from './predicates/in-segment.ts';
import { installation } from './predicates/installation.ts';
import { isPushReachable } from './predicates/is-push-reachable.ts';
import { language } from './predicates/language.ts';
import { lastSeen } from './predicates/last-seen.ts';
import { noEvent } from './predicates/no-event.ts';
import { standardAttribute } from './predicates/standard-attribute.ts';
import { tag } from './predicates/tag.ts';
import { timeZone } from './predicates/time-zone.ts';
import { topic } from './predicates/topic.ts';
import { userType } from './predicates/user-type.ts';

/** All that a filter can ask of a user. A new one is a file and a line. */
export const predicates: readonly Predicate[] = [
  tag,
  userType,
  language,
  country,
  timeZone,
  standardAttribute,
  attribute,
  createdAt,
  lastSeen,
  topic,
  event,
  noEvent,
  inSegment,
  isPushReachable,
  hasChannel,
  installation,
];
