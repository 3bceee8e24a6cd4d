import { refuseEndlessTexts } from '../content/refuse-endless-texts.ts';
import { parseSendData } from '../content/send-data.ts';
import { freezeContent, parseSaid, type SaidInput } from '../content/settle-content.ts';
import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import { trackForUsers } from '../events/event-store.ts';
import { type EventInput, parseEvent } from '../events/parse-event.ts';
import type { Purpose } from '../generated/prisma/enums.ts';
import { newId } from '../ids.ts';
import { addJob } from '../queue/job.ts';
import { sql } from '../storage/database.ts';
import { write } from '../storage/write.ts';
import { refuseUnknownTopic } from '../topics/preference-store.ts';
import { fanOutJob, fanOutKey } from './fan-out/fan-out.job.ts';
import { type OrchestrationInput, parseOrchestration } from './orchestration.ts';
import { parseSchedule, type ScheduleInput, setTimes } from './schedule.ts';
import { freezeTarget, type NarrowingInput, parseTarget, type TargetInput } from './target/parse-target.ts';

/** What a caller wants said, and to whom. */
export interface SendRequest extends SaidInput, NarrowingInput, ScheduleInput, OrchestrationInput {
  principal: string;
  /** What its texts may name: `{{ data.x }}`. */
  data?: Record<string, unknown> | null | undefined;
  target: TargetInput;
  targetOnlyPrimaryDevices: boolean;
  /** What it is about. */
  topicId?: string | null | undefined;
  /** @default `MARKETING` with a topic, which one can decline; else `TRANSACTIONAL` */
  purpose?: Purpose | null | undefined;
  /** What the users that the target names one by one have done. */
  event?: EventInput | null | undefined;
  /** @default false */
  trackLinks?: boolean | null | undefined;
  /** @default false */
  trackOpens?: boolean | null | undefined;
  idempotencyKey?: string | null | undefined;
}

const idempotencyKeptHours = 30 * 24;

/**
 * Accepts a notification: content and target are frozen, the work is enqueued, and the answer comes at once. Who the
 * target is, is decided when it is fanned out.
 *
 * @throws DomainError `TARGET_EMPTY`, `LIMIT_EXCEEDED`, `VALUE_INVALID`, `EMAIL_INVALID`, `PHONE_INVALID`, `NOT_FOUND`
 * (a segment, an app, a template, a topic), `ATTRIBUTE_INVALID` (in a filter), `IDEMPOTENCY_KEY_REUSED`; nothing is sent then.
 */
export async function sendNotification(
  deployment: Deployment,
  request: SendRequest,
): Promise<{ notificationId: string }> {
  const { principal, idempotencyKey, ...input } = request;
  const said = parseSaid(request);
  const data = parseSendData(request.data);
  const named = parseTarget(request.target, request);
  const schedule = parseSchedule(request);
  const { channels, orchestration, fallbackAfterSeconds } = parseOrchestration(request, named.installations.length > 0);
  const event = request.event ? parseEvent(request.event, ['event']) : null;
  if (event && named.users.length === 0) {
    throw new DomainError('VALUE_INVALID', 'An event is tracked for the users of the target: name them.', ['event']);
  }
  parseTracking(deployment, request);
  const about = { principal, mutation: 'sendNotification', idempotencyKey, input, keptHours: idempotencyKeptHours };
  return write(deployment, about, async (tx) => {
    const target = await freezeTarget(tx, named, request.target.filter);
    const content = await freezeContent(tx, said);
    const given = { data: request.data ?? null, event: event?.properties ?? null };
    refuseEndlessTexts(content, given, 'content' in said ? ['content'] : ['template']);
    const { topicId = null } = request;
    if (topicId !== null) await refuseUnknownTopic(tx, topicId, ['topic']);
    const purpose = request.purpose ?? (topicId === null ? 'TRANSACTIONAL' : 'MARKETING');
    const { startsAt, expiresAt } = await setTimes(tx, schedule);
    const { sendAt, localTime, quietHours, frequencyCap, ttlSeconds } = schedule;
    const id = newId();
    if (event) await trackForUsers(tx, event, named.users);
    await tx.$executeRaw(sql`
      insert into notifications (
        id, content, data, target, purpose, topic_id, event, created_by,
        channels, orchestration, fallback_after_seconds, target_only_primary_devices, track_links, track_opens,
        send_at, local_time, quiet_hours, frequency_cap, ttl_seconds,
        starts_at, expires_at, fan_out_cursor, fan_out_claim_expires_at
      ) values (
        ${id}::uuid, ${JSON.stringify(content)}::jsonb, ${data}::jsonb, ${JSON.stringify(target)}::jsonb,
        ${purpose}::purpose, ${topicId}::uuid, ${event && JSON.stringify(event)}::jsonb, ${principal},
        ${channels}::channel[], ${orchestration}::orchestration, ${fallbackAfterSeconds},
        ${request.targetOnlyPrimaryDevices}, ${request.trackLinks ?? false}, ${request.trackOpens ?? false},
        ${sendAt}::timestamptz, ${localTime}, ${quietHours && JSON.stringify(quietHours)}::jsonb,
        ${frequencyCap && JSON.stringify(frequencyCap)}::jsonb, ${ttlSeconds},
        ${startsAt}::timestamptz, ${expiresAt}::timestamptz, '{"phase":"references"}',
        ${startsAt}::timestamptz + interval '1 minute'
      )
    `);
    await addJob(tx, fanOutJob, { notificationId: id }, { key: fanOutKey(id), runAt: startsAt });
    return { notificationId: id };
  });
}

/** A link that leads through us needs to know where we are. */
function parseTracking({ publicUrl }: Deployment, { trackLinks, trackOpens }: SendRequest): void {
  if (publicUrl !== null || !(trackLinks || trackOpens)) return;
  throw new DomainError('VALUE_INVALID', 'Links can be tracked where the setting PUBLIC_URL says where they lead to.', [
    trackLinks ? 'trackLinks' : 'trackOpens',
  ]);
}
