/** Room for so many at a time. The others wait, and go in as they came. */
export interface Places {
  /** Waits for a place, which `leave` gives back. False: `signal` aborted before there was one. */
  enter(signal: AbortSignal): Promise<boolean>;
  /** Whoever has waited for longest goes in. */
  leave(): void;
}

/** @param count how many at a time. */
export function createPlaces(count: number): Places {
  const waiting = new Set<() => void>();
  let taken = 0;
  return {
    async enter(signal) {
      if (signal.aborted) return false;
      if (taken < count) {
        taken += 1;
        return true;
      }
      const { promise, resolve } = Promise.withResolvers<boolean>();
      const goIn = () => resolve(true);
      const giveUp = () => resolve(!waiting.delete(goIn));
      waiting.add(goIn);
      signal.addEventListener('abort', giveUp, { once: true });
      const hasEntered = await promise;
      signal.removeEventListener('abort', giveUp);
      return hasEntered;
    },
    leave() {
      const [next] = waiting;
      if (!next) {
        taken -= 1;
        return;
      }
      waiting.delete(next);
      next();
    },
  };
}
