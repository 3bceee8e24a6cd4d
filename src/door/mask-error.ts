import { GraphQLError } from 'graphql';
import { callerErrorCodes, DomainError } from '../errors.ts';
import type { Logger } from '../logger.ts';

/**
 * The whole disclosure policy: what a caller is told of an error outside a payload.
 *
 * - What the caller did wrong (syntax, validation, types, a refusal in a query): the message, with `BAD_USER_INPUT`.
 * - What was thrown on purpose with a code (`UNAUTHENTICATED`, `FORBIDDEN` …): as it is.
 * - Anything else is a bug or an outage: logged here, once, and told as `INTERNAL_SERVER_ERROR` without detail.
 */
export function maskError(error: unknown, log: Logger): GraphQLError {
  const cause = error instanceof GraphQLError ? (error.originalError ?? null) : error;
  const place =
    error instanceof GraphQLError
      ? { nodes: error.nodes, source: error.source, positions: error.positions, path: error.path }
      : {};
  if (cause instanceof DomainError) {
    const extensions = { code: 'BAD_USER_INPUT', reason: cause.code, inputPath: cause.inputPath };
    return new GraphQLError(cause.message, { ...place, extensions });
  }
  if (error instanceof GraphQLError && isCallers(error)) {
    const { code, http, ...facts } = { ...toGraphQLError(cause)?.extensions, ...error.extensions };
    const told = callerErrorCodes.has(code) ? code : 'BAD_USER_INPUT';
    return new GraphQLError(error.message, {
      ...place,
      extensions: { ...facts, code: told, http: http ?? toHttp(error) },
    });
  }
  if (!isMasked(error) && !isMasked(cause)) log.error({ err: cause ?? error }, 'An operation failed.');
  return new GraphQLError('Something went wrong on the server.', {
    ...place,
    extensions: { code: 'INTERNAL_SERVER_ERROR' },
  });
}

/** What a stream throws passes twice: yoga masks it, and WebSocket's error message is masked again. */
function isMasked(error: unknown): boolean {
  return error instanceof GraphQLError && error.extensions.code === 'INTERNAL_SERVER_ERROR';
}

/** Whether GraphQL itself, or somebody with a code, has refused what the caller asked. */
function isCallers(error: GraphQLError): boolean {
  const { originalError: cause } = error;
  if (isMasked(error)) return false;
  if (cause) return cause instanceof GraphQLError && (callerErrorCodes.has(cause.extensions.code) || isCallers(cause));
  // At a field and about the field as a whole, without a code: its value is not what the schema promises.
  const isBrokenPromise = error.path !== undefined && error.nodes?.[0]?.kind === 'Field';
  return callerErrorCodes.has(error.extensions.code) || !isBrokenPromise;
}

/** Before execution: 400, unless the client asks for plain `application/json`, where GraphQL over HTTP wants 200 (`spec`). */
function toHttp({ path }: GraphQLError): { status: number; spec: boolean } | undefined {
  return path === undefined ? { status: 400, spec: true } : undefined;
}

function toGraphQLError(cause: unknown): GraphQLError | null {
  return cause instanceof GraphQLError ? cause : null;
}

/** An error as JSON, without what is meant for an HTTP status. */
export function formatError({ message, locations, path, extensions: { http, ...extensions } }: GraphQLError) {
  return { message, ...(locations && { locations }), ...(path && { path }), extensions };
}
