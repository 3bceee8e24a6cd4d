import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import type { Channel } from '../generated/prisma/enums.ts';
import { parseUserReference, resolveUserReferences, type UserReferenceInput } from '../identity/user-reference.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { StaleReadError } from '../storage/transaction.ts';
import { write } from '../storage/write.ts';
import { type Preference, say } from './decide-preferences.ts';
import { holdTopics, readPreferences, writePreferences } from './preference-store.ts';

/** What a person wants to hear of, and by which channels. */
export interface PreferencesSaid {
  principal: string;
  /** Absent: the user of the installation that asks. */
  user?: UserReferenceInput | null | undefined;
  /** The installation that asks, which may only speak for its own user. Null: who asks may speak for any. */
  installationId: string | null;
  /** Done in this order. */
  preferences: readonly { topicId: string; channel?: Channel | null | undefined; isSubscribed: boolean }[];
  idempotencyKey?: string | null | undefined;
}

/** @default 1_000 // of a call */
const preferencesMax = 1_000;

/**
 * Keeps what a person says of topics (rule M8), with who said it and when. It counts from the commit on, also for what is queued.
 *
 * @throws DomainError `NOT_FOUND` (the user, also one that the installation may not speak for; a topic), `VALUE_INVALID`,
 * `LIMIT_EXCEEDED`, `EMAIL_INVALID`, `PHONE_INVALID`, `IDEMPOTENCY_KEY_REUSED`; nothing is written then.
 */
export async function setTopicPreferences(
  deployment: Deployment,
  request: PreferencesSaid,
): Promise<{ userId: string }> {
  const { principal, idempotencyKey, installationId, user, preferences } = request;
  if (preferences.length > preferencesMax) {
    throw new DomainError('LIMIT_EXCEEDED', `At most ${preferencesMax} preferences a call.`, ['preferences']);
  }
  const own = installationId === null ? null : { pushRegistrationId: installationId };
  const named = user ?? own;
  if (!named) throw new DomainError('VALUE_INVALID', 'Say whose preferences these are.', ['user']);
  const references = [named, ...(own ? [own] : [])].map((reference) => parseUserReference(reference, ['user']));
  const input = { user, preferences };
  return write(deployment, { principal, mutation: 'setTopicPreferences', idempotencyKey, input }, async (tx) => {
    const [userId, ownId] = await resolveUserReferences(tx, references);
    if (!userId || (own && ownId !== userId)) throw noSuchUser();
    const saidAt = await lockSpeaker(tx, { userId, installationId });
    const topics = await holdTopics(
      tx,
      preferences.map(({ topicId }) => topicId),
    );
    const missing = preferences.findIndex(({ topicId }) => !topics.has(topicId));
    if (missing >= 0) {
      throw new DomainError('NOT_FOUND', 'There is no such topic.', ['preferences', String(missing), 'topic']);
    }
    const before = (await readPreferences(tx, [userId])).get(userId);
    const after = new Map<string, Preference[]>();
    for (const { topicId, channel = null, isSubscribed } of preferences) {
      const said = { topicId, channel, isSubscribed, saidAt, saidBy: principal };
      after.set(topicId, say(after.get(topicId) ?? before?.get(topicId) ?? [], said));
    }
    await writePreferences(tx, userId, after);
    return { userId };
  });
}

/**
 * Locks the user. Whose an installation is does not change while its user is locked. @returns when it is said: the moment after
 * the lock, so that what a merge has seen of the user was said before it.
 */
async function lockSpeaker(
  tx: Transaction,
  { userId, installationId }: { userId: string; installationId: string | null },
): Promise<Date> {
  const [user] = await tx.$queryRaw<{ is_merged: boolean }[]>(sql`
    select merged_into_id is not null as is_merged from users where id = ${userId}::uuid for no key update
  `);
  if (!user || user.is_merged) throw new StaleReadError();
  const [asked] = await tx.$queryRaw<{ now: Date; is_theirs: boolean }[]>(sql`
    select clock_timestamp() as now, ${installationId}::uuid is null or exists (
      select from installations where id = ${installationId}::uuid and user_id = ${userId}::uuid
    ) as is_theirs
  `);
  if (!asked?.is_theirs) throw noSuchUser();
  return asked.now;
}

function noSuchUser(): DomainError {
  return new DomainError('NOT_FOUND', 'There is no such user.', ['user']);
}
