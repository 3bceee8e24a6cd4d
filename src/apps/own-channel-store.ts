import type { AppChannelProvider } from '../generated/prisma/enums.ts';
import type { Cipher } from '../storage/cipher.ts';
import { type Database, sql, type Transaction } from '../storage/database.ts';
import { endPauses } from './end-pauses.ts';
import type { OwnChannelChange } from './own-channels.ts';

/** Credentials are readable only as those of their app and provider. */
const purposeOf = (appId: string, provider: AppChannelProvider) => `${provider} credentials of ${appId}`;

/** By then all workers have heard of other credentials. @default 2_000 // 2 seconds */
const heardMs = 2_000;

/** Keeps what an app sends by from now on, encrypted, and forgets what it no longer does. The app is locked. */
export async function changeOwnChannels(
  tx: Transaction,
  cipher: Cipher,
  { appId, changes }: { appId: string; changes: readonly OwnChannelChange[] },
): Promise<void> {
  const kept = changes.flatMap(({ provider, account, credentials }) =>
    credentials === null
      ? []
      : [{ provider, account, sealed: cipher.encrypt(purposeOf(appId, provider), credentials) }],
  );
  const removed = changes.flatMap(({ provider, credentials }) => (credentials === null ? [provider] : []));
  await tx.$executeRaw(sql`
    delete from app_channels where app_id = ${appId}::uuid and provider = any(${removed}::app_channel_provider[])
  `);
  await tx.$executeRaw(sql`
    insert into app_channels (app_id, provider, account, credentials_cipher)
    select ${appId}::uuid, provider, account, credentials_cipher
    from unnest(
      ${kept.map(({ provider }) => provider)}::app_channel_provider[],
      ${kept.map(({ account }) => account)}::text[],
      ${kept.map(({ sealed }) => sealed)}::bytea[]
    ) as given (provider, account, credentials_cipher)
    on conflict (app_id, provider) do update set
      account = excluded.account, credentials_cipher = excluded.credentials_cipher, updated_at = now()
  `);
  // What was paused for the credentials before is tried with these.
  if (changes.length === 0) return;
  await endPauses(tx, sql`app_id = ${appId}::uuid`, { runAt: new Date(Date.now() + heardMs) });
}

/** For what an app has credentials of its own. */
export async function listOwnProviders(
  tx: Pick<Transaction, '$queryRaw'>,
  appId: string,
): Promise<AppChannelProvider[]> {
  const rows = await tx.$queryRaw<{ provider: AppChannelProvider }[]>(sql`
    select provider::text from app_channels where app_id = ${appId}::uuid
  `);
  return rows.map(({ provider }) => provider);
}

/** What one app keeps for one provider. */
export interface SealedChannel {
  appId: string;
  provider: AppChannelProvider;
  credentialsCipher: Uint8Array;
}

/** All apps' own credentials, sealed. A deployment has a handful of apps. */
export function listSealedChannels(db: Pick<Database, 'appChannel'>): Promise<SealedChannel[]> {
  return db.appChannel.findMany({
    select: { appId: true, provider: true, credentialsCipher: true },
    orderBy: [{ appId: 'asc' }, { provider: 'asc' }],
  });
}

/** The JSON that {@link changeOwnChannels} sealed. Throws when it was sealed with another key. */
export function openCredentials(cipher: Cipher, { appId, provider, credentialsCipher }: SealedChannel): string {
  return cipher.decrypt(purposeOf(appId, provider), credentialsCipher);
}
