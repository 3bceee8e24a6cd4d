import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import { updateRecipient } from '../recipients/update-recipient.ts';

/** How a person has said it: by a link to unsubscribe, by SMS, or by calling a message spam. */
export type SaidBy = 'person:unsubscribe' | 'person:sms' | 'person:complaint';

/** What a person has said of one recipient. */
export interface Saying {
  recipientId: string;
  isSubscribed: boolean;
  by: SaidBy;
}

/** Writes down what a person has said without being known to us as a caller. Of a recipient that is gone, nothing. */
export async function sayConsent(deployment: Deployment, { by, ...said }: Saying): Promise<void> {
  try {
    await updateRecipient(deployment, { ...said, principal: by, installationId: null });
  } catch (error) {
    if (!(error instanceof DomainError && error.code === 'NOT_FOUND')) throw error;
  }
}
