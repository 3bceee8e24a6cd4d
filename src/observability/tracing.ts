/** What a span says beside its name: nothing personal, no variables, no addresses. */
export type SpanFacts = Readonly<Record<string, string | number | boolean>>;

/** What is known of an operation before its document is read. */
export interface TracedRequest {
  /** The caller's kind, such as `SERVER`; null: nobody. */
  callerKind: string | null;
  transport: 'http' | 'sse' | 'websocket';
  /** The request's header of that name (W3C Trace Context), whose trace the span joins. Null, or unreadable: a trace of its own. */
  traceparent: string | null;
}

/** Is told of an operation what is found out about it. Every call may be left out. */
export interface OperationSpan {
  /** What is asked. `documentHash`: of its text, in hexadecimal. */
  found(operation: { name: string | null; type: 'query' | 'mutation' | 'subscription'; documentHash: string }): void;
  /** `code`: the first error's; null: there was none. */
  done(outcome: { code: string | null; requestedCost: number | null }): void;
}

/** Traces of what the program does. No call fails by itself or waits. */
export interface Tracing {
  /** Runs an operation in a span of its own; of a subscription, its beginning. */
  traceOperation<Result>(request: TracedRequest, run: (span: OperationSpan) => Promise<Result>): Promise<Result>;
  /** Runs a piece of work in a span, below the one in which this is called. One that throws is told as failed. */
  trace<Result>(name: string, facts: SpanFacts, run: () => Promise<Result>): Promise<Result>;
  /** Sends what has not been sent yet, for 2 seconds at most. */
  close(): Promise<void>;
}

const silentSpan: OperationSpan = { found: () => undefined, done: () => undefined };

/** Where nobody wants to know: it only runs what it is given. */
export const noTracing: Tracing = {
  traceOperation: (_, run) => run(silentSpan),
  trace: (_, __, run) => run(),
  close: async () => undefined,
};
