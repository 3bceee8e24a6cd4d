import type { Logger } from '../logger.ts';

const firstDelayMs = 50;
const lastDelayMs = 2_000;
/** What fails again so soon was not well: the pauses go on growing, and the log gets a line in seconds, not hundreds. */
const relapseWithinMs = 10_000;

/** Keeps the log quiet and the attempts apart while something that is needed does not answer. */
export interface Outage {
  /** Notes a failure, logging the first of an outage. Returns how long to wait before the next attempt, in milliseconds. */
  failed(error: unknown): number;
  /** Notes that it answers, logging the end of an outage. */
  over(): void;
}

/** An `Outage` that logs the sentence `began` once and `ended` once, however many attempts fail in between. */
export function createOutage(log: Logger, sentences: { began: string; ended: string }): Outage {
  let failures = 0;
  let isOver = true;
  let overAt = Number.NEGATIVE_INFINITY;
  return {
    failed(error) {
      if (isOver) {
        if (performance.now() - overAt > relapseWithinMs) failures = 0;
        isOver = false;
        // The message only: an error of a client may carry the command that failed, and with it a password.
        log.warn({ cause: error instanceof Error ? error.message : String(error) }, sentences.began);
      }
      const delayMs = Math.min(firstDelayMs * 2 ** Math.min(failures, 10), lastDelayMs);
      failures += 1;
      // Half of it is random, so that a thousand clients do not come back in step.
      return delayMs * (0.5 + Math.random() / 2);
    },
    over() {
      if (isOver) return;
      isOver = true;
      overAt = performance.now();
      log.info({}, sentences.ended);
    },
  };
}
