import type { Config } from './config.ts';
import type { Logger } from './logger.ts';
import type { Database } from './storage/database.ts';
import type { Bus } from './stream/bus/bus.ts';
import { createInProcessBus } from './stream/bus/in-process-bus.ts';
import { connectRedisBus } from './stream/bus/redis-bus.ts';

/** Wake-ups as `config` describes them: over Redis, or within this process. @throws StartupError without that Redis. */
export async function openBus({ redisUrl }: Config, db: Database, log: Logger): Promise<Bus> {
  if (redisUrl === null) return createInProcessBus();
  // The log's epoch names this database among all that may share the Redis.
  const { epoch } = await db.deliveryLog.findUniqueOrThrow({ where: { id: true } });
  return connectRedisBus(redisUrl, { namespace: epoch, log });
}
