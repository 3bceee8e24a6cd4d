import type { Configured } from '../../deliveries/app-channels.ts';
import { zoneOf } from '../../deliveries/zone.ts';
import type { Deployment } from '../../deployment.ts';
import type { Delivery, Notification } from '../../generated/prisma/client.ts';
import { type Database, sql } from '../../storage/database.ts';
import { orderOfChannels } from '../fan-out/decide-deliveries.ts';
import { readQuietHours } from '../schedule.ts';
import { explainOrigin, type Origin } from './origin.ts';
import { readPause } from './read-pause.ts';
import { type Facts, type NextStep, type Step, tellNext, tellSteps } from './story.ts';

/** The story of one delivery. */
export interface Explanation {
  deliveryId: string;
  origins: Origin[];
  steps: Step[];
  next: NextStep | null;
}

/**
 * Tells why a delivery was made, what became of it, why it ended if it did, and what comes next (promise N5): from the delivery, its
 * events as far back as the log is kept, and the attempts that were put off, which are kept for 30 days. Null: there is none.
 *
 * @param configured what there is that sends
 */
export async function explainDelivery(
  deployment: Pick<Deployment, 'db' | 'cipher'>,
  { deliveryId, configured }: { deliveryId: string; configured: Configured },
): Promise<Explanation | null> {
  const { db } = deployment;
  const delivery = await db.delivery.findUnique({ where: { id: deliveryId } });
  if (!delivery) return null;
  const notification = await db.notification.findUniqueOrThrow({ where: { id: delivery.notificationId } });
  const [origins, facts] = [
    await explainOrigin(db, delivery, notification),
    await readFacts(deployment, { delivery, notification, configured }),
  ];
  return { deliveryId, origins, steps: tellSteps(facts), next: tellNext(facts) };
}

async function readFacts(
  deployment: Pick<Deployment, 'db' | 'cipher'>,
  { delivery, notification, configured }: Pick<Facts, 'delivery' | 'notification'> & { configured: Configured },
): Promise<Facts> {
  const { db } = deployment;
  const about = { where: { deliveryId: delivery.id } };
  const [clock, events, retries] = [
    await readClock(db, delivery, notification),
    await db.deliveryEvent.findMany({ ...about, orderBy: { position: 'asc' }, take: stepsMax }),
    await db.deliveryAttempt.findMany({ ...about, orderBy: { at: 'asc' }, take: stepsMax }),
  ];
  return {
    delivery,
    notification,
    events,
    retries,
    ...clock,
    pausedUntil: delivery.status === 'QUEUED' ? await readPause(deployment, delivery, clock.now) : null,
    fallback: await readFallback(db, delivery, { notification, configured }),
  };
}

/** Events, and as many attempts. @default 200 */
export const stepsMax = 200;

async function readClock(
  db: Database,
  { userId, recipientId }: Delivery,
  { quietHours }: Notification,
): Promise<Pick<Facts, 'now' | 'quietUntil'>> {
  const hours = readQuietHours(quietHours);
  const [row] = await db.$queryRaw<{ now: Date; quiet_until: Date | null }[]>(sql`
    select now() as now, case when ${hours !== null} then quiet_until(
      now(),
      (
        select ${zoneOf({ profile: sql`u.time_zone`, userId: sql`coalesce(u.merged_into_id, u.id)` })}
        from (values (${userId}::uuid, ${recipientId}::uuid)) as d (user_id, recipient_id)
        left join users u on u.id = d.user_id
        left join recipients r on r.id = d.recipient_id
        left join installations i on i.id = r.installation_id
      ),
      ${hours?.from ?? null}::time, ${hours?.to ?? null}::time
    ) end as quiet_until
  `);
  if (!row) throw new Error('The database tells no time.');
  return { now: row.now, quietUntil: row.quiet_until };
}

async function readFallback(
  db: Database,
  { notificationId, userId, channel }: Delivery,
  { notification, configured }: { notification: Notification; configured: Configured },
): Promise<Facts['fallback']> {
  if (userId === null || channel === null) return null;
  const waiting = await db.fallback.findUnique({ where: { notificationId_userId: { notificationId, userId } } });
  const order = orderOfChannels({ channels: notification.channels, configured });
  const nextChannel = order.slice(order.indexOf(channel) + 1).find((next) => configured.channels.includes(next));
  return waiting && nextChannel ? { nextChannel, dueAt: waiting.dueAt } : null;
}
