import type { IdentityRules } from '../deployment.ts';
import type { Prisma } from '../generated/prisma/client.ts';
import type { AttributeOwner } from '../generated/prisma/enums.ts';
import type { Transaction } from '../storage/database.ts';
import {
  type CustomAttributesInput,
  defineInferred,
  holdAttributeDefinitions,
  parseCustomAttributes,
  patchAttributes,
  refuseTooManyAttributes,
} from './custom-attributes.ts';

/** A change of the custom attributes of one user or installation, whose row is locked, or new. */
export interface CustomAttributesChange {
  owner: AttributeOwner;
  /** As the row holds them. */
  stored: Prisma.JsonValue;
  /** Absent, null and empty: nothing changes. */
  input: CustomAttributesInput | null | undefined;
  undeclared: IdentityRules['undeclaredAttributes'];
  path: readonly string[];
}

/**
 * What a row will hold as its custom attributes, changed key by key; whoever asks writes the row. Defines what is inferred. The
 * locks of definitions come after those of users and installations.
 *
 * @throws DomainError `ATTRIBUTE_INVALID`, `LIMIT_EXCEEDED`. @throws StaleReadError when two infer one name at once.
 */
export async function changeCustomAttributes(
  tx: Transaction,
  { owner, stored, input, undeclared, path }: CustomAttributesChange,
): Promise<Prisma.JsonValue> {
  const names = Object.keys(input ?? {});
  if (!input || names.length === 0) return stored;
  refuseTooManyAttributes(names.length, path);
  const definitions = await holdAttributeDefinitions(tx, owner, names);
  const { patch, inferred } = parseCustomAttributes(input, { definitions, undeclared, path });
  await defineInferred(tx, owner, inferred);
  return patchAttributes(stored, patch);
}
