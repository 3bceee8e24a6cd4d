import type { GraphQLSchema } from 'graphql';
import { parsePartnerName } from '../apps/partner-name.ts';
import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import { newId } from '../ids.ts';
import { type Sql, sql, type Transaction } from '../storage/database.ts';
import { write } from '../storage/write.ts';
import { type CheckedOperation, checkOperation } from './check-operation.ts';

/** Whose people an operation sees only. Both: those who are of the app and in the segment. */
export interface OperationScope {
  appId?: string | null | undefined;
  segmentId?: string | null | undefined;
}

/** An operation that is to be registered. */
export interface NewOperation {
  /** `sha256:` and the document's hash in hex. Absent: worked out. */
  id?: string | null | undefined;
  document: string;
  pinnedVariables?: Readonly<Record<string, unknown>> | null | undefined;
  scope?: OperationScope | null | undefined;
}

/** For whom operations are registered. */
type Owner = { partner: string } | { appId: string };

interface Registration {
  principal: string;
  operations: readonly NewOperation[];
  /** Removes what is registered and not in the list. @default false */
  isReplacing?: boolean | null | undefined;
  idempotencyKey?: string | null | undefined;
}

/** What became of the list: ids of the rows, parallel to it. */
export interface OperationsRegistered {
  operationIds: string[];
  removedCount: number;
}

/** @default 1_000 // operations of one partner, or of one app's clients */
const operationsPerOwnerMax = 1_000;

/**
 * Lets a partner run these operations. One that is registered already gets these pins, this scope and this grant.
 *
 * @throws DomainError `VALUE_INVALID`, `LIMIT_EXCEEDED`, `NOT_FOUND` (a scope's app or segment), `IDEMPOTENCY_KEY_REUSED`.
 */
export async function registerPartnerOperations(
  deployment: Deployment,
  schema: GraphQLSchema,
  request: Registration & { partner: string; isMutationGranted?: boolean | null | undefined },
): Promise<OperationsRegistered> {
  const { partner, isMutationGranted, ...registration } = request;
  const owner = { partner: parsePartnerName(partner) };
  const grants = { runBy: 'partner', isMutationGranted: isMutationGranted ?? false } as const;
  const named = { mutation: 'registerPartnerOperations', input: { partner, isMutationGranted } };
  return register(deployment, schema, { ...registration, owner, grants, named });
}

/**
 * Lets clients of an app run these operations, if they are limited to operations (`updateApp`). They have the rights that
 * they have: no grant, pin or scope is needed.
 *
 * @throws DomainError as {@link registerPartnerOperations}, and `NOT_FOUND` for the app.
 */
export async function registerAppOperations(
  deployment: Deployment,
  schema: GraphQLSchema,
  { appId, ...registration }: Registration & { appId: string },
): Promise<OperationsRegistered> {
  const grants = { runBy: 'app', isMutationGranted: false } as const;
  const named = { mutation: 'registerAppOperations', input: { appId } };
  return register(deployment, schema, { ...registration, owner: { appId }, grants, named });
}

interface FullRegistration extends Registration {
  owner: Owner;
  grants: { runBy: 'partner' | 'app'; isMutationGranted: boolean };
  named: { mutation: string; input: object };
}

/** An operation that is ready to be written. */
interface ReadyOperation extends CheckedOperation {
  document: string;
  pinnedVariables: Readonly<Record<string, unknown>>;
  scope: Required<OperationScope>;
}

async function register(
  deployment: Deployment,
  schema: GraphQLSchema,
  { owner, grants, named, operations, isReplacing, idempotencyKey, principal }: FullRegistration,
): Promise<OperationsRegistered> {
  if (operations.length > operationsPerOwnerMax) throw tooMany();
  const ready = checkAll(schema, operations, grants);
  const input = { ...named.input, operations, isReplacing };
  return write(deployment, { principal, mutation: named.mutation, idempotencyKey, input }, async (tx) => {
    await lockOwner(tx, owner);
    for (const [index, { scope }] of ready.entries())
      await holdScope(tx, scope, ['operations', String(index), 'scope']);
    const operationIds: string[] = [];
    for (const operation of ready) operationIds.push(await save(tx, { owner, ...grants, operation }));
    const removedCount = isReplacing
      ? await tx.$executeRaw(
          sql`delete from registered_operations where ${isOf(owner)} and id <> all (${operationIds}::uuid[])`,
        )
      : 0;
    const rows = await tx.$queryRaw<unknown[]>(
      sql`select id from registered_operations where ${isOf(owner)} limit ${operationsPerOwnerMax + 1}`,
    );
    if (rows.length > operationsPerOwnerMax) throw tooMany();
    return { operationIds, removedCount };
  });
}

function isOf(owner: Owner): Sql {
  return 'partner' in owner ? sql`partner = ${owner.partner}` : sql`app_id = ${owner.appId}::uuid`;
}

function tooMany(): DomainError {
  const message = `At most ${operationsPerOwnerMax} operations are registered for one: remove some by replaceAll.`;
  return new DomainError('LIMIT_EXCEEDED', message, ['operations']);
}

function checkAll(
  schema: GraphQLSchema,
  operations: readonly NewOperation[],
  grants: FullRegistration['grants'],
): ReadyOperation[] {
  const known = new Set<string>();
  return operations.map(({ id, document, pinnedVariables, scope }, index) => {
    const path = ['operations', String(index)];
    const pins = pinnedVariables ?? {};
    const asScope = { appId: scope?.appId ?? null, segmentId: scope?.segmentId ?? null };
    if (scope && asScope.appId === null && asScope.segmentId === null) {
      throw new DomainError('VALUE_INVALID', 'A scope names an app, a segment or both.', [...path, 'scope']);
    }
    const asked = { document, pinnedVariables: pins, isScoped: !!scope, ...grants };
    const checked = checkOperation(schema, asked, path);
    if (typeof id === 'string' && id !== checked.documentId) {
      const message = `The id of this document is ${checked.documentId}.`;
      throw new DomainError('VALUE_INVALID', message, [...path, 'id']);
    }
    if (known.has(checked.documentId)) {
      throw new DomainError('VALUE_INVALID', 'The same document is in the list twice.', [...path, 'document']);
    }
    known.add(checked.documentId);
    return { ...checked, document, pinnedVariables: pins, scope: asScope };
  });
}

/** One registration at a time for each owner, so that together they keep to the limit. */
async function lockOwner(tx: Transaction, owner: Owner): Promise<void> {
  if ('partner' in owner) {
    const name = `carillon operations of ${owner.partner}`;
    await tx.$executeRaw(sql`select pg_advisory_xact_lock(hashtextextended(${name}, 0))`);
    return;
  }
  const [app] = await tx.$queryRaw<unknown[]>(
    sql`select id from apps where id = ${owner.appId}::uuid for no key update`,
  );
  if (!app) throw new DomainError('NOT_FOUND', 'There is no such app.', ['app']);
}

/** Until the commit, so that it cannot be deleted meanwhile. */
async function holdScope(
  tx: Transaction,
  { appId, segmentId }: ReadyOperation['scope'],
  path: readonly string[],
): Promise<void> {
  if (typeof appId === 'string') {
    const [app] = await tx.$queryRaw<unknown[]>(sql`select id from apps where id = ${appId}::uuid for key share`);
    if (!app) throw new DomainError('NOT_FOUND', 'There is no such app.', [...path, 'app']);
  }
  if (typeof segmentId === 'string') {
    const [found] = await tx.$queryRaw<unknown[]>(
      sql`select id from segments where id = ${segmentId}::uuid for key share`,
    );
    if (!found) throw new DomainError('NOT_FOUND', 'There is no such segment.', [...path, 'segment']);
  }
}

/** Answers the row's id, which stays when an operation is registered again. */
async function save(
  tx: Transaction,
  { owner, operation, isMutationGranted }: { owner: Owner; operation: ReadyOperation; isMutationGranted: boolean },
): Promise<string> {
  const { documentId, name, cost, document, pinnedVariables, scope } = operation;
  const [partner, appId] = 'partner' in owner ? [owner.partner, null] : [null, owner.appId];
  const [row] = await tx.$queryRaw<{ id: string }[]>(sql`
    insert into registered_operations (
      id, partner, app_id, document_id, document, name, cost, pinned_variables, is_mutation_granted, scope_app_id,
      scope_segment_id
    ) values (
      ${newId()}::uuid, ${partner}, ${appId}::uuid, ${documentId}, ${document}, ${name}, ${cost},
      ${JSON.stringify(pinnedVariables)}::jsonb, ${isMutationGranted}, ${scope.appId ?? null}::uuid,
      ${scope.segmentId ?? null}::uuid
    )
    on conflict (${partner === null ? sql`app_id` : sql`partner`}, document_id) do update set
      name = excluded.name, cost = excluded.cost, pinned_variables = excluded.pinned_variables,
      is_mutation_granted = excluded.is_mutation_granted, scope_app_id = excluded.scope_app_id,
      scope_segment_id = excluded.scope_segment_id
    returning id
  `);
  if (!row) throw new Error('The operation that was written was not returned.');
  return row.id;
}
