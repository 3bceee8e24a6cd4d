import type { Logger } from './logger.ts';
import type { Cipher } from './storage/cipher.ts';
import type { Database } from './storage/database.ts';
import type { Bus } from './stream/bus/bus.ts';

/** What every verb of one deployment works on. Made once, in `app.ts`. */
export interface Deployment {
  db: Database;
  bus: Bus;
  cipher: Cipher;
  log: Logger;
}
