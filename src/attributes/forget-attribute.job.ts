import { z } from 'zod';
import type { Deployment } from '../deployment.ts';
import type { AttributeOwner } from '../generated/prisma/enums.ts';
import { idSchema } from '../ids.ts';
import { addJob, addJobs, type Job } from '../queue/job.ts';
import { type Database, type Sql, sql, type Transaction } from '../storage/database.ts';
import { inTransaction } from '../storage/transaction.ts';

/** @default 2_000 // users or installations that are looked at in a transaction */
const rowsPerPage = 2_000;

const payloadSchema = z.object({
  definitionId: idSchema,
  /** The last row of the page before; null: the walk begins. */
  after: idSchema.nullable(),
  /** Whether this walk has removed a value yet. */
  hasFound: z.boolean(),
});
type Walk = z.infer<typeof payloadSchema>;

/**
 * Removes the values of an attribute whose definition is being removed from one page of rows, in one transaction with the
 * job for the next page. Walks over all of them until one walk finds nothing, as a merge may carry a value from a row that
 * lies ahead to one that was passed; then the definition goes.
 */
export const forgetAttributeJob: Job<Pick<Deployment, 'db'>, Walk> = {
  name: 'forget-attribute',
  payload: payloadSchema,
  run: ({ db }, walk) => inTransaction(db, (tx) => forgetPage(tx, walk)),
};

/** At most one such job of a definition waits. */
const keyPrefix = 'forget attribute ';

const beginningOf = (definitionId: string) => ({
  payload: { definitionId, after: null, hasFound: false },
  key: `${keyPrefix}${definitionId}`,
});

/** Has the values of definitions removed, from the first row on. */
export async function beginForgetting(tx: Transaction, definitionIds: readonly string[]): Promise<void> {
  await addJobs(tx, forgetAttributeJob, definitionIds.map(beginningOf));
}

async function forgetPage(tx: Transaction, { definitionId, after, hasFound }: Walk): Promise<void> {
  const [leaving] = await tx.$queryRaw<{ owner: AttributeOwner; name: string }[]>(sql`
    select owner::text, name from attribute_definitions where id = ${definitionId}::uuid and removed_at is not null
  `);
  if (!leaving) return;
  const table = leaving.owner === 'USER' ? sql`users` : sql`installations`;
  const last = await findPageEnd(tx, table, after);
  const ids = await lockHolders(tx, table, { name: leaving.name, after, last });
  if (!(await holdLeaving(tx, definitionId))) return;
  if (ids.length > 0) {
    await tx.$executeRaw(sql`
      update ${table} set custom_attributes = custom_attributes - ${leaving.name}::text where id = any(${ids}::uuid[])
    `);
  }
  const next = nextPage({ definitionId, hasFound: hasFound || ids.length > 0 }, last);
  if (next) await addJob(tx, forgetAttributeJob, next, { key: `${keyPrefix}${definitionId}` });
  else await tx.$executeRaw(sql`delete from attribute_definitions where id = ${definitionId}::uuid`);
}

/** Where the walk goes on, or begins again; null: nothing is left. */
function nextPage({ definitionId, hasFound }: Pick<Walk, 'definitionId' | 'hasFound'>, last: string | null) {
  if (last !== null) return { definitionId, after: last, hasFound };
  return hasFound ? { definitionId, after: null, hasFound: false } : null;
}

/** The last row of a page; null when the page is the last one. */
async function findPageEnd(tx: Transaction, table: Sql, after: string | null): Promise<string | null> {
  const [row] = await tx.$queryRaw<{ id: string }[]>(sql`
    select id from ${table} where ${after}::uuid is null or id > ${after}::uuid
    order by id offset ${rowsPerPage - 1} limit 1
  `);
  return row?.id ?? null;
}

/** Locks the rows of a page that have a value. Before the definition, as every verb takes its locks in this order. */
async function lockHolders(
  tx: Transaction,
  table: Sql,
  { name, after, last }: { name: string; after: string | null; last: string | null },
): Promise<string[]> {
  const rows = await tx.$queryRaw<{ id: string }[]>(sql`
    select id from ${table}
    where (${after}::uuid is null or id > ${after}::uuid) and (${last}::uuid is null or id <= ${last}::uuid)
      and custom_attributes -> ${name}::text is not null
    order by id for no key update
  `);
  return rows.map(({ id }) => id);
}

/** Whether the definition is still there: once it is gone, its name may be another one's, whose values are to stay. */
async function holdLeaving(tx: Transaction, definitionId: string): Promise<boolean> {
  const rows = await tx.$queryRaw<unknown[]>(sql`
    select id from attribute_definitions where id = ${definitionId}::uuid for no key update
  `);
  return rows.length > 0;
}

/**
 * Begins anew where definitions are being removed and no job is at it: it has failed for good, or its worker died, which
 * took the job more than `leaseSeconds` ago (a page takes much less).
 */
export async function resumeForgetting(
  db: Database,
  { leaseSeconds, isAlone }: { leaseSeconds: number; isAlone: boolean },
): Promise<void> {
  await inTransaction(db, async (tx) => {
    const lost = await tx.$queryRaw<{ id: string }[]>(sql`
      select id from attribute_definitions d
      where removed_at is not null and not exists (
        select from graphile_worker.jobs j
        where j.key = ${keyPrefix} || d.id and (
          (j.locked_at is null and j.attempts < j.max_attempts)
          or (${!isAlone} and j.locked_at > now() - make_interval(secs => ${leaseSeconds}))
        )
      )
      for no key update skip locked
    `);
    if (lost.length > 0)
      await beginForgetting(
        tx,
        lost.map(({ id }) => id),
      );
  });
}
