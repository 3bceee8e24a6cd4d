import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import type { Channel } from '../generated/prisma/enums.ts';
import { addSuppressions, liftSuppression, suppressionHash } from '../recipients/suppressions.ts';
import { updateRecipient } from '../recipients/update-recipient.ts';
import { sql } from '../storage/database.ts';
import { inTransaction } from '../storage/transaction.ts';
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

/** An e-mail address, or a phone, in normal form. */
interface AddressSaying extends Pick<Saying, 'isSubscribed' | 'by'> {
  channel: 'EMAIL' | 'SMS';
  address: string;
}

/** The same of an address, whoever has it now. What is said of one that nobody has is remembered for whoever brings it. */
export async function sayConsentOfAddress(
  deployment: Deployment,
  { channel, address, ...said }: AddressSaying,
): Promise<void> {
  const findRecipient = () => deployment.db.recipient.findFirst({ where: { channel, address } });
  const suppression = { channel, addressHash: suppressionHash(deployment.cipher, channel, address) };
  // An address can be taken from its user, or be added, at this moment.
  for (let recipient = await findRecipient(); ; recipient = await findRecipient()) {
    if (recipient) {
      if (await sayConsent(deployment, { recipientId: recipient.id, ...said })) return;
      continue;
    }
    await inTransaction(deployment.db, (tx) =>
      said.isSubscribed ? liftSuppression(tx, suppression) : addSuppressions(tx, [suppression]),
    );
    if (!(await findRecipient())) return;
  }
}

/**
 * The same of a topic, which the person whose recipient it is wants no more by that recipient's channel (rule M8). Where the recipient
 * is gone, it is said for whoever has the e-mail address now. Of a recipient or a topic that is gone, nothing.
 *
 * @returns whether it was said for anybody.
 */
export async function sayTopicDeclined(
  deployment: Deployment,
  { recipientId, email, topicId, by }: { recipientId: string; email: string | null; topicId: string; by: SaidBy },
): Promise<boolean> {
  const [recipient] = await deployment.db.$queryRaw<{ user_id: string; channel: Channel }[]>(sql`
    select user_id, channel::text from recipients
    where id = ${recipientId}::uuid or channel = 'EMAIL' and address = ${email}
  `);
  if (!recipient) return false;
  const preference = { topicId, channel: recipient.channel, isSubscribed: false };
  const user = { id: recipient.user_id };
  return unlessGone(
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
