import { findDefaultAppId } from '../apps/default-app.ts';
import type { ChannelPause } from '../generated/prisma/client.ts';
import type { AppChannelProvider } from '../generated/prisma/enums.ts';
import type { Database } from '../storage/database.ts';
import { appProviders } from './app-providers.ts';

/** Whose credentials send for an app. */
interface Owners {
  appId: string;
  /** Whose pauses those of the environment's providers are. */
  defaultAppId: string | null;
  /** For what the app has credentials of its own. */
  own: readonly AppChannelProvider[];
}

/** Whether a pause concerns an app: it is its own, or of a provider of the default app's that sends for it. Pure. */
function concerns(
  { appId, channel, provider }: Pick<ChannelPause, 'appId' | 'channel' | 'provider'>,
  app: Owners,
): boolean {
  if (appId === app.appId) return true;
  const hasOwn = app.own.some(
    (name) => appProviders[name].channel === channel && appProviders[name].provider === provider,
  );
  return appId === app.defaultAppId && !hasOwn;
}

/** What is paused of what sends for an app. */
export async function listPausesOf(
  db: Pick<Database, '$queryRaw' | 'channelPause' | 'appChannel'>,
  appId: string | null,
): Promise<ChannelPause[]> {
  const defaultAppId = await findDefaultAppId(db);
  const id = appId ?? defaultAppId;
  if (id === null) return [];
  const own = (await db.appChannel.findMany({ where: { appId: id }, select: { provider: true } })).map(
    ({ provider }) => provider,
  );
  const pauses = await db.channelPause.findMany({ where: { appId: { in: [id, defaultAppId ?? id] } } });
  return pauses.filter((pause) => concerns(pause, { appId: id, defaultAppId, own }));
}
