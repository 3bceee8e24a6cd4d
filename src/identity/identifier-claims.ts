import { arrayLiteral } from '../storage/array-literal.ts';
import { type Sql, sql, type Transaction } from '../storage/database.ts';
import type { Identifier } from './identifier.ts';

/**
 * Keeps what a client says its person is called (rule U11). A claim names nobody for anyone else, several users may have the
 * same, and an address in it is no recipient. What the user is verified to be called needs none.
 */
export async function addClaims(tx: Transaction, userId: string, identifiers: readonly Identifier[]): Promise<void> {
  await tx.$executeRaw(sql`
    insert into identifier_claims (kind, value, user_id)
    select kind, value, ${userId}::uuid
    from unnest(
      ${identifiers.map(({ kind }) => kind)}::identifier_kind[], ${identifiers.map(({ value }) => value)}::text[]
    ) as given (kind, value)
    where not exists (
      select from identifiers i where i.kind = given.kind and i.value = given.value and i.user_id = ${userId}::uuid
    )
    order by kind, value
    on conflict (kind, value, user_id) do nothing
  `);
}

/** Selects the users (`user_id`) who are called any of `identifiers`, or claimed to be; some more than once. */
export function holdersAndClaimants(identifiers: readonly Identifier[]): Sql {
  const given = sql`unnest(
    ${arrayLiteral(identifiers.map(({ kind }) => kind))}::identifier_kind[], ${arrayLiteral(identifiers.map(({ value }) => value))}::text[]
  ) as given (kind, value)`;
  return sql`
    select i.user_id from ${given} join identifiers i on i.kind = given.kind and i.value = given.value
    union all
    select c.user_id from ${given} join identifier_claims c on c.kind = given.kind and c.value = given.value
  `;
}

/** Ends everybody's claims of `identifiers`, and answers them. */
export async function removeClaims(
  tx: Transaction,
  identifiers: readonly Identifier[],
): Promise<(Identifier & { userId: string })[]> {
  const rows = await tx.$queryRaw<(Identifier & { user_id: string })[]>(sql`
    delete from identifier_claims c
    using unnest(
      ${identifiers.map(({ kind }) => kind)}::identifier_kind[], ${identifiers.map(({ value }) => value)}::text[]
    ) as given (kind, value)
    where c.kind = given.kind and c.value = given.value
    returning c.kind::text, c.value, c.user_id
  `);
  return rows.map(({ kind, value, user_id }) => ({ kind, value, userId: user_id }));
}

/** Forgets what was claimed for users that have no installation any more: nobody says it now. The users are locked. */
export async function forgetAbandonedClaims(tx: Transaction, userIds: readonly string[]): Promise<void> {
  await tx.$executeRaw(sql`
    delete from identifier_claims c
    where c.user_id = any(${[...userIds]}::uuid[])
      and not exists (select from installations i where i.user_id = c.user_id)
  `);
}

/** What becomes of claims when two users are one. */
interface ClaimsMove {
  from: string;
  to: string;
  /** All of the merged user's. */
  claims: readonly (Identifier & { isNew: boolean })[];
  /** Of the survivor's. */
  endedClaims: readonly Identifier[];
}

/** Moves claims with a merge: those that are new to the survivor become its, the others end. */
export async function moveClaims(tx: Transaction, { from, to, claims, endedClaims }: ClaimsMove): Promise<void> {
  await endClaims(tx, to, endedClaims);
  await handClaims(
    tx,
    { from, to },
    claims.filter(({ isNew }) => isNew),
  );
  await endClaims(
    tx,
    from,
    claims.filter(({ isNew }) => !isNew),
  );
}

/** Makes one user's claims of `identifiers` another one's, who has none of them. */
export async function handClaims(
  tx: Transaction,
  { from, to }: { from: string; to: string },
  identifiers: readonly Identifier[],
): Promise<void> {
  if (identifiers.length === 0) return;
  await tx.$executeRaw(sql`
    update identifier_claims c set user_id = ${to}::uuid
    from unnest(
      ${identifiers.map(({ kind }) => kind)}::identifier_kind[], ${identifiers.map(({ value }) => value)}::text[]
    ) as given (kind, value)
    where c.user_id = ${from}::uuid and c.kind = given.kind and c.value = given.value
  `);
}

/** Ends one user's claims of `identifiers`. */
async function endClaims(tx: Transaction, userId: string, identifiers: readonly Identifier[]): Promise<void> {
  if (identifiers.length === 0) return;
  await tx.$executeRaw(sql`
    delete from identifier_claims c
    using unnest(
      ${identifiers.map(({ kind }) => kind)}::identifier_kind[], ${identifiers.map(({ value }) => value)}::text[]
    ) as given (kind, value)
    where c.user_id = ${userId}::uuid and c.kind = given.kind and c.value = given.value
  `);
}
