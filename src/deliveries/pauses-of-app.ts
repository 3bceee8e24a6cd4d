import { findDefaultAppId } from '../apps/default-app.ts';
import { listOwnProviders } from '../apps/own-channel-store.ts';
import type { AppChannelProvider, Channel } from '../generated/prisma/enums.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { appProviders } from './app-providers.ts';
import type { Provider } from './channel-pause-store.ts';

/** An app, and whose credentials send for it. */
interface Owners {
  appId: string;
  /** Whose pauses those of the environment's providers are. */
  defaultAppId: string | null;
  /** For what the app has credentials of its own. */
  own: readonly AppChannelProvider[];
}

/** Whether a pause concerns an app: it is its own, or of a provider of the default app's that sends for it. Pure. */
export function concerns({ appId, channel, provider }: Provider, app: Owners): boolean {
  if (appId === app.appId) return true;
  const hasOwn = app.own.some((name) => {
    const its = appProviders[name];
    return its.channel === channel && its.provider === provider;
  });
  return appId === app.defaultAppId && !hasOwn;
}

/** A pause, and when it is tried whether it is over. */
interface PauseOfApp extends Provider {
  id: string;
  probeAt: Date;
}

/** What is paused of what sends for an app by a channel. @param givenId null: the default app. */
export async function listPausesOf(
  db: Pick<Transaction, '$queryRaw'>,
  { appId: givenId, channel }: { appId: string | null; channel: Channel },
): Promise<PauseOfApp[]> {
  const defaultAppId = await findDefaultAppId(db);
  const appId = givenId ?? defaultAppId;
  if (appId === null) return [];
  const own = await listOwnProviders(db, appId);
  const rows = await db.$queryRaw<{ id: string; app_id: string; provider: string; probe_at: Date }[]>(sql`
    select id, app_id, provider, probe_at from channel_pauses
    where app_id in (${appId}::uuid, ${defaultAppId}::uuid) and channel = ${channel}::channel
  `);
  return rows
    .map((row) => ({ id: row.id, appId: row.app_id, channel, provider: row.provider, probeAt: row.probe_at }))
    .filter((pause) => concerns(pause, { appId, defaultAppId, own }));
}
