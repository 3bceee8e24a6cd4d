import { GraphQLError, type GraphQLSchema, type ValidatedExecutionArgs, validateExecutionArgs } from 'graphql';
import type { Caller } from '../apps/caller.ts';
import { createPreparer, type PreparedDocument, type PreparedOperation } from '../operations/prepare-operation.ts';
import { findVariablesMistake } from '../operations/text-mistake.ts';
import type { AppsSettings } from './app-settings.ts';
import { type ChosenDocument, chooseDocument, type OperationRequest } from './choose-document.ts';
import type { RegisteredOperation, RegisteredOperations } from './registered-operations.ts';
import { type Bucket, type Budget, budgetOf, refuseThrottled, type Throttle } from './throttle/throttle.ts';

/** Who hands an operation over, and what can be done where it came in. */
export interface Applicant {
  /** Null: nobody, who may not do much. A caller with a wrong key has not come this far. */
  caller: Caller | null;
  /** Where the caller is, coarsely: whoever shares it shares a bucket where keys are in everybody's hands. */
  addressPrefix: () => string;
  /** Whether a subscription's answers can be carried. */
  canStream: boolean;
  /** Whether this may change anything; a GET may not. */
  canMutate: boolean;
}

/** An operation that may be executed, and is paid for. */
export interface Admission {
  documentId: string;
  /** As what it is registered; null: it is the caller's own. */
  registered: RegisteredOperation | null;
  operation: PreparedOperation;
  /** For the execution, but for its context. */
  args: ValidatedExecutionArgs;
  budget: Budget;
  /** Points that were taken for it. */
  requested: number;
  bucket: Bucket;
}

/** Of any operation, however little it asks for. @default 1 // point */
export const operationCostMin = 1;

/** What is wrong with an operation, where that may be several things at once. */
export class RefusedOperation extends Error {
  override readonly name = 'RefusedOperation';
  readonly errors: readonly GraphQLError[];

  constructor(errors: readonly GraphQLError[]) {
    super('The operation is refused.');
    this.errors = errors;
  }
}

/** Of a text that is not known yet: so many are read for one point. @default 500 */
const charactersPerPoint = 500;
/** What reading a text costs at most, also one that is so long that it is not read. @default 50 */
const readingPointsMax = 50;

interface AdmitOptions {
  schema: GraphQLSchema;
  apps: AppsSettings;
  registered: RegisteredOperations;
  throttle: Throttle;
  isProduction: boolean;
}

/**
 * Makes what finds out all that there is to find out before anything is done: which document, whether it is within all
 * limits and valid, which of its operations, whether its variables fit, what it costs, and whether the caller may spend that.
 *
 * It rejects with a `RefusedOperation`, or with a GraphQLError: `OPERATION_NOT_ALLOWED`, `OPERATION_TOO_COSTLY`,
 * `THROTTLED`, `BAD_USER_INPUT`.
 */
export function createAdmission({ schema, apps, registered, throttle, isProduction }: AdmitOptions) {
  const preparer = createPreparer(schema);

  async function pay(budget: Budget, points: number): Promise<Bucket> {
    const bucket = await throttle.take(budget, points);
    if (bucket.isTaken) return bucket;
    const cost = { requested: points, actual: 0, throttle: toThrottleState(budget, bucket) };
    throw refuseThrottled('Too much at once', bucket, { cost });
  }

  /** Reading a text that nobody has asked before is paid for in advance: what is wrong with it costs most of all. */
  async function read(text: string, isSchemaHidden: boolean, budget: Budget): Promise<PreparedDocument> {
    const points = Math.min(Math.ceil(text.length / charactersPerPoint), readingPointsMax);
    await pay(budget, points);
    const prepared = preparer.prepare(text, isSchemaHidden);
    if ('errors' in prepared) throw new RefusedOperation(prepared.errors);
    return prepared;
  }

  return async (request: OperationRequest, applicant: Applicant): Promise<Admission> => {
    const { caller } = applicant;
    const budget = budgetOf(caller, applicant.addressPrefix);
    const beforeLook = () => pay(budget, 1);
    const chosen = await chooseDocument(request, caller, { registered, apps, beforeLook });
    const isSchemaHidden = isProduction && caller?.kind !== 'SERVER';
    const kept = preparer.recall(chosen.text, isSchemaHidden);
    const prepared = kept ?? (await read(chosen.text, isSchemaHidden, budget));
    const operation = chooseOperation(prepared, request.operationName ?? null);
    refuseTransport(operation, applicant);
    const args = validateExecutionArgs({
      schema,
      document: prepared.document,
      operationName: request.operationName ?? null,
      variableValues: toVariables(request, chosen, operation),
      hideSuggestions: isSchemaHidden,
    });
    if (!('schema' in args)) throw new RefusedOperation(args);
    const requested = Math.max(operationCostMin, operation.price(args.variableValues.coerced));
    if (requested > budget.operationMax) throw refuseCost(requested, budget.operationMax);
    const bucket = await pay(budget, requested);
    const { documentId } = prepared;
    return { documentId, registered: chosen.registered, operation, args, budget, requested, bucket };
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

function refuseTransport({ type }: PreparedOperation, { canMutate, canStream }: Applicant): void {
  if (type === 'mutation' && !canMutate) {
    throw refuse('BAD_USER_INPUT', 'A GET changes nothing: send mutations by POST.', {
      http: { status: 405, headers: { Allow: 'POST' } },
    });
  }
  if (type === 'subscription' && !canStream) {
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
  const declared = new Set(node.variableDefinitions?.map(({ variable }) => variable.name.value));
  // What is not declared is nobody's concern, and not looked at: there may be very much of it.
  const given = Object.fromEntries([...declared].flatMap((name) => readOwn(variables, name)));
  const mistake = findVariablesMistake(given);
  if (mistake !== null) throw refuse('BAD_USER_INPUT', `The variables ${mistake}.`);
  if (!registered) return given;
  for (const name of Object.keys(variables ?? {})) {
    if (!declared.has(name)) {
      throw refuse('BAD_USER_INPUT', `The operation declares no variable ${JSON.stringify(name)}.`);
    }
    if (Object.hasOwn(registered.pinnedVariables, name)) {
      const message = `The variable ${JSON.stringify(name)} is set by whoever registered the operation.`;
      throw refuse('BAD_USER_INPUT', message);
    }
  }
  return { ...given, ...registered.pinnedVariables };
}

function readOwn(values: OperationRequest['variables'], name: string): [string, unknown][] {
  return values && Object.hasOwn(values, name) ? [[name, values[name]]] : [];
}

function refuseCost(requested: number, limit: number): GraphQLError {
  const message = `The operation costs ${requested} points; ${limit} are the most.`;
  return refuse('OPERATION_TOO_COSTLY', message, { cost: { requested, limit } });
}

/** What a caller is told of its bucket. @param givenBack points that have been put back since. */
export function toThrottleState({ limit }: Budget, { remaining, emptyInMs }: Bucket, givenBack = 0) {
  return { limit, remaining: Math.min(limit, remaining + givenBack), resetAt: toSecond(Date.now() + emptyInMs) };
}

let lastSecond = { at: 0, text: '' };

/** A moment as DateTime, up to the next full second. Nearly always it is the one that was told last. */
function toSecond(ms: number): string {
  const at = Math.ceil(ms / 1_000) * 1_000;
  if (at !== lastSecond.at) lastSecond = { at, text: new Date(at).toISOString() };
  return lastSecond.text;
}

function refuse(code: string, message: string, extensions: Record<string, unknown> = {}): GraphQLError {
  return new GraphQLError(message, { extensions: { code, ...extensions } });
}
