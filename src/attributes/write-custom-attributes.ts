import type { IdentityRules } from '../deployment.ts';
import type { AttributeOwner } from '../generated/prisma/enums.ts';
import { type Sql, sql, type Transaction } from '../storage/database.ts';
import {
  type AttributePatch,
  type CustomAttributesInput,
  defineInferred,
  holdAttributeDefinitions,
  parseCustomAttributes,
  refuseTooManyAttributes,
} from './custom-attributes.ts';

/** Custom attributes of one user or installation, whose row is locked. */
export interface CustomAttributesWrite {
  owner: AttributeOwner;
  id: string;
  /** Absent, null and empty: nothing is done. */
  input: CustomAttributesInput | null | undefined;
  undeclared: IdentityRules['undeclaredAttributes'];
  path: readonly string[];
}

/**
 * Writes custom attributes key by key. The locks of their definitions come after those of users and installations.
 *
 * @throws DomainError `ATTRIBUTE_INVALID`, `LIMIT_EXCEEDED`. @throws StaleReadError when two infer one name at once.
 */
export async function writeCustomAttributes(tx: Transaction, write: CustomAttributesWrite): Promise<void> {
  const { owner, id, input, undeclared, path } = write;
  const names = Object.keys(input ?? {});
  if (!input || names.length === 0) return;
  refuseTooManyAttributes(names.length, path);
  const definitions = await holdAttributeDefinitions(tx, owner, names);
  const { patch, inferred } = parseCustomAttributes(input, { definitions, undeclared, path });
  await defineInferred(tx, owner, inferred);
  const table = owner === 'USER' ? sql`users` : sql`installations`;
  await tx.$executeRaw(sql`update ${table} set custom_attributes = ${patched(patch)} where id = ${id}::uuid`);
}

function patched({ set, unset }: AttributePatch): Sql {
  return sql`(custom_attributes - ${unset}::text[]) || ${JSON.stringify(set)}::jsonb`;
}
