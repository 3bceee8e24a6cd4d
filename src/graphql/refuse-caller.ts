import { GraphQLError } from 'graphql';
import type { Caller } from '../apps/caller.ts';

/** What someone is told who may not do this: to say who they are, if they have not, and else no more than no. */
export function refuseCaller(caller: Caller | null): GraphQLError {
  if (caller === null || (caller.kind === 'INSTALLATION' && caller.isExpired)) {
    return new GraphQLError('Authenticate with a key or an installation token that is in force.', {
      extensions: { code: 'UNAUTHENTICATED' },
    });
  }
  return new GraphQLError('This caller may not do this.', { extensions: { code: 'FORBIDDEN' } });
}
