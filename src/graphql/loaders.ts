import DataLoader from 'dataloader';
import type { Database } from '../storage/database.ts';

/** How one relation is loaded: all keys of one level of a query in one go, answers parallel to them. */
export interface Loader<Key, Value> {
  load(db: Database, keys: readonly Key[]): Promise<readonly Value[]>;
  /** Two keys with one identity are one key. Needed where keys are objects. */
  identity?(key: Key): string;
}

/** The dataloaders of one operation: made when first used, forgotten as soon as something was written. */
export class Loaders {
  readonly #db: Database;
  // A loader's type is known where it is asked for by its definition, which is the key.
  #loaders = new Map<object, unknown>();

  constructor(db: Database) {
    this.#db = db;
  }

  load<Key, Value>(loader: Loader<Key, Value>, key: Key): Promise<Value> {
    return this.#of(loader).load(key);
  }

  loadMany<Key, Value>(loader: Loader<Key, Value>, keys: readonly Key[]): Promise<Value[]> {
    return Promise.all(keys.map((key) => this.load(loader, key)));
  }

  /** Forgets everything: after a write, and before the next event of a subscription. */
  renew(): void {
    this.#loaders = new Map();
  }

  #of<Key, Value>(loader: Loader<Key, Value>): DataLoader<Key, Value, unknown> {
    const known = this.#loaders.get(loader);
    if (known instanceof DataLoader) return known;
    const identity = loader.identity?.bind(loader);
    const made = new DataLoader<Key, Value, unknown>((keys) => loader.load(this.#db, keys), {
      cacheKeyFn: (key) => (identity ? identity(key) : key),
    });
    this.#loaders.set(loader, made);
    return made;
  }
}

/** A loader of rows by id, null where there is none. `find` gets each id once. */
export function byId<Row>(
  find: (db: Database, ids: string[]) => Promise<readonly (Row & { id: string })[]>,
): Loader<string, Row | null> {
  return {
    async load(db, ids) {
      const rows = new Map((await find(db, [...ids])).map((row) => [row.id, row]));
      return ids.map((id) => rows.get(id) ?? null);
    },
  };
}
