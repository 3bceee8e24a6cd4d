import { findCallerAgain } from '../apps/find-caller.ts';
import type { Access } from '../stream/gate.ts';
import type { Context } from './context.ts';
import { Loaders } from './loaders.ts';
import { refuseCaller } from './refuse-caller.ts';

/**
 * By what right the caller reads a stream: as long as its key or token is in force, and `mayRead`, asked anew with fresh
 * loaders, says yes. What it is told when that ends: `UNAUTHENTICATED`, or `FORBIDDEN`.
 *
 * @throws GraphQLError `UNAUTHENTICATED` for nobody.
 */
export function readAccess(context: Context, mayRead: (now: Context) => Promise<boolean> = async () => true): Access {
  // Without what was loaded: this lasts as long as the stream.
  const { loaders: _, ...lasting } = context;
  const { caller, db } = lasting;
  if (!caller) throw refuseCaller(caller);
  return {
    subjectId: caller.subjectId,
    expiresAt: caller.kind === 'INSTALLATION' ? caller.expiresAt : null,
    async findRefusal() {
      const now = await findCallerAgain(db, caller);
      if (!now || (now.kind === 'INSTALLATION' && now.isExpired)) return refuseCaller(null);
      return (await mayRead({ ...lasting, caller: now, loaders: new Loaders(db) })) ? null : refuseCaller(now);
    },
  };
}
