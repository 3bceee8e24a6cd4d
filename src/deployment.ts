import type { Logger } from './logger.ts';
import type { Cipher } from './storage/cipher.ts';
import type { Database } from './storage/database.ts';
import type { Bus } from './stream/bus/bus.ts';

/** What an operator has decided of identity. */
export interface IdentityRules {
  /** Identifiers that name nobody (decision 6), in lower case; what is empty or all zeros is none either. */
  blockedIdentifiers: ReadonlySet<string>;
  /** Whether a scalar under a name that nobody has defined defines it by its type (rule U13), or is refused. */
  undeclaredAttributes: 'REFUSE' | 'INFER';
  /** Installations of one user. One more evicts the one that was seen least lately. */
  installationsPerUserMax: number;
  /** How often users may be merged into one within 24 hours. Absorbed leads do not count. */
  mergesPerDayMax: number;
}

/** What every verb of one deployment works on. Made once, in `app.ts`. */
export interface Deployment {
  db: Database;
  bus: Bus;
  cipher: Cipher;
  log: Logger;
  rules: IdentityRules;
  /** Where people reach the program, without a slash at the end. Null: nobody has said. */
  publicUrl: string | null;
}
