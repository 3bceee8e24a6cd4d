import type { ExecutionResult, GraphQLError, GraphQLSchema } from 'graphql';
import type { Caller } from '../apps/caller.ts';
import { createKeyUse } from '../apps/key-use.ts';
import type { Context } from '../graphql/context.ts';
import { Loaders } from '../graphql/loaders.ts';
import type { Observer } from '../observability/observer.ts';
import type { OperationSpan, Tracing } from '../observability/tracing.ts';
import { execute } from '../operations/execute.ts';
import { createAuditTrail } from '../storage/audit.ts';
import type { Sink } from '../stream/hub/relay.ts';
import {
  type Admission,
  type Applicant,
  createAdmission,
  operationCostMin,
  RefusedOperation,
  toThrottleState,
} from './admit.ts';
import { type AppsSettings, createAppsSettings } from './app-settings.ts';
import { type Callers, createCallers } from './callers.ts';
import type { OperationRequest } from './choose-document.ts';
import { maskError } from './mask-error.ts';
import { createRegisteredOperations } from './registered-operations.ts';
import { createSubscriber, isSubscribed, type Subscribed } from './subscribe.ts';
import { createSubscriptionCount } from './subscription-count.ts';
import type { Throttle } from './throttle/throttle.ts';

/** Who hands an operation over, and how. */
export interface Visitor extends Applicant {
  transport: 'http' | 'sse' | 'websocket';
  /** The request's header of that name (W3C Trace Context); null: none. */
  traceparent: string | null;
  /** Where a subscription's answers go by themselves. Absent: who asked iterates over them. */
  sink?: Sink;
}

/** What became of an operation: its answer, or answers that go on coming. */
export type Outcome = ExecutionResult | Subscribed;

/** The one pipeline that every operation goes through, whatever its transport. */
export interface Door {
  callers: Callers;
  apps: AppsSettings;
  /** Document → limits → price → throttle → execution → mask. Never rejects: what is wrong stands in `errors`. */
  run(request: OperationRequest, visitor: Visitor): Promise<Outcome>;
  /** Writes down what has been kept of who did what. */
  close(): Promise<void>;
}

/** What every resolver is given, whoever calls. */
type Resources = Pick<
  Context,
  | 'db'
  | 'bus'
  | 'cipher'
  | 'log'
  | 'rules'
  | 'publicUrl'
  | 'hub'
  | 'channels'
  | 'arePrivateEndpointsAllowed'
  | 'arePrivateWebhooksAllowed'
  | 'webPushPublicKey'
  | 'findConfigured'
>;

interface DoorOptions extends Resources {
  schema: GraphQLSchema;
  throttle: Throttle;
  observer: Observer;
  tracing: Tracing;
  /** The schema is told to server keys only. */
  isProduction: boolean;
}

/** Of an operation's name, in the audit log. @default 256 */
const nameCharactersMax = 256;

/** Builds the pipeline. */
export function createDoor(options: DoorOptions): Door {
  const { schema, throttle, observer, tracing, isProduction, ...resources } = options;
  const { db, log } = resources;
  const callers = createCallers(db, throttle);
  const apps = createAppsSettings(db);
  const registered = createRegisteredOperations(db);
  const admit = createAdmission({ schema, apps, registered, throttle, isProduction });
  const subscribe = createSubscriber(log);
  const subscriptions = createSubscriptionCount(observer);
  const keyUse = createKeyUse({ db, log });
  const audit = createAuditTrail({ db, log });

  /** What a server key has changed here is so here at once. */
  function forget() {
    callers.forget();
    apps.forget();
    registered.forget();
  }

  function record(caller: Caller | null, { operation, documentId }: Admission) {
    if (!caller || caller.kind === 'INSTALLATION') return;
    keyUse.used(caller.subjectId);
    if (caller.kind !== 'DASHBOARD') return;
    audit.append({
      apiKeyId: caller.subjectId,
      action: operation.name?.slice(0, nameCharactersMax) ?? operation.type,
      subject: { documentId },
    });
  }

  async function carryOut(admission: Admission, request: OperationRequest, visitor: Visitor): Promise<Outcome> {
    const { caller } = visitor;
    const { operation, args, budget, requested, bucket } = admission;
    const context: Context = {
      ...resources,
      caller,
      operation: admission.registered,
      registeredInstallationIds: new Set(),
      reportedDeliveryIds: new Set(),
      loaders: new Loaders(db),
    };
    if (operation.type === 'subscription') {
      return startSubscription({ ...request, admission, context }, visitor);
    }
    const result = await execute({ ...args, contextValue: context });
    if (operation.type === 'mutation' && caller?.kind === 'SERVER') forget();
    // What has failed tells by its answer nothing of what was done for it.
    const actual = result.errors
      ? requested
      : Math.min(requested, Math.max(operationCostMin, operation.countObjects(result.data)));
    if (actual < requested) throttle.giveBack(budget, requested - actual);
    const cost = { requested, actual, throttle: toThrottleState(budget, bucket, requested - actual) };
    const { data, errors } = result;
    if (!errors) return { data, extensions: { cost } };
    return { errors: errors.map((error) => maskError(error, log)), data, extensions: { cost } };
  }

  async function startSubscription(
    { admission: { args }, context, operationName }: OperationRequest & { admission: Admission; context: Context },
    { caller, sink }: Visitor,
  ): Promise<Outcome> {
    const onEnd = subscriptions.open(caller);
    try {
      const { document, rawVariableValues: variableValues } = args;
      const outcome = await subscribe({ schema, document, operationName, variableValues }, { context, sink, onEnd });
      if (isSubscribed(outcome)) return outcome;
      onEnd();
      return { errors: outcome.errors?.map((error) => maskError(error, log)) ?? [] };
    } catch (error) {
      onEnd();
      throw error;
    }
  }

  async function run(request: OperationRequest, visitor: Visitor, span: OperationSpan): Promise<Outcome> {
    const begunAt = performance.now();
    let admission: Admission | null = null;
    let outcome: Outcome;
    try {
      admission = await admit(request, visitor);
      const { operation, documentId } = admission;
      span.found({ name: operation.name, type: operation.type, documentHash: documentId });
      record(visitor.caller, admission);
      outcome = await carryOut(admission, request, visitor);
    } catch (error) {
      outcome = { errors: toErrors(error).map((each) => maskError(each, log)) };
    }
    const told = {
      code: isSubscribed(outcome) ? null : codeOf(outcome.errors),
      requestedCost: admission?.requested ?? null,
    };
    observer.operationDone({
      ...told,
      callerKind: visitor.caller?.kind ?? null,
      transport: visitor.transport,
      operationType: admission?.operation.type ?? null,
      seconds: (performance.now() - begunAt) / 1_000,
    });
    span.done(told);
    return outcome;
  }

  return {
    callers,
    apps,
    run(request, visitor) {
      const { caller, transport, traceparent } = visitor;
      const traced = { callerKind: caller?.kind ?? null, transport, traceparent };
      return tracing.traceOperation(traced, (span) => run(request, visitor, span));
    },
    async close() {
      await Promise.all([keyUse.close(), audit.close()]);
    },
  };
}

function toErrors(error: unknown): readonly unknown[] {
  return error instanceof RefusedOperation ? error.errors : [error];
}

function codeOf(errors: readonly GraphQLError[] | undefined): string | null {
  const [first] = errors ?? [];
  return first ? String(first.extensions.code) : null;
}
