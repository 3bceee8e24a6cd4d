import { GraphQLError } from 'graphql';
import type { Caller } from '../apps/caller.ts';
import { documentIdOf } from '../operations/prepare-operation.ts';
import type { AppsSettings } from './app-settings.ts';
import type { OperationOwner, RegisteredOperation, RegisteredOperations } from './registered-operations.ts';

/** An operation as a transport was handed it. */
export interface OperationRequest {
  /** The text of a document. */
  query?: string | null | undefined;
  /** The name of a registered document: `sha256:<hex>`. */
  documentId?: string | null | undefined;
  operationName?: string | null | undefined;
  variables?: Readonly<Record<string, unknown>> | null | undefined;
  extensions?: Readonly<Record<string, unknown>> | null | undefined;
}

/** The text that is to be run. */
export interface ChosenDocument {
  text: string;
  /** As what it is registered; null: it is the caller's own. */
  registered: RegisteredOperation | null;
}

interface DocumentSources {
  registered: RegisteredOperations;
  apps: AppsSettings;
  /** Called before the database is asked for a document; what it throws is thrown. */
  beforeLook: () => Promise<unknown>;
}

/**
 * Finds the text that a request asks to be run: its own, or the registered one that it names by `documentId` or, as Apollo
 * clients do, by `extensions.persistedQuery.sha256Hash`. Partners run what is registered for them and nothing else, and so
 * do clients of an app that is limited so.
 *
 * @throws GraphQLError `OPERATION_NOT_ALLOWED`, or `BAD_USER_INPUT` when the request names no document, or two.
 */
export async function chooseDocument(
  request: OperationRequest,
  caller: Caller | null,
  { registered, apps, beforeLook }: DocumentSources,
): Promise<ChosenDocument> {
  // Over WebSocket, a query that is empty stands for none.
  const text = request.query || null;
  const hash = apolloHash(request);
  const documentId = request.documentId ?? (hash === null ? null : `sha256:${hash}`);
  if (text !== null && documentId !== null && documentIdOf(text) !== documentId) {
    throw badRequest('The hash is not that of the document.');
  }
  const owner = ownerOf(caller);
  const found = documentId !== null && owner ? await registered.find(owner, documentId, beforeLook) : null;
  if (found) return { text: found.document, registered: found };
  const isClient = caller !== null && 'appId' in caller;
  if (caller?.kind === 'PARTNER' || (isClient && (await apps.isLimitedToOperations(caller)))) {
    throw notRegistered(hash);
  }
  if (text !== null) return { text, registered: null };
  if (documentId !== null) throw notRegistered(hash);
  throw badRequest('Give a document: its text as query, or the documentId of a registered one.');
}

/** To these words Apollo clients answer with the text. */
const apolloWords = 'PersistedQueryNotFound';

function notRegistered(hash: string | null): GraphQLError {
  const message = hash === null ? 'No such operation is registered for this caller.' : apolloWords;
  return new GraphQLError(message, { extensions: { code: 'OPERATION_NOT_ALLOWED' } });
}

function ownerOf(caller: Caller | null): OperationOwner | null {
  if (caller?.kind === 'PARTNER') return { partner: caller.partner };
  return caller && 'appId' in caller ? { appId: caller.appId } : null;
}

function apolloHash({ extensions }: OperationRequest): string | null {
  const persisted = extensions?.persistedQuery;
  if (typeof persisted !== 'object' || persisted === null || !('sha256Hash' in persisted)) return null;
  const { sha256Hash } = persisted;
  if (typeof sha256Hash === 'string' && /^[0-9a-f]{64}$/i.test(sha256Hash)) return sha256Hash.toLowerCase();
  throw badRequest('extensions.persistedQuery.sha256Hash is a SHA-256 in hex.');
}

function badRequest(message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT', http: { status: 400 } } });
}
