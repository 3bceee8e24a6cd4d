import { GraphQLError } from 'graphql';
import type { Caller } from '../apps/caller.ts';
import { findCaller } from '../apps/find-caller.ts';
import type { Database } from '../storage/database.ts';

const secretCharactersMax = 512;

/**
 * Who calls, by an `Authorization` value: `Bearer <key or token>`. None at all is nobody (null).
 *
 * @throws GraphQLError `UNAUTHENTICATED` (HTTP 401) for anything else than a secret that is in force; it says no more.
 */
export async function authenticate(db: Database, authorization: string | null): Promise<Caller | null> {
  if (authorization === null) return null;
  const [scheme, secret, ...rest] = authorization.split(' ');
  const isBearer = scheme?.toLowerCase() === 'bearer' && rest.length === 0;
  const isPlausible =
    isBearer && secret !== undefined && secret !== '' && secret.length <= secretCharactersMax && !secret.includes('\0');
  const caller = isPlausible ? await findCaller(db, secret) : null;
  if (!caller) {
    throw new GraphQLError('The key or token is not in force.', {
      extensions: { code: 'UNAUTHENTICATED', http: { status: 401 } },
    });
  }
  return caller;
}
