import { setTimeout as sleep } from 'node:timers/promises';
import type { AccessAnswer } from '../log/log.ts';
import type { AccessPosition, AccessQuestion } from '../log/log-query.ts';
import type { Outage } from '../outage.ts';
import { untilAborted } from '../until-aborted.ts';

/** By what right somebody reads a stream. */
export interface Access {
  /** Who reads, as `access_changes` name it: an installation or an API key. */
  readonly subjectId: string;
  /** When the right ends by itself; null: it does not. */
  readonly expiresAt: Date | null;
  /** What to tell the reader if the right has ended by now; null while it has not. Rejects when that cannot be found out. */
  findRefusal(): Promise<Error | null>;
}

/**
 * Stands between a stream and who reads it. It shuts as soon as the reader's rights may have become less, and opens again
 * when they turn out to be enough; if not, the stream ends.
 */
export interface Gate {
  readonly isShut: boolean;
  /** Looks at the rights anew, and lets nothing pass until then. */
  shut(): void;
  /** What a page has to ask for, so that it also tells whether the reader may still have it. */
  question(): AccessQuestion | undefined;
  /** Takes note of what a page has told, and shuts if it must. */
  heed(answer: AccessAnswer): void;
  /** Resolves when it is open. Rejects when the stream ends. */
  passed(): Promise<void>;
}

/** For a stream that is read by no particular right: it lets everything pass. */
export const noGate: Gate = {
  isShut: false,
  shut: () => undefined,
  question: () => undefined,
  heed: () => undefined,
  passed: async () => undefined,
};

interface GateOptions {
  access: Access;
  outage: Outage;
  /** Calls back whenever rights have become less; returns how to stop it. */
  guard(subjectId: string, onChanged: () => void): () => void;
  /** Ends the stream with what its reader is told. */
  refuse(refusal: Error): void;
  /** Aborts when the stream ends. */
  signal: AbortSignal;
}

/** Timers cannot be set for longer. */
const longestTimerMs = 2 ** 31 - 1;

/** A gate that shuts for the first time with the first page, or by `shut`: nobody knows what has changed before it stood here. */
export function createGate({ access, outage, guard, refuse, signal }: GateOptions): Gate {
  let accessPosition: AccessPosition | undefined;
  let asking: Promise<void> | undefined;
  let isDue = false;
  let timer: NodeJS.Timeout | undefined;

  function shut() {
    isDue = true;
    asking ??= ask();
  }

  async function ask() {
    while (isDue && !signal.aborted) {
      isDue = false;
      try {
        const refusal = await access.findRefusal();
        outage.over();
        if (refusal) refuse(refusal);
      } catch (error) {
        // There is nobody to ask for any more.
        if (signal.aborted) break;
        isDue = true;
        await sleep(outage.failed(error), undefined, { signal }).catch(() => undefined);
      }
    }
    asking = undefined;
  }

  function waitForExpiry(expiresAt: Date) {
    const ms = expiresAt.getTime() - Date.now();
    // Asked at its time, and a little later again where the database's clock is behind this one.
    if (ms <= 0) shut();
    timer = setTimeout(waitForExpiry, Math.min(Math.max(ms, 500), longestTimerMs), expiresAt);
  }

  const stopGuarding = guard(access.subjectId, shut);
  signal.addEventListener(
    'abort',
    () => {
      stopGuarding();
      clearTimeout(timer);
    },
    { once: true },
  );
  if (access.expiresAt) waitForExpiry(access.expiresAt);

  return {
    get isShut() {
      return asking !== undefined;
    },
    shut,
    question() {
      if (accessPosition === undefined) return undefined;
      return { subjectId: access.subjectId, after: accessPosition };
    },
    heed(answer) {
      if (accessPosition === undefined || answer.changedSubjectIds.includes(access.subjectId)) shut();
      accessPosition = answer.accessPosition;
    },
    async passed() {
      while (asking) await untilAborted(asking, signal);
      signal.throwIfAborted();
    },
  };
}
