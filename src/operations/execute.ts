import type { ExecutionResult, ValidatedExecutionArgs } from 'graphql';
import { createSharedExecutionContext } from 'graphql/execution/createSharedExecutionContext.js';
import { ExecutorThrowingOnIncremental } from 'graphql/execution/ExecutorThrowingOnIncremental.js';

/** No resolver here asks for `info.getAbortSignal()`; it would never be aborted. */
const neverAborted = new AbortController().signal;

/**
 * Executes a query, a mutation, or what a subscription has yielded, as graphql-js's `executeRootSelectionSet` and
 * `executeSubscriptionEvent` do. These make an AbortController for each execution, and abort it at the end for whoever may
 * still be at work; the error that this makes, with its stack, took a seventh of the time of a small operation.
 */
export async function execute(args: ValidatedExecutionArgs): Promise<ExecutionResult> {
  const shared = createSharedExecutionContext(neverAborted);
  return new ExecutorThrowingOnIncremental(args, shared).executeRootSelectionSet();
}
