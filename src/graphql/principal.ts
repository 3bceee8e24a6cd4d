import type { Context } from './context.ts';
import { refuseCaller } from './refuse-caller.ts';

/** Who is to be recorded as having done what the operation does. @throws GraphQLError `UNAUTHENTICATED` for nobody. */
export function principalOf({ caller }: Pick<Context, 'caller'>): string {
  if (!caller) throw refuseCaller(caller);
  return caller.principal;
}
