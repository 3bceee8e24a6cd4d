import { GraphQLError } from 'graphql';
import type { Caller } from '../apps/caller.ts';
import type { Observer } from '../observability/observer.ts';

/**
 * Subscriptions that a caller may have open at one gateway. @default 100_000 for server and dashboard keys, which many
 * dashboards share; 1_000 for a partner's; 50 for an installation
 */
const openMax = { SERVER: 100_000, DASHBOARD: 100_000, PARTNER: 1_000, INSTALLATION: 50, APP: 0, nobody: 0 } as const;

/** How many subscriptions each caller has open in this process. */
export interface SubscriptionCount {
  /**
   * Counts one more.
   *
   * @returns how to count it no more; may be called again.
   * @throws GraphQLError `THROTTLED` when the caller has as many as it may have.
   */
  open(caller: Caller | null): () => void;
}

export function createSubscriptionCount(observer: Observer): SubscriptionCount {
  const counts = new Map<string, number>();
  return {
    open(caller) {
      const [name, most] = [caller?.subjectId ?? 'nobody', openMax[caller?.kind ?? 'nobody']];
      const count = counts.get(name) ?? 0;
      // Whoever may have none is told why by the schema.
      if (most > 0 && count >= most) {
        throw new GraphQLError(`At most ${most} subscriptions at once.`, { extensions: { code: 'THROTTLED' } });
      }
      counts.set(name, count + 1);
      observer.subscriptionOpened();
      let isOpen = true;
      return () => {
        if (!isOpen) return;
        isOpen = false;
        observer.subscriptionClosed();
        const left = (counts.get(name) ?? 1) - 1;
        if (left > 0) counts.set(name, left);
        else counts.delete(name);
      };
    },
  };
}
