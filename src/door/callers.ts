import { hash } from 'node:crypto';
import { GraphQLError } from 'graphql';
import { LRUCache } from 'lru-cache';
import type { Caller } from '../apps/caller.ts';
import { findCaller } from '../apps/find-caller.ts';
import type { Database } from '../storage/database.ts';
import { refuseThrottled, type Throttle } from './throttle/throttle.ts';

/** A longer one is none of ours. @default 512 // characters */
const secretCharactersMax = 512;

/** How long a caller is taken for who it was. What was revoked begins nothing more after that. @default 500 */
const rememberedMs = 500;

/** How exactly that is kept: the time is looked at so often, and not for each request. @default 50 */
const ttlResolution = 50;

/** @default 10_000 // callers */
const rememberedMax = 10_000;

/** Unknown keys from one address prefix. @default 5_000 at once, 100 a second */
const guessBudget = { limit: 5_000, drainPerSecond: 100 } as const;

/** Who calls, by what they show. */
export interface Callers {
  /**
   * Who calls, by an `Authorization` value: `Bearer <key or token>`. None at all is nobody (null).
   *
   * @param addressPrefix where it is asked from.
   * @throws GraphQLError `UNAUTHENTICATED` (HTTP 401) for anything else than a secret that is in force; it says no more.
   * `THROTTLED` (HTTP 429) where too many have come that are none.
   */
  authenticate(authorization: string | null, addressPrefix: () => string): Promise<Caller | null>;
  /** As `authenticate`, for those who are remembered. Undefined: it takes a look to know. */
  recall(authorization: string | null): Caller | null | undefined;
  /** Forgets everybody: keys may have changed. */
  forget(): void;
}

/** Looks callers up in the database, and remembers them for half a second: a busy key is looked up twice a second. */
export function createCallers(db: Database, throttle: Throttle): Callers {
  const known = new LRUCache<string, Caller>({ max: rememberedMax, ttl: rememberedMs, ttlResolution });
  const looks = new Map<string, Promise<Caller | null>>();

  // What was looked up before is not for those who ask after it.
  let forgottenCount = 0;

  async function look(name: string, secret: string): Promise<Caller | null> {
    const asOf = forgottenCount;
    try {
      const caller = await findCaller(db, secret);
      if (caller && asOf === forgottenCount) known.set(name, caller);
      return caller;
    } finally {
      looks.delete(name);
    }
  }

  /** Who guesses is slowed down: a look is paid for by its address, and given back to whoever turns out to be somebody. */
  async function lookOnce(name: string, secret: string, addressPrefix: string): Promise<Caller | null> {
    const budget = { ...guessBudget, name: `guesses ${addressPrefix}` };
    const bucket = await throttle.take(budget, 1);
    if (!bucket.isTaken) throw refuseThrottled('Too many unknown keys', bucket);
    const underWay = looks.get(name) ?? look(name, secret);
    looks.set(name, underWay);
    const caller = await underWay;
    if (caller) throttle.giveBack(budget, 1);
    return caller;
  }

  function recall(name: string): Caller | undefined {
    const caller = known.get(name);
    return caller && !hasExpiredSince(caller) ? caller : undefined;
  }

  async function find(secret: string, addressPrefix: () => string): Promise<Caller | null> {
    const name = nameOf(secret);
    return recall(name) ?? lookOnce(name, secret, addressPrefix());
  }

  return {
    async authenticate(authorization, addressPrefix) {
      if (authorization === null) return null;
      const secret = parseAuthorization(authorization);
      const caller = secret === null ? null : await find(secret, addressPrefix);
      if (caller) return caller;
      throw new GraphQLError('The key or token is not in force.', {
        extensions: { code: 'UNAUTHENTICATED', http: { status: 401 } },
      });
    },
    recall(authorization) {
      if (authorization === null) return null;
      const secret = parseAuthorization(authorization);
      return secret === null ? undefined : recall(nameOf(secret));
    },
    forget() {
      forgottenCount += 1;
      known.clear();
      // What is being looked up may be from before, and is not for those who ask from now on.
      looks.clear();
    },
  };
}

/** A secret is known by its hash: how long a comparison takes tells nothing of the secret. */
function nameOf(secret: string): string {
  return hash('sha256', secret, 'base64');
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
