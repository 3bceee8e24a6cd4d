import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import type { Channel } from '../generated/prisma/enums.ts';
import { updateRecipient } from '../recipients/update-recipient.ts';
import { sql } from '../storage/database.ts';
import { setTopicPreferences } from '../topics/set-topic-preferences.ts';

/** How a person has said it: by a link to unsubscribe, by SMS, or by calling a message spam. */
export type SaidBy = 'person:unsubscribe' | 'person:sms' | 'person:complaint';

/** What a person has said of one recipient. */
export interface Saying {
  recipientId: string;
  isSubscribed: boolean;
  by: SaidBy;
}

/**
 * Writes down what a person has said without being known to us as a caller. Of a recipient that is gone, nothing.
 *
 * @returns whether the recipient was there.
 */
export function sayConsent(deployment: Deployment, { by, ...said }: Saying): Promise<boolean> {
  return unlessGone(updateRecipient(deployment, { ...said, principal: by, installationId: null }));
}

/**
 * The same of a topic, which the person whose recipient it is wants no more by that recipient's channel (rule M8). Of a recipient or
 * a topic that is gone, nothing.
 */
export async function sayTopicDeclined(
  deployment: Deployment,
  { recipientId, topicId, by }: { recipientId: string; topicId: string; by: SaidBy },
): Promise<void> {
  const [recipient] = await deployment.db.$queryRaw<{ user_id: string; channel: Channel }[]>(sql`
    select user_id, channel::text from recipients where id = ${recipientId}::uuid
  `);
  if (!recipient) return;
  const preference = { topicId, channel: recipient.channel, isSubscribed: false };
  const user = { id: recipient.user_id };
  await unlessGone(
    setTopicPreferences(deployment, { principal: by, user, installationId: null, preferences: [preference] }),
  );
}

async function unlessGone(saying: Promise<unknown>): Promise<boolean> {
  try {
    await saying;
    return true;
  } catch (error) {
    if (!(error instanceof DomainError && error.code === 'NOT_FOUND')) throw error;
    return false;
  }
}
