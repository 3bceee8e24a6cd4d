import { StartupError } from '../errors.ts';

/** What an operator can do about an error code of Node (`E…`) or of PostgreSQL (appendix A of its manual). */
const explanations: Record<string, (target: Target) => string> = {
  ECONNREFUSED: ({ address }) => `nothing accepts connections at ${address}; is PostgreSQL running there?`,
  ECONNRESET: ({ address }) => `${address} closed the connection; is it PostgreSQL?`,
  ENOTFOUND: ({ host }) => `there is no host named "${host}".`,
  EAI_AGAIN: ({ host }) => `the host "${host}" could not be looked up.`,
  ETIMEDOUT: ({ address }) => `${address} does not answer.`,
  EHOSTUNREACH: ({ host }) => `there is no route to the host "${host}".`,
  ENETUNREACH: ({ host }) => `there is no route to the host "${host}".`,
  ENOENT: ({ address }) => `there is no socket for ${address}; is PostgreSQL running there?`,
  '28P01': ({ user }) => `the password of user "${user}" is wrong.`,
  '28000': ({ user, address }) => `${address} does not let user "${user}" in.`,
  '3D000': ({ database }) => `there is no database "${database}"; create it first.`,
  '42501': ({ user, database }) => `user "${user}" lacks a right on database "${database}" that the program needs.`,
  '53300': ({ address }) => `${address} has no free connection.`,
  '57P03': ({ address }) => `${address} is starting up or shutting down; try again.`,
  '57P01': ({ address }) => `${address} is shutting down; try again.`,
};

interface Target {
  host: string;
  /** `host:port`, for the reader. */
  address: string;
  user: string;
  database: string;
}

/**
 * One sentence for the operator about why the database at `url` cannot be used, without its password. The error that
 * PostgreSQL, `pg` or Node gave stays as the cause.
 */
export function explainDatabaseError(error: unknown, url: string): StartupError {
  const target = readTarget(url);
  const code = errorCode(error);
  const explanation = code === null ? undefined : explanations[code];
  const reason = explanation ? explanation(target) : explainWithoutCode(error, target, code);
  return new StartupError(`The database of DATABASE_URL cannot be used: ${reason}`, { cause: error });
}

/** `pg` gives a refusal of both ::1 and 127.0.0.1 as one AggregateError: its first member tells enough. */
function errorCode(error: unknown): string | null {
  if (error instanceof AggregateError && error.errors.length > 0) return errorCode(error.errors[0]);
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return null;
}

// `pg` itself throws plain errors: only their words tell them apart.
function explainWithoutCode(error: unknown, { address, user }: Target, code: string | null): string {
  const message = error instanceof Error ? error.message : '';
  if (/timeout/i.test(message)) return `${address} does not answer.`;
  if (/does not support SSL/i.test(message)) return `${address} does not speak TLS; leave "sslmode" out of the URL.`;
  if (/SASL|password must be a string/i.test(message)) return `user "${user}" needs a password, and the URL has none.`;
  if (/terminated unexpectedly/i.test(message)) return `${address} closed the connection; is it PostgreSQL?`;
  return code === null ? `${address} gave an unexpected answer.` : `${address} answered with error ${code}.`;
}

function readTarget(url: string): Target {
  if (!URL.canParse(url)) return { host: '', address: 'it', user: '', database: '' };
  const { hostname, port, username, pathname } = new URL(url);
  const host = hostname || 'localhost';
  const user = decodeURIComponent(username);
  return {
    host,
    address: `${host}:${port || '5432'}`,
    user,
    database: decodeURIComponent(pathname.slice(1)) || user,
  };
}
