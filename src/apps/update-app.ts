import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import type { UserRegistration } from '../generated/prisma/enums.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { write } from '../storage/write.ts';
import { parseAllowedOrigins } from './allowed-origins.ts';
import { findDefaultAppId } from './default-app.ts';
import { parseName } from './name.ts';
import { changeOwnChannels, listOwnProviders } from './own-channel-store.ts';
import { type OwnChannelsInput, parseOwnChannels } from './own-channels.ts';
import { parseUserTokenKeys, replaceUserTokenKeys, type UserTokenKey } from './user-token-keys.ts';

/** Settings of an app. What is absent or null stays as it is. */
export interface AppUpdate {
  principal: string;
  appId: string;
  name?: string | null | undefined;
  userRegistration?: UserRegistration | null | undefined;
  /** Replaces the present ones. */
  allowedOrigins?: readonly string[] | null | undefined;
  isLimitedToOperations?: boolean | null | undefined;
  /** Replaces the present ones. */
  userTokenKeys?: readonly UserTokenKey[] | null | undefined;
  /** By what it sends: of each provider, null removes its own credentials. */
  channels?: OwnChannelsInput | null | undefined;
  idempotencyKey?: string | null | undefined;
}

/** @throws DomainError `NOT_FOUND` (the app), `VALUE_INVALID`, `NAME_TAKEN`, `IDEMPOTENCY_KEY_REUSED`. */
export async function updateApp(deployment: Deployment, request: AppUpdate): Promise<{ appId: string }> {
  const { principal, idempotencyKey, ...input } = request;
  const { appId, userRegistration, isLimitedToOperations } = input;
  const name = typeof input.name === 'string' ? parseName(input.name) : undefined;
  const allowedOrigins = input.allowedOrigins ? parseAllowedOrigins(input.allowedOrigins) : undefined;
  const userTokenKeys = input.userTokenKeys ? parseUserTokenKeys(input.userTokenKeys) : undefined;
  return write(deployment, { principal, mutation: 'updateApp', idempotencyKey, input }, async (tx) => {
    await lockApp(tx, appId);
    if (name !== undefined) await refuseTakenName(tx, appId, name);
    await tx.$executeRaw(sql`
      update apps set
        name = coalesce(${name ?? null}, name),
        user_registration = coalesce(${userRegistration ?? null}::user_registration, user_registration),
        allowed_origins = coalesce(${allowedOrigins ?? null}::text[], allowed_origins),
        is_limited_to_operations = coalesce(${isLimitedToOperations ?? null}::boolean, is_limited_to_operations)
      where id = ${appId}::uuid
    `);
    if (input.channels) {
      const changes = parseOwnChannels(input.channels, {
        isDefaultApp: appId === (await findDefaultAppId(tx)),
        present: await listOwnProviders(tx, appId),
      });
      await changeOwnChannels(tx, deployment.cipher, { appId, changes });
    }
    if (userTokenKeys) await replaceUserTokenKeys(tx, deployment.cipher, { appId, keys: userTokenKeys });
    return { appId };
  });
}

async function lockApp(tx: Transaction, appId: string): Promise<void> {
  const [app] = await tx.$queryRaw<unknown[]>(sql`select id from apps where id = ${appId}::uuid for no key update`);
  if (!app) throw new DomainError('NOT_FOUND', 'There is no such app.', ['app']);
}

/** Of two that take a name at once, the unique index stops one, which then comes here again. */
async function refuseTakenName(tx: Transaction, appId: string, name: string): Promise<void> {
  const [other] = await tx.$queryRaw<unknown[]>(sql`select id from apps where name = ${name} and id <> ${appId}::uuid`);
  if (other) throw new DomainError('NAME_TAKEN', 'Another app has this name.', ['name']);
}
