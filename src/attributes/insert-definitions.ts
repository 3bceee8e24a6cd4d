import type { AttributeOwner } from '../generated/prisma/enums.ts';
import { newId } from '../ids.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { definitionsPerOwnerMax, type NewDefinition } from './attribute-definition.ts';

/** What is said of one definition too many. */
export const tooManyDefinitions = `At most ${definitionsPerOwnerMax} attributes can be defined.`;

/** What became of definitions. Whatever is in `taken` was not written; nothing was when `isFull`. */
interface DefinitionsInserted {
  /** By name: whether the definition that was there already is in force, or is being removed. */
  taken: Map<string, 'in force' | 'leaving'>;
  isFull: boolean;
}

/** Writes definitions whose names are free. One transaction at a time does so, so that the limit is one. */
export async function insertDefinitions(
  tx: Transaction,
  owner: AttributeOwner,
  definitions: readonly NewDefinition[],
): Promise<DefinitionsInserted> {
  const lock = `attribute definitions ${owner}`;
  await tx.$executeRaw(sql`select pg_advisory_xact_lock(hashtextextended(${lock}, 0))`);
  const known = await tx.$queryRaw<{ name: string; is_leaving: boolean }[]>(sql`
    select name, removed_at is not null as is_leaving from attribute_definitions where owner = ${owner}::attribute_owner
  `);
  const states = new Map(known.map((row) => [row.name, row.is_leaving ? ('leaving' as const) : ('in force' as const)]));
  const fresh = definitions.filter(({ name }) => !states.has(name));
  const taken = new Map([...states].filter(([name]) => definitions.some((definition) => definition.name === name)));
  if (known.length + fresh.length > definitionsPerOwnerMax) return { taken, isFull: true };
  await tx.$executeRaw(sql`
    insert into attribute_definitions (id, owner, name, type, fields)
    select id, ${owner}::attribute_owner, name, type, fields
    from unnest(
      ${fresh.map(() => newId())}::uuid[], ${fresh.map(({ name }) => name)}::text[],
      ${fresh.map(({ type }) => type)}::attribute_type[],
      ${fresh.map(({ fields }) => fields && JSON.stringify(fields))}::jsonb[]
    ) as given (id, name, type, fields)
  `);
  return { taken, isFull: false };
}
