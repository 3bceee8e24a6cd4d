import { appProviders } from '../../deliveries/app-providers.ts';
import { listPausesOf } from '../../deliveries/pauses-of-app.ts';
import type { Deployment } from '../../deployment.ts';
import type { Delivery } from '../../generated/prisma/client.ts';
import { openAddress } from '../../installations/installation-address.ts';
import type { Database } from '../../storage/database.ts';

/**
 * When the provider is tried again whose pause keeps a delivery waiting: the pause that has put it off, or, of what is due, that of
 * the provider that would send it. Null: it is not what the delivery waits for.
 */
export async function readPause(
  { db, cipher }: Pick<Deployment, 'db' | 'cipher'>,
  delivery: Pick<Delivery, 'channel' | 'recipientId' | 'pauseId' | 'nextAttemptAt'>,
  now: Date,
): Promise<Date | null> {
  const { channel, recipientId, pauseId, nextAttemptAt } = delivery;
  const putOffBy = pauseId === null ? null : await db.channelPause.findUnique({ where: { id: pauseId } });
  if (putOffBy) return putOffBy.probeAt;
  if (nextAttemptAt > now || channel === null) return null;
  const installation = channel === 'PUSH' ? await findInstallation(db, recipientId) : null;
  const name = installation && providerOf(cipher, installation.addressCipher);
  const pauses = await listPausesOf(db, { appId: installation?.appId ?? null, channel });
  const pause = pauses.find(({ provider }) => channel !== 'PUSH' || provider === name);
  return pause?.probeAt ?? null;
}

async function findInstallation(db: Database, recipientId: string | null) {
  if (recipientId === null) return null;
  const recipient = await db.recipient.findUnique({ where: { id: recipientId }, include: { installation: true } });
  return recipient?.installation ?? null;
}

/** Who sends to an address; null: nobody, as there is none, or none that can be read. */
function providerOf(cipher: Deployment['cipher'], addressCipher: Uint8Array | null): string | null {
  if (!addressCipher) return null;
  try {
    const { kind } = openAddress(cipher, addressCipher);
    return Object.values(appProviders).find(({ addressKind }) => addressKind === kind)?.provider ?? null;
  } catch {
    return null;
  }
}
