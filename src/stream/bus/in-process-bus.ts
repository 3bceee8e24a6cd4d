import type { Bus } from './bus.ts';

/** Wake-ups within this process. All of one turn of the event loop are one call of each listener. */
export function createInProcessBus(): Bus {
  const listeners = new Set<() => void>();
  let isScheduled = false;
  let isClosed = false;

  function call() {
    isScheduled = false;
    for (const listener of [...listeners]) listener();
  }

  return {
    wake() {
      if (isScheduled || isClosed) return;
      isScheduled = true;
      setImmediate(call);
    },
    listen(listener) {
      // A function of its own, so that one listener that listens twice is called twice and stopped once at a time.
      const entry = () => listener();
      listeners.add(entry);
      return () => listeners.delete(entry);
    },
    isServing: () => true,
    async close() {
      isClosed = true;
      listeners.clear();
    },
  };
}
