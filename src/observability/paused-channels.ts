import type pg from 'pg';
import { sql } from '../storage/database.ts';

/** By how many apps a provider's channel is paused. */
export interface PausedChannel {
  channel: string;
  provider: string;
  appCount: number;
}

/** What is paused in the whole deployment. */
export async function listPausedChannels(pool: pg.Pool): Promise<PausedChannel[]> {
  const { rows } = await pool.query<{ channel: string; provider: string; app_count: number }>(sql`
    select channel::text, provider, count(*)::int as app_count from channel_pauses group by channel, provider
  `);
  return rows.map(({ channel, provider, app_count: appCount }) => ({ channel, provider, appCount }));
}
