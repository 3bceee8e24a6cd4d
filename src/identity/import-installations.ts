import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import { newId } from '../ids.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { StaleReadError } from '../storage/transaction.ts';
import { write } from '../storage/write.ts';
import {
  type AddressHolder,
  addressKey,
  findAddressHolders,
  insertImported,
  type PlacedImport,
} from './imported-installation-store.ts';
import { cancelPersonTargetedDeliveries, evictStalest } from './installation-owner.ts';
import { type InstallationImport, noSuchApp, type ParsedImport, parseImport } from './parse-imported-installation.ts';
import { lockUsers } from './user-identity-store.ts';
import { resolveUserReferences } from './user-reference.ts';

/** Subscribers of another push service, each with whose it is. */
export interface ImportRequest {
  principal: string;
  installations: readonly InstallationImport[];
  arePrivateEndpointsAllowed: boolean;
  idempotencyKey?: string | null | undefined;
}

/** What became of one, in a form that can be kept for a repeat. */
export type ImportResult =
  | { installationId: string; isNew: boolean }
  | { refusal: Pick<DomainError, 'code' | 'message' | 'inputPath'> };

/** @default 1_000 // installations a call */
export const importsMax = 1_000;

/**
 * Matches subscribers of another push service with users (rule U17): each address becomes an installation, without a token, of
 * the user whom its reference names. Each stands for itself: a refused one keeps no other one back. An address that is known
 * is neither doubled nor taken away: the same user's is answered as it is, any other's is refused, also a lead's, which may
 * be what a logout has left. A user who has too many installations then is logged out of those that were seen least lately
 * (decision 6), of imported ones last.
 *
 * @returns results parallel to `installations`.
 * @throws DomainError `LIMIT_EXCEEDED`, `VALUE_INVALID`, `IDEMPOTENCY_KEY_REUSED`; nothing is written then.
 */
export async function importInstallations(
  deployment: Deployment,
  { principal, idempotencyKey, installations, arePrivateEndpointsAllowed }: ImportRequest,
): Promise<{ results: ImportResult[] }> {
  if (installations.length > importsMax) {
    throw new DomainError('LIMIT_EXCEEDED', `At most ${importsMax} installations a call.`, ['installations']);
  }
  const settings = { cipher: deployment.cipher, arePrivateEndpointsAllowed };
  const parsed = installations.map((one, index) =>
    attempt(() => parseImport(one, ['installations', String(index)], settings)),
  );
  const about = { principal, mutation: 'importInstallations', idempotencyKey, input: { installations } };
  return write(deployment, about, async (tx) => {
    const placed = await place(tx, parsed);
    const imports = placed.flatMap((one) => (one instanceof DomainError ? [] : [one]));
    const madeIds = await insertImported(tx, imports);
    const holders = await findAddressHolders(
      tx,
      imports.map(({ sealed }) => sealed.addressHash),
    );
    const results = placed.map((one, index) =>
      toResult(attempt(() => match(one, { holders, madeIds, path: ['installations', String(index)] }))),
    );
    const evicted = await evictStalest(tx, {
      userIds: imports.map(({ userId }) => userId),
      attachedIds: [...madeIds],
      installationsMax: deployment.rules.installationsPerUserMax,
    });
    await cancelPersonTargetedDeliveries(tx, evicted);
    return { results };
  });
}

function attempt<Value>(decide: () => Value): Value | DomainError {
  try {
    return decide();
  } catch (error) {
    if (error instanceof DomainError) return error;
    throw error;
  }
}

/** Finds out to whom and to which app each goes, and locks the users. Parallel to `parsed`. */
async function place(
  tx: Transaction,
  parsed: readonly (ParsedImport | DomainError)[],
): Promise<(PlacedImport | DomainError)[]> {
  const imports = parsed.flatMap((one) => (one instanceof DomainError ? [] : [one]));
  const references = imports.map(({ reference }) => reference);
  const owners = await resolveUserReferences(tx, references);
  await lockUsers(
    tx,
    owners.filter((id) => id !== null),
  );
  // What was read before the locks is read again.
  const ownersNow = await resolveUserReferences(tx, references);
  if (ownersNow.some((id, index) => id !== owners[index])) throw new StaleReadError();
  const apps = await tx.$queryRaw<{ id: string }[]>(sql`select id from apps order by created_at`);
  const ownerOf = new Map(imports.map((one, index) => [one, owners[index]]));
  return parsed.map((one) => {
    if (one instanceof DomainError) return one;
    const { reference: _, appId: wanted, path, ...rest } = one;
    const app = wanted === null ? apps[0] : apps.find(({ id }) => id === wanted);
    if (!app) return noSuchApp(path);
    const userId = ownerOf.get(one);
    if (!userId) return new DomainError('NOT_FOUND', 'There is no such user.', [...path, 'user']);
    return { ...rest, id: newId(), appId: app.id, userId };
  });
}

interface Outcome {
  holders: ReadonlyMap<string, AddressHolder>;
  madeIds: ReadonlySet<string>;
  path: readonly string[];
}

/** The installation that holds the address now. @throws DomainError `STATE_CONFLICT` when it is somebody else's. */
function match(one: PlacedImport | DomainError, { holders, madeIds, path }: Outcome) {
  if (one instanceof DomainError) throw one;
  const holder = holders.get(addressKey(one.sealed.addressHash));
  // Whoever held it when it was to be written has lost it since.
  if (!holder) throw new StaleReadError();
  if (holder.userId !== one.userId) {
    throw new DomainError('STATE_CONFLICT', 'Another user has an installation with this address.', [
      ...path,
      'address',
    ]);
  }
  return { installationId: holder.id, isNew: madeIds.has(one.id) };
}

function toResult(one: Exclude<ImportResult, { refusal: unknown }> | DomainError): ImportResult {
  if (!(one instanceof DomainError)) return one;
  const { code, message, inputPath } = one;
  return { refusal: { code, message, inputPath } };
}
