import { GraphQLError } from 'graphql';
import { DomainError } from '../errors.ts';
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
    const extensions = { code: 'BAD_USER_INPUT', reason: cause.code, inputPath: cause.path };
    return new GraphQLError(cause.message, { ...place, extensions });
  }
  const thrown = cause instanceof GraphQLError ? cause : error;
  const isCallers = thrown instanceof GraphQLError && (cause === null || cause instanceof GraphQLError);
  if (isCallers) {
    const { http, ...told } = thrown.extensions;
    const code = typeof told.code === 'string' && !told.code.startsWith('GRAPHQL_') ? told.code : 'BAD_USER_INPUT';
    return new GraphQLError(thrown.message, { ...place, extensions: { code, ...(http ? { http } : {}) } });
  }
  log.error({ err: cause }, 'An operation failed.');
  return new GraphQLError('Something went wrong on the server.', {
    ...place,
    extensions: { code: 'INTERNAL_SERVER_ERROR' },
  });
}
