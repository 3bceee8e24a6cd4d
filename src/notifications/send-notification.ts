import { freezeContent, parseSaid, type SaidInput } from '../content/settle-content.ts';
import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import { trackForUsers } from '../events/event-store.ts';
import { type EventInput, parseEvent } from '../events/parse-event.ts';
import type { Channel, Purpose } from '../generated/prisma/enums.ts';
import { newId } from '../ids.ts';
import { addJob } from '../queue/job.ts';
import { sql } from '../storage/database.ts';
import { write } from '../storage/write.ts';
import { refuseUnknownTopic } from '../topics/preference-store.ts';
import { fanOutJob, fanOutKey } from './fan-out.job.ts';
import { freezeTarget, parseTarget, type TargetInput } from './parse-target.ts';

/** What a caller wants said, and to whom. */
export interface SendRequest extends SaidInput {
  principal: string;
  /** What its texts may name: `{{ data.x }}`. */
  data?: Record<string, unknown> | null | undefined;
  target: TargetInput;
  channels?: readonly Channel[] | null | undefined;
  targetOnlyPrimaryDevices: boolean;
  /** What it is about. */
  topicId?: string | null | undefined;
  /** @default `MARKETING` with a topic, which one can decline; else `TRANSACTIONAL` */
  purpose?: Purpose | null | undefined;
  /** What the users that the target names one by one have done. */
  event?: EventInput | null | undefined;
  /** @default 172_800 // 48 hours */
  ttlSeconds?: number | null | undefined;
  idempotencyKey?: string | null | undefined;
}

// product.md, "Limits to enforce": TTL 30 s to 72 h, default 48 h; a bulk call names 1,000 users at most.
const ttlSecondsMin = 30;
const ttlSecondsMax = 72 * 3600;
const ttlSecondsDefault = 48 * 3600;
const idempotencyKeptHours = 30 * 24;

/**
 * Accepts a notification: content and target are frozen, the work is enqueued, and the answer comes at once. Who the
 * target is, is decided when it is fanned out.
 *
 * @throws DomainError `TARGET_EMPTY`, `LIMIT_EXCEEDED`, `VALUE_INVALID`, `EMAIL_INVALID`, `PHONE_INVALID`, `NOT_FOUND`
 * (a segment, a template, a topic), `ATTRIBUTE_INVALID` (in a filter), `IDEMPOTENCY_KEY_REUSED`; nothing is sent then.
 */
export async function sendNotification(
  deployment: Deployment,
  request: SendRequest,
): Promise<{ notificationId: string }> {
  const { principal, idempotencyKey, ...input } = request;
  const said = parseSaid(request);
  const data = parseValues(request.data);
  const named = parseTarget(request.target);
  const ttlSeconds = parseTtl(request.ttlSeconds ?? ttlSecondsDefault);
  const event = request.event ? parseEvent(request.event, ['event']) : null;
  const channels = [...new Set(request.channels ?? [])];
  if (request.channels && channels.length === 0) {
    throw new DomainError('VALUE_INVALID', 'Name a channel, or leave the field out.', ['channels']);
  }
  if (event && named.users.length === 0) {
    throw new DomainError('VALUE_INVALID', 'An event is tracked for the users of the target: name them.', ['event']);
  }
  if (named.installations.length > 0 && channels.length > 0 && !channels.includes('PUSH')) {
    throw new DomainError('VALUE_INVALID', 'Installations are reached by PUSH only.', ['channels']);
  }
  const about = { principal, mutation: 'sendNotification', idempotencyKey, input, keptHours: idempotencyKeptHours };
  return write(deployment, about, async (tx) => {
    const target = await freezeTarget(tx, named, request.target.filter);
    const content = await freezeContent(tx, said);
    const { topicId = null } = request;
    if (topicId !== null) await refuseUnknownTopic(tx, topicId, ['topic']);
    const purpose = request.purpose ?? (topicId === null ? 'TRANSACTIONAL' : 'MARKETING');
    const id = newId();
    if (event) await trackForUsers(tx, event, named.users);
    await tx.$executeRaw(sql`
      insert into notifications (
        id, content, data, target, channels, target_only_primary_devices, purpose, topic_id, event, created_by, expires_at,
        fan_out_cursor, fan_out_claim_expires_at
      ) values (
        ${id}::uuid, ${JSON.stringify(content)}::jsonb, ${data}::jsonb, ${JSON.stringify(target)}::jsonb, ${channels}::channel[],
        ${request.targetOnlyPrimaryDevices}, ${purpose}::purpose, ${topicId}::uuid, ${event === null ? null : JSON.stringify(event)}::jsonb,
        ${principal},
        now() + make_interval(secs => ${ttlSeconds}), '{"phase":"references"}', now() + interval '1 minute'
      )
    `);
    await addJob(tx, fanOutJob, { notificationId: id }, { key: fanOutKey(id) });
    return { notificationId: id };
  });
}

/** @default 65_536 // bytes of the values that a send gives for its texts, as JSON */
const valuesBytesMax = 65_536;

function parseValues(values: Record<string, unknown> | null | undefined): string | null {
  const json = values ? JSON.stringify(values) : null;
  if (json === null || Buffer.byteLength(json) <= valuesBytesMax) return json;
  throw new DomainError('LIMIT_EXCEEDED', `At most ${valuesBytesMax} bytes.`, ['data']);
}

function parseTtl(seconds: number): number {
  if (seconds >= ttlSecondsMin && seconds <= ttlSecondsMax) return seconds;
  throw new DomainError('VALUE_INVALID', `A time to live is ${ttlSecondsMin} to ${ttlSecondsMax} seconds.`, [
    'ttlSeconds',
  ]);
}
