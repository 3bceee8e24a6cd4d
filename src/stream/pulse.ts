/** What a step wants next: another step at once; one on the next wake-up, or after `ms` without one; one after `ms`, no sooner. */
export type Next = { kind: 'now' } | { kind: 'onWake'; ms: number } | { kind: 'after'; ms: number };

/** Runs one step after another, never two at a time. */
export interface Pulse {
  /** Asks for a step. Wake-ups during a step are one step after it. */
  wake(): void;
  /** Sleeps without a timer until it is woken. */
  sleep(): void;
  /** Stops for good; resolves when the step that was under way has ended. */
  stop(): Promise<void>;
}

/** A pulse that sleeps. `isNeeded` is asked before each step; while it says no, nothing runs and no timer is set. */
export function createPulse(step: () => Promise<Next>, isNeeded: () => boolean): Pulse {
  let isRunning = false;
  let isHeldBack = false;
  let isWoken = false;
  let isStopped = false;
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> = Promise.resolve();

  const mayRun = () => !isStopped && isNeeded();

  async function run() {
    isRunning = true;
    clearTimeout(timer);
    let next: Next = { kind: 'now' };
    while (mayRun() && (next.kind === 'now' || (next.kind === 'onWake' && isWoken))) {
      isWoken = false;
      next = await step();
    }
    isRunning = false;
    if (next.kind === 'now' || !mayRun()) return;
    isHeldBack = next.kind === 'after';
    timer = setTimeout(resume, next.ms);
  }

  function resume() {
    isHeldBack = false;
    wake();
  }

  function wake() {
    isWoken = true;
    if (!isRunning && !isHeldBack && mayRun()) running = run();
  }

  return {
    wake,
    sleep() {
      clearTimeout(timer);
      isHeldBack = false;
    },
    async stop() {
      isStopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}
