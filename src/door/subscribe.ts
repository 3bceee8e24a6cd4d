import { createHash } from 'node:crypto';
import {
  createSourceEventStream,
  type DocumentNode,
  type ExecutionArgs,
  type ExecutionResult,
  type FormattedExecutionResult,
  Kind,
  print,
  type ValidatedSubscriptionArgs,
  validateSubscriptionArgs,
  visit,
} from 'graphql';
import type { Caller } from '../apps/caller.ts';
import type { Context } from '../graphql/context.ts';
import { Loaders } from '../graphql/loaders.ts';
import type { Logger } from '../logger.ts';
import { execute } from '../operations/execute.ts';
import type { EventStream } from '../stream/hub/hub.ts';
import type { Stream } from '../stream/hub/open-stream.ts';
import { itemsPerRender, type Sink } from '../stream/hub/relay.ts';
import { formatError, maskError } from './mask-error.ts';

// What a subscription yields is executed here, for SSE and WebSocket alike: for all events that are there at once
// together, with loaders of their own. Callers who may see everything, and ask the same of the same event, get one
// execution and one piece of JSON. Whoever may see only a part never shares: what it gets is made for it alone.

/** One event as it goes out. */
interface Answer {
  readonly result: ExecutionResult;
  /** The result as JSON, made when first asked for. */
  readonly json: () => Buffer;
}

/** An operation, ready to be executed for each event. */
interface Subscription {
  readonly args: ValidatedSubscriptionArgs;
  readonly context: Omit<Context, 'loaders'>;
  /** The same for all operations that have the same answer for the same event. Null: there are no others. */
  readonly sharedAs: string | null;
}

/** What goes on coming: the answers, or, where these go into a sink, only what ends them. */
export type Subscribed = AsyncGenerator<ExecutionResult, void, void>;

/** Whether there is more to come. */
export function isSubscribed(outcome: ExecutionResult | Subscribed): outcome is Subscribed {
  return Symbol.asyncIterator in outcome;
}

interface SubscribeOptions {
  context: Context;
  /** Where answers go by themselves (a WebSocket's), as JSON. Absent: they are yielded. */
  sink: Sink | undefined;
  /** Called once when it is over, however that comes. */
  onEnd: () => void;
}

/**
 * Makes what executes subscriptions. A stream that fails, such as one whose reader's rights have ended, yields `errors` and is
 * complete.
 */
export function createSubscriber(log: Logger) {
  const answers = new WeakMap<object, Map<string, Promise<Answer>>>();

  async function subscribe(
    given: ExecutionArgs,
    { context, sink, onEnd }: SubscribeOptions,
  ): Promise<ExecutionResult | Subscribed> {
    const prepared = validateSubscriptionArgs({ ...given, contextValue: context });
    if (!('schema' in prepared)) return { errors: prepared };
    const source = await createSourceEventStream(prepared);
    if (!isStream(source)) {
      if ('errors' in source) return source;
      throw new Error('A subscription must give a stream of the hub.');
    }
    // The context of the beginning, and all that was loaded with it, is not kept: there are thousands of these.
    const { loaders: _, ...lasting } = context;
    const args = { ...prepared, contextValue: undefined };
    const sharedAs = sharesAnswers(context.caller) ? `${context.caller.kind} ${nameOf(given)}` : null;
    const subscription = { args, context: lasting, sharedAs };
    const next = sink && isEventStream(source) ? forwardOnce(subscription, source, sink) : pull(subscription, source);
    return toResponse({ source, nextResult: next, log, onEnd });
  }

  /** Does not resolve before the stream has ended. */
  function forwardOnce(subscription: Subscription, source: EventStream, sink: Sink) {
    const render = async (items: readonly object[]) =>
      (await answerAll(subscription, items)).map((answer) => answer.json());
    return () => source.forward({ sink, render, sharedAs: subscription.sharedAs });
  }

  function pull(subscription: Subscription, source: Stream<object>) {
    let items: readonly object[] = [];
    let results: ExecutionResult[] = [];
    return async () => {
      if (results.length === 0) {
        if (items.length === 0) items = (await source.nextBatch()) ?? [];
        const answers = await answerAll(subscription, items.slice(0, itemsPerRender));
        items = items.slice(itemsPerRender);
        results = answers.map(({ result }) => result);
      }
      if (await source.mayGoOn()) return results.shift();
      // It has ended meanwhile, and tells why.
      await source.nextBatch();
      return undefined;
    };
  }

  function answerAll({ args, context, sharedAs }: Subscription, items: readonly object[]): Promise<Answer[]> {
    // A context of their own: what was loaded for earlier events is old.
    const contextValue = { ...context, loaders: new Loaders(context.db) };
    const answerOne = async (rootValue: object) => {
      const { errors, ...result } = await execute({ ...args, rootValue, contextValue });
      if (!errors) return toAnswer(result);
      const told = errors.map((error) => maskError(error, log));
      // Without data it would not even tell where the stream stands, and the next one would go on as if nothing were
      // missing. So the stream ends here, and who comes back with its last cursor gets this event.
      if (!result.data) throw told[0];
      return toAnswer({ ...result, errors: told });
    };
    return Promise.all(items.map((item) => (sharedAs === null ? answerOne(item) : share(item, sharedAs, answerOne))));
  }

  function share(item: object, sharedAs: string, answerOne: (item: object) => Promise<Answer>): Promise<Answer> {
    const known = answers.get(item) ?? new Map<string, Promise<Answer>>();
    answers.set(item, known);
    const answer = known.get(sharedAs) ?? answerOne(item);
    known.set(sharedAs, answer);
    return answer;
  }

  return subscribe;
}

/** Whether the caller may see what all others of its kind may. */
function sharesAnswers(caller: Caller | null): caller is Caller & { kind: 'SERVER' | 'DASHBOARD' } {
  return caller?.kind === 'SERVER' || caller?.kind === 'DASHBOARD';
}

/** The same for the same document, operation and variables. Where a stream begins is no matter of its events. */
function nameOf({ document, operationName, variableValues }: ExecutionArgs): string {
  const startNames = startVariables(document);
  const variables = Object.entries(variableValues ?? {}).filter(([name]) => !startNames.has(name));
  const parts = [document.loc?.source.body ?? print(document), operationName ?? null, variables.sort(byName)];
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url');
}

const byName = ([a]: [string, unknown], [b]: [string, unknown]) => (a < b ? -1 : 1);

/** The variables that say nothing but where a stream begins: those that are used as `after` of a root field only. */
function startVariables(document: DocumentNode): Set<string> {
  const starts = document.definitions
    .filter((definition) => definition.kind === Kind.OPERATION_DEFINITION)
    .flatMap(({ selectionSet }) => selectionSet.selections)
    .flatMap((field) => (field.kind === Kind.FIELD ? (field.arguments ?? []) : []))
    .flatMap(({ name, value }) => (name.value === 'after' && value.kind === Kind.VARIABLE ? [value] : []));
  const names = new Set(starts.map(({ name }) => name.value));
  visit(document, {
    VariableDefinition: () => false,
    Variable(node) {
      if (!starts.includes(node)) names.delete(node.name.value);
    },
  });
  return names;
}

function toAnswer(result: ExecutionResult): Answer {
  let json: Buffer | undefined;
  return {
    result,
    json() {
      json ??= Buffer.from(JSON.stringify(toFormatted(result)));
      return json;
    },
  };
}

function toFormatted({ errors, ...result }: ExecutionResult): FormattedExecutionResult {
  return errors ? { ...result, errors: errors.map(formatError) } : result;
}

interface ResponseOptions {
  source: Stream<object>;
  nextResult: () => Promise<ExecutionResult | undefined>;
  log: Logger;
  onEnd: () => void;
}

/** What a transport iterates over. Ended by it, the stream ends at once, also while an answer is awaited. */
function toResponse({ source, nextResult, log, onEnd }: ResponseOptions): Subscribed {
  const done = { done: true, value: undefined } as const;
  let hasFailed = false;
  const end = async () => {
    onEnd();
    await source.return();
  };
  const response: Subscribed = {
    async next() {
      if (hasFailed) return done;
      try {
        const value = await nextResult();
        if (value) return { done: false, value };
        onEnd();
        return done;
      } catch (error) {
        hasFailed = true;
        onEnd();
        source.end();
        return { done: false, value: { errors: [maskError(error, log)] } };
      }
    },
    async return() {
      await end();
      return done;
    },
    async throw(error) {
      await end();
      throw error;
    },
    [Symbol.asyncDispose]: end,
    [Symbol.asyncIterator]: () => response,
  };
  return response;
}

function isStream(source: object): source is Stream<object> {
  return 'nextBatch' in source;
}

function isEventStream(source: Stream<object>): source is EventStream {
  return 'forward' in source;
}
