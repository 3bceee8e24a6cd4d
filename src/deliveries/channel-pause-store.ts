import { endPauses, resumePutOff } from '../apps/end-pauses.ts';
import type { Channel, ChannelPauseCause } from '../generated/prisma/enums.ts';
import { type Database, type Sql, sql, type Transaction } from '../storage/database.ts';
import { inTransaction } from '../storage/transaction.ts';

/** What sends the messages of an app by a channel: what is paused, and what is resumed. */
export interface Provider {
  appId: string;
  channel: Channel;
  /** `Channel.name`, such as `smtp`. */
  provider: string;
}

type Queries = Pick<Transaction, '$queryRaw'>;

const isThat = ({ appId, channel, provider }: Provider): Sql => sql`
  app_id = ${appId}::uuid and channel = ${channel}::channel and provider = ${provider}
`;

/** All pauses, and in how many milliseconds each may be tried; 0: now. */
export async function listPauses(db: Queries): Promise<(Provider & { waitMs: number })[]> {
  const rows = await db.$queryRaw<{ app_id: string; channel: Channel; provider: string; wait_ms: number }[]>(sql`
    select app_id, channel::text, provider, greatest(extract(epoch from probe_at - now()) * 1000, 0)::float8 as wait_ms
    from channel_pauses
  `);
  return rows.map((row) => ({ appId: row.app_id, channel: row.channel, provider: row.provider, waitMs: row.wait_ms }));
}

/** Pauses a provider for everybody, and says whether it was not before. */
export async function insertPause(
  db: Queries,
  provider: Provider,
  { cause, providerCode, pauseMs }: { cause: ChannelPauseCause; providerCode: string | null; pauseMs: number },
): Promise<boolean> {
  const { appId, channel, provider: name } = provider;
  const rows = await db.$queryRaw<unknown[]>(sql`
    insert into channel_pauses (app_id, channel, provider, cause, provider_code, probe_at)
    values (
      ${appId}::uuid, ${channel}::channel, ${name}, ${cause}::channel_pause_cause, ${providerCode},
      now() + make_interval(secs => ${pauseMs / 1000})
    )
    on conflict do nothing
    returning 1
  `);
  return rows.length > 0;
}

/** Takes the one try that a pause allows, so that nobody else does for `pauseMs`. False: it is not due, or taken, or over. */
export async function takeProbe(db: Queries, provider: Provider, pauseMs: number): Promise<boolean> {
  const rows = await db.$queryRaw<unknown[]>(sql`
    update channel_pauses set probe_at = now() + make_interval(secs => ${pauseMs / 1000})
    where ${isThat(provider)} and probe_at <= now()
    returning 1
  `);
  return rows.length > 0;
}

/** Ends a pause, and says whether there was one. */
export async function deletePause(db: Pick<Database, 'pool'>, provider: Provider): Promise<boolean> {
  return (await inTransaction(db, (tx) => endPauses(tx, isThat(provider)))) > 0;
}

/** Ends the pauses of an app's providers that are not among these: nothing will be sent by them. */
export async function forgetPauses(
  db: Pick<Database, 'pool'>,
  appId: string,
  providers: readonly Omit<Provider, 'appId'>[],
): Promise<void> {
  const isOther = sql`
    app_id = ${appId}::uuid and (channel, provider) not in (
      select * from unnest(
        ${providers.map(({ channel }) => channel)}::channel[], ${providers.map(({ provider }) => provider)}::text[]
      )
    )
  `;
  await inTransaction(db, (tx) => endPauses(tx, isOther));
}

/** Allows a try of whatever is paused at once: a worker that starts may have other settings. */
export async function hastenProbes(db: Pick<Database, 'pool'>): Promise<void> {
  await inTransaction(db, async (tx) => {
    // Not rounded up: it would be due in half a millisecond.
    const rows = await tx.$queryRaw<{ id: string }[]>(sql`
      with held as (select id from channel_pauses where probe_at > now() order by id for no key update)
      update channel_pauses p set probe_at = date_trunc('milliseconds', now()) from held where p.id = held.id
      returning p.id
    `);
    await resumePutOff(
      tx,
      rows.map(({ id }) => id),
    );
  });
}

/**
 * The ids of the pauses of these providers, by {@link toProviderKey}; one whose pause is over is not among them. Held until the
 * transaction ends, so that whoever ends one finds all that it has put off.
 */
export async function holdPauses(tx: Queries, providers: readonly Provider[]): Promise<ReadonlyMap<string, string>> {
  const rows = await tx.$queryRaw<{ id: string; app_id: string; channel: Channel; provider: string }[]>(sql`
    select id, app_id, channel::text, provider from channel_pauses
    where (app_id, channel, provider) in (
      select * from unnest(
        ${providers.map(({ appId }) => appId)}::uuid[],
        ${providers.map(({ channel }) => channel)}::channel[],
        ${providers.map(({ provider }) => provider)}::text[]
      )
    )
    order by id
    for key share
  `);
  return new Map(rows.map(({ id, app_id: appId, ...rest }) => [toProviderKey({ appId, ...rest }), id]));
}

/** The same for the same provider. */
export const toProviderKey = ({ appId, channel, provider }: Provider): string => [appId, channel, provider].join(' ');
