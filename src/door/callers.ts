import { hash } from 'node:crypto';
import { GraphQLError } from 'graphql';
import { LRUCache } from 'lru-cache';
import type { Caller } from '../apps/caller.ts';
import { findCaller } from '../apps/find-caller.ts';
import type { Database } from '../storage/database.ts';

/** A longer one is none of ours. @default 512 // characters */
const secretCharactersMax = 512;

/** How long a caller is taken for who it was. What was revoked begins nothing more after that. @default 500 */
const rememberedMs = 500;

/** @default 10_000 // callers */
const rememberedMax = 10_000;

/** Who calls, by what they show. */
export interface Callers {
  /**
   * Who calls, by an `Authorization` value: `Bearer <key or token>`. None at all is nobody (null).
   *
   * @throws GraphQLError `UNAUTHENTICATED` (HTTP 401) for anything else than a secret that is in force; it says no more.
   */
  authenticate(authorization: string | null): Promise<Caller | null>;
  /** Forgets everybody: keys may have changed. */
  forget(): void;
}

/** Looks callers up in the database, and remembers them for half a second: a busy key is looked up twice a second. */
export function createCallers(db: Database): Callers {
  const known = new LRUCache<string, Caller>({ max: rememberedMax, ttl: rememberedMs });
  const looks = new Map<string, Promise<Caller | null>>();

  async function look(name: string, secret: string): Promise<Caller | null> {
    try {
      const caller = await findCaller(db, secret);
      if (caller) known.set(name, caller);
      return caller;
    } finally {
      looks.delete(name);
    }
  }

  async function find(secret: string): Promise<Caller | null> {
    // By the hash: how long a comparison takes tells nothing of the secret.
    const name = hash('sha256', secret, 'base64');
    const caller = known.get(name);
    if (caller && !hasExpiredSince(caller)) return caller;
    const underWay = looks.get(name) ?? look(name, secret);
    looks.set(name, underWay);
    return underWay;
  }

  return {
    async authenticate(authorization) {
      if (authorization === null) return null;
      const secret = parseAuthorization(authorization);
      const caller = secret === null ? null : await find(secret);
      if (caller) return caller;
      throw new GraphQLError('The key or token is not in force.', {
        extensions: { code: 'UNAUTHENTICATED', http: { status: 401 } },
      });
    },
    forget() {
      known.clear();
      // What is being looked up may be from before, and is not for those who ask from now on.
      looks.clear();
    },
  };
}

/** Whether the token has expired while its holder was remembered. */
function hasExpiredSince(caller: Caller): boolean {
  return caller.kind === 'INSTALLATION' && !caller.isExpired && caller.expiresAt.getTime() <= Date.now();
}

function parseAuthorization(authorization: string): string | null {
  const [scheme, secret, ...rest] = authorization.split(' ');
  const isBearer = scheme?.toLowerCase() === 'bearer' && rest.length === 0;
  const isPlausible =
    isBearer && secret !== undefined && secret !== '' && secret.length <= secretCharactersMax && !secret.includes('\0');
  return isPlausible ? secret : null;
}
