import type { Caller } from '../apps/caller.ts';
import type { Database } from '../storage/database.ts';

/** What the door has to know of an app. */
interface AppSettings {
  readonly allowedOrigins: ReadonlySet<string>;
  /** Its clients run registered operations only. */
  readonly isLimitedToOperations: boolean;
}

/** What apps let their clients do. */
export interface AppsSettings {
  /** Whether pages of an origin may call at all, as nobody in particular: some app allows them. */
  isKnownOrigin(origin: string): Promise<boolean>;
  /** Whether pages of an origin may call as this caller: its app allows them; for those without an app, some app does. */
  mayCallFrom(caller: Caller | null, origin: string): Promise<boolean>;
  /** Whether a caller is a client of an app whose clients run registered operations only. */
  isLimitedToOperations(caller: Caller | null): Promise<boolean>;
  /** Forgets everything: settings may have changed. */
  forget(): void;
}

/** How long settings are taken for what they were. @default 500 */
const rememberedMs = 500;

/** Looks at all apps at once: a deployment has a handful. Remembers them for half a second. */
export function createAppsSettings(db: Database): AppsSettings {
  let known: { at: number; settings: Promise<Map<string, AppSettings>> } | null = null;

  async function load(): Promise<Map<string, AppSettings>> {
    const apps = await db.app.findMany({ select: { id: true, allowedOrigins: true, isLimitedToOperations: true } });
    return new Map(
      apps.map(({ id, allowedOrigins, isLimitedToOperations }) => [
        id,
        { allowedOrigins: new Set(allowedOrigins), isLimitedToOperations },
      ]),
    );
  }

  async function settings(): Promise<Map<string, AppSettings>> {
    const now = performance.now();
    if (!known || now - known.at > rememberedMs) {
      const mine = { at: now, settings: load() };
      known = mine;
      mine.settings.catch(() => {
        if (known === mine) known = null;
      });
    }
    return known.settings;
  }

  async function isKnownOrigin(origin: string): Promise<boolean> {
    return [...(await settings()).values()].some(({ allowedOrigins }) => allowedOrigins.has(origin));
  }

  return {
    isKnownOrigin,
    async mayCallFrom(caller, origin) {
      if (!caller || !('appId' in caller)) return isKnownOrigin(origin);
      return (await settings()).get(caller.appId)?.allowedOrigins.has(origin) ?? false;
    },
    async isLimitedToOperations(caller) {
      if (!caller || !('appId' in caller)) return false;
      return (await settings()).get(caller.appId)?.isLimitedToOperations ?? false;
    },
    forget() {
      known = null;
    },
  };
}
