import type { GraphQLSchema } from 'graphql';
import { z } from 'zod';
import { DomainError } from '../errors.ts';
import type { App, RegisteredOperation } from '../generated/prisma/client.ts';
import type { Database } from '../storage/database.ts';
import { checkOperation } from './check-operation.ts';

/** An operation that could not be registered any more. */
export interface BrokenOperation {
  /** Such as `partner acme`, `app shop`. */
  owner: string;
  name: string;
  documentId: string;
  /** Why, as a sentence. */
  mistake: string;
}

/** @default 200 // operations that are read at a time */
const pageSize = 200;

/** Registered operations that this schema breaks, oldest first. */
export async function findBrokenOperations(db: Database, schema: GraphQLSchema): Promise<BrokenOperation[]> {
  const broken: BrokenOperation[] = [];
  for (let after: string | undefined; ; ) {
    const rows = await db.registeredOperation.findMany({
      where: after === undefined ? {} : { id: { gt: after } },
      include: { app: true },
      orderBy: { id: 'asc' },
      take: pageSize,
    });
    for (const row of rows) {
      const mistake = findMistake(schema, row);
      const { name, documentId } = row;
      if (mistake !== null) broken.push({ owner: nameOwner(row), name, documentId, mistake });
    }
    after = rows.at(-1)?.id;
    if (rows.length < pageSize) return broken;
  }
}

const pinnedSchema = z.record(z.string(), z.unknown());

function findMistake(schema: GraphQLSchema, row: RegisteredOperation): string | null {
  try {
    checkOperation(schema, {
      document: row.document,
      runBy: row.partner === null ? 'app' : 'partner',
      pinnedVariables: pinnedSchema.parse(row.pinnedVariables),
      isScoped: row.scopeAppId !== null || row.scopeSegmentId !== null,
      isMutationGranted: row.isMutationGranted,
    });
    return null;
  } catch (error) {
    if (error instanceof DomainError) return error.message;
    throw error;
  }
}

function nameOwner({ partner, app }: RegisteredOperation & { app: App | null }): string {
  return partner === null ? `app ${app?.name}` : `partner ${partner}`;
}
