import type { MessageContent } from '../channels/channel.ts';
import { contentSchema } from '../deliveries/content.ts';
import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import type { Channel, Purpose } from '../generated/prisma/enums.ts';
import { parseUserReference, type UserReferenceInput } from '../identity/user-reference.ts';
import { isUuid, newId } from '../ids.ts';
import { addJob } from '../queue/job.ts';
import { parseKnownFilter } from '../segments/segment-filter.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { write } from '../storage/write.ts';
import { isHttpUrl } from '../users/user-attributes.ts';
import { fanOutJob, fanOutKey } from './fan-out.job.ts';
import type { Target } from './target.ts';

/** What a caller wants said, and to whom. */
export interface SendRequest {
  principal: string;
  content: ContentInput;
  target: TargetInput;
  channels?: readonly Channel[] | null | undefined;
  targetOnlyPrimaryDevices: boolean;
  purpose?: Purpose | null | undefined;
  /** @default 172_800 // 48 hours */
  ttlSeconds?: number | null | undefined;
  idempotencyKey?: string | null | undefined;
}

export interface ContentInput {
  title?: string | null | undefined;
  body: string;
  subtitle?: string | null | undefined;
  icon?: string | null | undefined;
  image?: string | null | undefined;
  url?: string | null | undefined;
  data?: Record<string, unknown> | null | undefined;
}

export interface TargetInput {
  users?: readonly UserReferenceInput[] | null | undefined;
  installations?: readonly string[] | null | undefined;
  segments?: readonly string[] | null | undefined;
  excludeSegments?: readonly string[] | null | undefined;
  /** As the schema lets it in (`AudienceFilter`), with local ids. */
  filter?: unknown;
}

// product.md, "Limits to enforce": TTL 30 s to 72 h, default 48 h; a bulk call names 1,000 users at most.
const ttlSecondsMin = 30;
const ttlSecondsMax = 72 * 3600;
const ttlSecondsDefault = 48 * 3600;
/** Users and installations that a target names. @default 1_000 */
export const referencesMax = 1_000;
/** @default 100 // segments of a target, and as many that it leaves out */
export const segmentsMax = 100;
/** The content as JSON. @default 65_536 // bytes */
const contentBytesMax = 65_536;
const idempotencyKeptHours = 30 * 24;

/**
 * Accepts a notification: content and target are frozen, the work is enqueued, and the answer comes at once. Who the
 * target is, is decided when it is fanned out.
 *
 * @throws DomainError `TARGET_EMPTY`, `LIMIT_EXCEEDED`, `VALUE_INVALID`, `EMAIL_INVALID`, `PHONE_INVALID`, `NOT_FOUND`
 * (a segment), `ATTRIBUTE_INVALID` (in a filter), `IDEMPOTENCY_KEY_REUSED`; nothing is sent then.
 */
export async function sendNotification(
  deployment: Deployment,
  request: SendRequest,
): Promise<{ notificationId: string }> {
  const { principal, idempotencyKey, ...input } = request;
  const content = parseContent(request.content);
  const named = parseTarget(request.target);
  const ttlSeconds = parseTtl(request.ttlSeconds ?? ttlSecondsDefault);
  const channels = [...new Set(request.channels ?? [])];
  if (request.channels && channels.length === 0) {
    throw new DomainError('VALUE_INVALID', 'Name a channel, or leave the field out.', ['channels']);
  }
  if (named.installations.length > 0 && channels.length > 0 && !channels.includes('PUSH')) {
    throw new DomainError('VALUE_INVALID', 'Installations are reached by PUSH only.', ['channels']);
  }
  const about = { principal, mutation: 'sendNotification', idempotencyKey, input, keptHours: idempotencyKeptHours };
  return write(deployment, about, async (tx) => {
    await refuseUnknownSegments(tx, named.segments, ['target', 'segments']);
    await refuseUnknownSegments(tx, named.excludeSegments, ['target', 'excludeSegments']);
    const { filter } = request.target;
    const hasFilter = filter !== null && filter !== undefined;
    const target: Target = {
      ...named,
      filter: hasFilter ? await parseKnownFilter(tx, filter, ['target', 'filter']) : null,
    };
    const id = newId();
    await tx.$executeRaw(sql`
      insert into notifications (
        id, content, target, channels, target_only_primary_devices, purpose, created_by, expires_at, fan_out_cursor,
        fan_out_claim_expires_at
      ) values (
        ${id}::uuid, ${JSON.stringify(content)}::jsonb, ${JSON.stringify(target)}::jsonb, ${channels}::channel[],
        ${request.targetOnlyPrimaryDevices}, ${request.purpose ?? 'TRANSACTIONAL'}::purpose, ${principal},
        now() + make_interval(secs => ${ttlSeconds}), '{"phase":"references"}', now() + interval '1 minute'
      )
    `);
    await addJob(tx, fanOutJob, { notificationId: id }, { key: fanOutKey(id) });
    return { notificationId: id };
  });
}

function parseContent(input: ContentInput): MessageContent {
  const { title, body, subtitle, icon, image, url, data } = input;
  if (body.trim() === '')
    throw new DomainError('VALUE_INVALID', 'There is nothing to say: the body is empty.', ['content', 'body']);
  for (const [name, value] of Object.entries({ icon, image, url })) {
    if (typeof value === 'string' && !isHttpUrl(value)) {
      throw new DomainError('VALUE_INVALID', 'Not an http or https URL.', ['content', name]);
    }
  }
  const content = contentSchema.parse({
    title: title ?? null,
    body,
    subtitle: subtitle ?? null,
    icon: icon ?? null,
    image: image ?? null,
    url: url ?? null,
    data: data ?? null,
  });
  if (Buffer.byteLength(JSON.stringify(content)) > contentBytesMax) {
    throw new DomainError('LIMIT_EXCEEDED', `The content has more than ${contentBytesMax} bytes.`, ['content']);
  }
  return content;
}

/** What a target names. An empty one is refused (rule N7), and so is one that only leaves people out. */
function parseTarget(target: TargetInput): Omit<Target, 'filter'> {
  const { users, installations, segments, excludeSegments, filter } = target;
  const count = (users?.length ?? 0) + (installations?.length ?? 0);
  const hasFilter = filter !== null && filter !== undefined;
  if (count + (segments?.length ?? 0) === 0 && !hasFilter) {
    throw new DomainError('TARGET_EMPTY', 'Name users, installations or segments, or give a filter.', ['target']);
  }
  if (count > referencesMax || [segments, excludeSegments].some((ids) => (ids?.length ?? 0) > segmentsMax)) {
    const limit = `A target names at most ${referencesMax} users and installations and ${segmentsMax} segments.`;
    throw new DomainError('LIMIT_EXCEEDED', limit, ['target']);
  }
  return {
    users: (users ?? []).map((user, index) => parseUserReference(user, ['target', 'users', String(index)])),
    installations: parseIds(installations ?? [], ['target', 'installations']),
    segments: parseIds(segments ?? [], ['target', 'segments']),
    excludeSegments: parseIds(excludeSegments ?? [], ['target', 'excludeSegments']),
  };
}

function parseIds(ids: readonly string[], path: readonly string[]): string[] {
  return ids.map((id, index) => {
    if (isUuid(id)) return id.toLowerCase();
    throw new DomainError('VALUE_INVALID', 'This is not an id.', [...path, String(index)]);
  });
}

function parseTtl(seconds: number): number {
  if (seconds >= ttlSecondsMin && seconds <= ttlSecondsMax) return seconds;
  throw new DomainError('VALUE_INVALID', `A time to live is ${ttlSecondsMin} to ${ttlSecondsMax} seconds.`, [
    'ttlSeconds',
  ]);
}

/** Until the commit none of them is deleted; from then on the notification keeps them. */
async function refuseUnknownSegments(tx: Transaction, ids: readonly string[], path: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  const rows = await tx.$queryRaw<{ id: string }[]>(sql`
    select id from segments where id = any(${[...ids]}::uuid[]) order by id for key share
  `);
  const known = new Set(rows.map(({ id }) => id));
  const missing = ids.findIndex((id) => !known.has(id));
  if (missing >= 0) throw new DomainError('NOT_FOUND', 'There is no such segment.', [...path, String(missing)]);
}
