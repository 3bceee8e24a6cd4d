import type { User } from '../generated/prisma/client.ts';
import { type Sql, sql, type Transaction } from '../storage/database.ts';
import { insertUsers, newUser } from './user-rows.ts';

/**
 * Takes an installation away from its user and gives it a fresh, empty lead (rule U10), or another new user. From this transaction's commit on
 * nothing that is targeted at the person reaches it; what is addressed to the installation itself still does.
 */
export async function detachInstallation(
  tx: Transaction,
  installationId: string,
  user: User = newUser('LEAD'),
): Promise<void> {
  await insertUsers(tx, [user]);
  await attachInstallation(tx, installationId, user.id);
}

/** Makes an installation, with its push recipient, a user's. It is not that user's primary device. */
export async function attachInstallation(tx: Transaction, installationId: string, userId: string): Promise<void> {
  await tx.$executeRaw(sql`
    with recipient as (
      update recipients set user_id = ${userId}::uuid where installation_id = ${installationId}::uuid
    )
    update installations set user_id = ${userId}::uuid, is_primary_device = false, departures = departures + 1
    where id = ${installationId}::uuid
  `);
}

/**
 * Takes all installations of users away from them, as {@link detachInstallation} does with one. The users are locked, and so
 * are their installations.
 *
 * @returns the ids of the installations.
 */
export function detachAllInstallations(tx: Transaction, userIds: readonly string[]): Promise<string[]> {
  return detach(tx, sql`select id from installations where user_id = any(${[...userIds]}::uuid[])`);
}

/** Users who have gained installations. */
interface Gain {
  userIds: readonly string[];
  /** What they gained, which stays before anything else. */
  attachedIds: readonly string[];
  /** Installations that a user keeps. */
  installationsMax: number;
}

/**
 * Logs users out of the installations that are too many (decision 6), those that were seen least lately, as
 * {@link detachInstallation} does with one. A login is never refused for it. The users are locked.
 *
 * @returns the ids of the installations, whose deliveries are still to be cancelled.
 */
export function evictStalest(tx: Transaction, { userIds, attachedIds, installationsMax }: Gain): Promise<string[]> {
  return detach(
    tx,
    sql`
      select id from (
        select id, row_number() over (
          partition by user_id order by id = any(${[...attachedIds]}::uuid[]) desc, last_seen_at desc, id desc
        ) as place
        from installations where user_id = any(${[...userIds]}::uuid[])
      ) ranked
      where place > ${installationsMax}
    `,
  );
}

/** Gives each of the installations that `which` selects the ids of a fresh, empty lead. */
async function detach(tx: Transaction, which: Sql): Promise<string[]> {
  const rows = await tx.$queryRaw<{ id: string }[]>(sql`
    with left_behind as (select id, uuid_v7() as lead_id from (${which}) chosen),
    lead as (insert into users (id) select lead_id from left_behind),
    inbox as (
      insert into recipients (id, channel, user_id) select uuid_v7(), 'IN_APP', lead_id from left_behind
    ),
    moved as (
      update recipients r set user_id = b.lead_id from left_behind b where r.installation_id = b.id
    )
    update installations i set user_id = b.lead_id, is_primary_device = false, departures = departures + 1
    from left_behind b where i.id = b.id
    returning i.id
  `);
  return rows.map(({ id }) => id);
}

/**
 * Ends what is queued for installations because of who their users were. Changes deliveries, so it is the last statement of
 * its transaction (see the delivery log's lock). What is claimed checks its ownership again right before it is sent; it is locked,
 * so that whoever begins it at this moment is waited for, or waits (`deliveries/begin-sends.ts`): none begins after the commit.
 */
export async function cancelPersonTargetedDeliveries(
  tx: Transaction,
  installationIds: readonly string[],
): Promise<void> {
  if (installationIds.length === 0) return;
  await tx.$executeRaw(sql`
    with unsent as (
      select id from deliveries
      where recipient_id in (select id from recipients where installation_id = any(${[...installationIds]}::uuid[]))
        and status in ('QUEUED', 'SENDING') and not is_broadcast
      order by id
      for no key update
    )
    update deliveries d set status = 'CANCELLED', reason = 'DEPERSONALIZED', status_at = now()
    from unsent
    where d.id = unsent.id and d.status = 'QUEUED'
  `);
}
