import { sql, type Transaction } from '../storage/database.ts';
import { createLead } from '../users/create-lead.ts';

/**
 * Takes an installation away from its user and gives it a fresh, empty lead (rule U10). From this transaction's commit on
 * nothing that is targeted at the person reaches it; what is addressed to the installation itself still does.
 *
 * @returns the id of the new lead.
 */
export async function detachInstallation(tx: Transaction, installationId: string): Promise<string> {
  const leadId = await createLead(tx);
  await attachInstallation(tx, installationId, leadId);
  return leadId;
}

/** Makes an installation, with its push recipient, a user's. It is not that user's primary device. */
export async function attachInstallation(tx: Transaction, installationId: string, userId: string): Promise<void> {
  await tx.$executeRaw(sql`
    update installations set user_id = ${userId}::uuid, is_primary_device = false where id = ${installationId}::uuid
  `);
  await tx.$executeRaw(
    sql`update recipients set user_id = ${userId}::uuid where installation_id = ${installationId}::uuid`,
  );
}

/**
 * Ends what is queued for the installation because of who its user was. Changes deliveries, so it is the last statement of
 * its transaction (see the delivery log's lock). What is being sent right now checks its ownership again by itself.
 */
export async function cancelPersonTargetedDeliveries(tx: Transaction, installationId: string): Promise<void> {
  await tx.$executeRaw(sql`
    update deliveries set status = 'CANCELLED', reason = 'DEPERSONALIZED', status_at = now()
    where recipient_id = (select id from recipients where installation_id = ${installationId}::uuid)
      and status = 'QUEUED' and not is_broadcast
  `);
}
