import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import type { Grant } from '../graphql/context.ts';
import type { Database } from '../storage/database.ts';

/** A document that somebody was given to run. */
export interface RegisteredOperation extends Grant {
  document: string;
}

/** For whom it is registered. */
export type OperationOwner = { partner: string } | { appId: string };

/** What is registered, by its owner and id. */
export interface RegisteredOperations {
  /**
   * Null when there is none.
   *
   * @param beforeLook called before the database is asked; what it throws is thrown.
   */
  find(
    owner: OperationOwner,
    documentId: string,
    beforeLook: () => Promise<unknown>,
  ): Promise<RegisteredOperation | null>;
  /** Forgets everything: operations may have changed. */
  forget(): void;
}

/** How long an operation is taken for what it was. @default 500 */
const rememberedMs = 500;
/** How exactly that is kept: the time is looked at so often, and not for each request. @default 50 */
const ttlResolution = 50;
/** @default 5_000 // operations */
const rememberedMax = 5_000;

const pinnedSchema = z.record(z.string(), z.unknown());

/** Anything else names nothing, and need not be a text that PostgreSQL takes. */
const documentIdPattern = /^sha256:[0-9a-f]{64}$/;

/** Looks operations up in the database, and remembers them for half a second. */
export function createRegisteredOperations(db: Database): RegisteredOperations {
  const known = new LRUCache<string, RegisteredOperation>({ max: rememberedMax, ttl: rememberedMs, ttlResolution });
  // What was looked up before is not for those who ask after it.
  let forgottenCount = 0;
  return {
    async find(owner, documentId, beforeLook) {
      if (!documentIdPattern.test(documentId)) return null;
      const name = JSON.stringify([owner, documentId]);
      const remembered = known.get(name);
      if (remembered) return remembered;
      await beforeLook();
      const asOf = forgottenCount;
      const row = await db.registeredOperation.findFirst({ where: { ...owner, documentId } });
      if (!row) return null;
      const { id, document, pinnedVariables, isMutationGranted, scopeAppId, scopeSegmentId } = row;
      const pinned = pinnedSchema.parse(pinnedVariables);
      const found = { id, document, pinnedVariables: pinned, isMutationGranted, scopeAppId, scopeSegmentId };
      if (asOf === forgottenCount) known.set(name, found);
      return found;
    },
    forget() {
      forgottenCount += 1;
      known.clear();
    },
  };
}
