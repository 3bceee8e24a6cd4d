import { tracingChannel } from 'node:diagnostics_channel';
import { afterAll, beforeAll } from 'vitest';

/** Executions of subscriptions in this process, one for each event that is executed. */
export interface ExecutionCounter {
  /** How many there were since the last call of this. */
  take(): number;
}

/** Gives the test file that calls it, once and at its top level, what graphql tells of itself by its diagnostics channel. */
export function useExecutionCounter(): ExecutionCounter {
  const channel = tracingChannel('graphql:execute:rootSelectionSet');
  let count = 0;
  const onStart = (execution: unknown) => {
    if (Object(execution).operationType === 'subscription') count += 1;
  };
  beforeAll(() => channel.start.subscribe(onStart));
  afterAll(() => void channel.start.unsubscribe(onStart));
  return {
    take() {
      const taken = count;
      count = 0;
      return taken;
    },
  };
}
