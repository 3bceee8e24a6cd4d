/**
 * Wake-ups: "the log has grown, look". They carry nothing, may be lost, doubled or late, and only ever shorten a wait:
 * whoever listens also polls.
 */
export interface Bus {
  /** Wakes every listener of every process, this one too. Never throws and never waits: a lost wake-up costs latency only. */
  wake(): void;
  /** Calls `listener` on each wake-up until the returned function is called. */
  listen(listener: () => void): () => void;
  /** Whether wake-ups reach other processes, as far as is known; where there is no way to any, they need none. Never waits. */
  isServing(): boolean;
  close(): Promise<void>;
}
