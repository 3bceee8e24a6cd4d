/** Remembers that something happened until somebody has looked. One waits at a time. */
export interface Latch {
  open(): void;
  /** Resolves once it is open, and closes it. */
  passed(): Promise<void>;
}

/** A closed latch. */
export function createLatch(): Latch {
  let isOpen = false;
  let pass: (() => void) | undefined;
  return {
    open() {
      if (!pass) {
        isOpen = true;
        return;
      }
      pass();
      pass = undefined;
    },
    passed() {
      if (isOpen) {
        isOpen = false;
        return Promise.resolve();
      }
      return new Promise((resolve) => {
        pass = resolve;
      });
    },
  };
}
