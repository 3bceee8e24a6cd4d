/** What an operation has come to. */
export interface OperationFacts {
  /** The caller's kind, such as `SERVER`; null: nobody. */
  callerKind: string | null;
  transport: 'http' | 'sse' | 'websocket';
  /** Null: nobody knows, as the document could not be read. */
  operationType: 'query' | 'mutation' | 'subscription' | null;
  /** The first error's code; null: there was no error outside the payload. */
  code: string | null;
  /** Points; null: it was refused before it was priced. */
  requestedCost: number | null;
  /** From when it was handed over until its answer, or, for a subscription, until it was begun. */
  seconds: number;
}

/** Is told what the door does. No call fails, waits, or costs more than a few microseconds. */
export interface Observer {
  operationDone(facts: OperationFacts): void;
  subscriptionOpened(): void;
  subscriptionClosed(): void;
  socketOpened(): void;
  socketClosed(): void;
}

/** Where nobody wants to know. */
export const silentObserver: Observer = {
  operationDone: () => undefined,
  subscriptionOpened: () => undefined,
  subscriptionClosed: () => undefined,
  socketOpened: () => undefined,
  socketClosed: () => undefined,
};
