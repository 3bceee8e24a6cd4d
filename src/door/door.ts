import {
  type ExecutionArgs,
  type ExecutionResult,
  GraphQLError,
  type GraphQLSchema,
  OperationTypeNode,
  validateExecutionArgs,
} from 'graphql';
import type { Caller } from '../apps/caller.ts';
import type { Context } from '../graphql/context.ts';
import { Loaders } from '../graphql/loaders.ts';
import { execute } from '../operations/execute.ts';
import { createPreparer, type PreparedDocument, type PreparedOperation } from '../operations/prepare-operation.ts';
import { findVariablesMistake } from '../operations/text-mistake.ts';
import type { Sink } from '../stream/hub/relay.ts';
import { type AppsSettings, createAppsSettings } from './app-settings.ts';
import { type Callers, createCallers } from './callers.ts';
import { type ChosenDocument, chooseDocument, type OperationRequest } from './choose-document.ts';
import { maskError } from './mask-error.ts';
import { createRegisteredOperations } from './registered-operations.ts';
import { createSubscriber, isSubscribed, type Subscribed } from './subscribe.ts';
import { createSubscriptionCount } from './subscription-count.ts';
import { type Bucket, budgetOf, type Throttle } from './throttle/throttle.ts';

/** Who hands an operation over, and how. */
export interface Visitor {
  /** Null: nobody, who may not do much. A caller with a wrong key has not come this far. */
  caller: Caller | null;
  /** Where the caller is, coarsely: whoever shares it shares a bucket where keys are in everybody's hands. */
  addressPrefix: () => string;
  transport: 'http' | 'sse' | 'websocket';
  /** Whether a subscription's answers can be carried. */
  canStream: boolean;
  /** Whether this may change anything; a GET may not. */
  canMutate: boolean;
  /** Where a subscription's answers go by themselves. Absent: who asked iterates over them. */
  sink?: Sink;
}

/** What became of an operation: its answer, or answers that go on coming. */
export type Outcome = ExecutionResult | Subscribed;

/** The one pipeline that every operation goes through, whatever its transport. */
export interface Door {
  callers: Callers;
  apps: AppsSettings;
  /** Operation → limits → price → throttle → execution → mask. Never rejects: what is wrong stands in `errors`. */
  run(request: OperationRequest, visitor: Visitor): Promise<Outcome>;
}

/** What every resolver is given, whoever calls. */
type Resources = Pick<
  Context,
  'db' | 'bus' | 'cipher' | 'log' | 'hub' | 'arePrivateEndpointsAllowed' | 'webPushPublicKey'
>;

interface DoorOptions extends Resources {
  schema: GraphQLSchema;
  throttle: Throttle;
  /** The schema is told to server keys only. */
  isProduction: boolean;
}

/** Builds the pipeline. */
export function createDoor({ schema, throttle, isProduction, ...resources }: DoorOptions): Door {
  const { db, log } = resources;
  const callers = createCallers(db);
  const apps = createAppsSettings(db);
  const registered = createRegisteredOperations(db);
  const prepare = createPreparer(schema);
  const subscribe = createSubscriber(log);
  const subscriptions = createSubscriptionCount();

  /** All that is found out before anything is done. */
  async function admit(request: OperationRequest, visitor: Visitor) {
    const { caller } = visitor;
    const chosen = await chooseDocument(request, caller, { registered, apps });
    const isSchemaHidden = isProduction && caller?.kind !== 'SERVER';
    const prepared = prepare(chosen.text, isSchemaHidden);
    if ('errors' in prepared) return prepared;
    const operation = chooseOperation(prepared, request.operationName ?? null);
    refuseTransport(operation, visitor);
    const args = validateExecutionArgs({
      schema,
      document: prepared.document,
      operationName: request.operationName ?? null,
      variableValues: toVariables(request, chosen, operation),
      hideSuggestions: isSchemaHidden,
    });
    if (!('schema' in args)) return { errors: args };
    const { operationMax, ...budget } = budgetOf(caller, visitor.addressPrefix);
    const requested = operation.price(args.variableValues.coerced);
    if (requested > operationMax) {
      throw refuse('OPERATION_TOO_COSTLY', `The operation costs ${requested} points; ${operationMax} are the most.`, {
        cost: { requested, limit: operationMax },
      });
    }
    const bucket = await throttle.take(budget, requested);
    if (!bucket.isTaken) throw refuseThrottled(budget, bucket, requested);
    return { prepared, chosen, operation, args, budget, requested, bucket };
  }

  async function run(request: OperationRequest, visitor: Visitor): Promise<Outcome> {
    const admitted = await admit(request, visitor);
    if ('errors' in admitted) return { errors: admitted.errors.map((error) => maskError(error, log)) };
    const { operation, args, budget, requested, bucket } = admitted;
    const context: Context = {
      ...resources,
      caller: visitor.caller,
      operation: admitted.chosen.registered,
      registeredInstallationIds: new Set(),
      reportedDeliveryIds: new Set(),
      loaders: new Loaders(db),
    };
    if (operation.type === OperationTypeNode.SUBSCRIPTION) {
      const given: ExecutionArgs = {
        schema,
        document: args.document,
        operationName: request.operationName ?? null,
        variableValues: args.rawVariableValues ?? null,
      };
      return startSubscription(given, context, visitor);
    }
    const result = await execute({ ...args, contextValue: context });
    if (operation.type === OperationTypeNode.MUTATION && visitor.caller?.kind === 'SERVER') forget();
    const actual = Math.min(requested, operation.countObjects(result.data));
    if (actual < requested) throttle.giveBack(budget, requested - actual);
    const cost = { requested, actual, throttle: toThrottleState(budget, bucket, requested - actual) };
    const { errors, ...rest } = result;
    const extensions = { ...result.extensions, cost };
    if (!errors) return { ...rest, extensions };
    return { errors: errors.map((error) => maskError(error, log)), ...rest, extensions };
  }

  async function startSubscription(
    given: ExecutionArgs,
    context: Context,
    { caller, sink }: Visitor,
  ): Promise<Outcome> {
    const onEnd = subscriptions.open(caller);
    try {
      const outcome = await subscribe(given, { context, sink, onEnd });
      if (isSubscribed(outcome)) return outcome;
      onEnd();
      return { errors: outcome.errors?.map((error) => maskError(error, log)) ?? [] };
    } catch (error) {
      onEnd();
      throw error;
    }
  }

  /** What a server key has changed here is so here at once. */
  function forget() {
    callers.forget();
    apps.forget();
    registered.forget();
  }

  return {
    callers,
    apps,
    async run(request, visitor) {
      try {
        return await run(request, visitor);
      } catch (error) {
        return { errors: [maskError(error, log)] };
      }
    },
  };
}

function chooseOperation({ operations }: PreparedDocument, operationName: string | null): PreparedOperation {
  const [only, another] = operations;
  const chosen = operationName === null ? only : operations.find(({ name }) => name === operationName);
  if (chosen && (operationName !== null || !another)) return chosen;
  const message =
    operationName === null
      ? 'The document has several operations: say which by operationName.'
      : `The document has no operation ${JSON.stringify(operationName)}.`;
  throw refuse('BAD_USER_INPUT', message, { http: { status: 400 } });
}

function refuseTransport({ type }: PreparedOperation, { canMutate, canStream }: Visitor): void {
  if (type === OperationTypeNode.MUTATION && !canMutate) {
    throw refuse('BAD_USER_INPUT', 'A GET changes nothing: send mutations by POST.', {
      http: { status: 405, headers: { Allow: 'POST' } },
    });
  }
  if (type === OperationTypeNode.SUBSCRIPTION && !canStream) {
    const message = 'A subscription needs a WebSocket, or a request that accepts text/event-stream.';
    throw refuse('BAD_USER_INPUT', message, { http: { status: 406 } });
  }
}

/**
 * The variables that an operation is run with. One that is registered takes those that it declares, and no other value for
 * one that is pinned.
 *
 * @throws GraphQLError `BAD_USER_INPUT`.
 */
function toVariables(
  { variables }: OperationRequest,
  { registered }: ChosenDocument,
  { node }: PreparedOperation,
): Readonly<Record<string, unknown>> {
  const given = variables ?? {};
  const mistake = findVariablesMistake(given);
  if (mistake !== null) throw refuse('BAD_USER_INPUT', `The variables ${mistake}.`);
  if (!registered) return given;
  const declared = new Set(node.variableDefinitions?.map(({ variable }) => variable.name.value));
  for (const name of Object.keys(given)) {
    if (!declared.has(name))
      throw refuse('BAD_USER_INPUT', `The operation declares no variable ${JSON.stringify(name)}.`);
    if (Object.hasOwn(registered.pinnedVariables, name)) {
      throw refuse(
        'BAD_USER_INPUT',
        `The variable ${JSON.stringify(name)} is set by whoever registered the operation.`,
      );
    }
  }
  return { ...given, ...registered.pinnedVariables };
}

function refuseThrottled(budget: { limit: number }, bucket: Bucket, requested: number): GraphQLError {
  const seconds = Math.ceil(bucket.retryAfterMs / 1_000);
  return refuse('THROTTLED', `Too much at once: come back in ${seconds} s.`, {
    retryAfterMs: bucket.retryAfterMs,
    cost: { requested, actual: 0, throttle: toThrottleState(budget, bucket, 0) },
    http: { status: 429, headers: { 'Retry-After': String(seconds) } },
  });
}

function toThrottleState({ limit }: { limit: number }, { remaining, emptyInMs }: Bucket, givenBack: number) {
  return {
    limit,
    remaining: Math.min(limit, remaining + givenBack),
    resetAt: new Date(Date.now() + emptyInMs).toISOString(),
  };
}

function refuse(code: string, message: string, extensions: Record<string, unknown> = {}): GraphQLError {
  return new GraphQLError(message, { extensions: { code, ...extensions } });
}
