import { newId } from '../ids.ts';
import type { Transaction } from '../storage/database.ts';

/** Makes an empty user for an installation that is nobody's yet (rule U1), with the in-app inbox that every user has. */
export async function createLead(tx: Transaction): Promise<string> {
  const user = await tx.user.create({ data: { id: newId(), type: 'LEAD' } });
  await tx.recipient.create({ data: { id: newId(), channel: 'IN_APP', userId: user.id } });
  return user.id;
}
