import { z } from 'zod';
import type { AttributeOwner, AttributeType } from '../generated/prisma/enums.ts';
import { idSchema } from '../ids.ts';
import { type Database, sql, type Transaction } from '../storage/database.ts';

/** What an attribute, or a field of an object in a list, holds. */
const scalarTypes = ['STRING', 'NUMBER', 'BOOLEAN', 'DATE', 'DATETIME'] as const satisfies readonly AttributeType[];
export type ScalarType = (typeof scalarTypes)[number];

/** What each object of a list may hold. */
export interface AttributeField {
  name: string;
  type: ScalarType;
}

/** What a custom attribute is: `fields`, and only then, of a list of objects. */
export type AttributeShape = { type: ScalarType; fields: null } | { type: 'OBJECT_LIST'; fields: AttributeField[] };

/** A definition that is not there yet. */
export type NewDefinition = AttributeShape & { name: string };

/** A custom attribute that may be written. A value from before `createdAt` is of another one that once had the name. */
export type AttributeDefinition = NewDefinition & { id: string; createdAt: Date };

/** @default 500 // of users, and as many of installations, those that are being removed among them */
export const definitionsPerOwnerMax = 500;

const nameCharactersMax = 256;

/**
 * What is wrong with the name of an attribute or of a field, as a sentence; null: nothing. In Unicode NFC it has 1 to 256
 * characters, none of them a brace, a bracket or a control character. Look-alikes are different names.
 */
export function findNameMistake(text: string): string | null {
  const name = text.normalize('NFC');
  const length = [...name].length;
  if (length === 0 || length > nameCharactersMax) return `A name has 1 to ${nameCharactersMax} characters.`;
  const isPlain = !/[{}[\]\p{Cc}]/u.test(name) && name.isWellFormed();
  return isPlain ? null : 'A name has none of { } [ ], and no control characters.';
}

const fieldsSchema = z.array(z.object({ name: z.string(), type: z.enum(scalarTypes) }));
const rowSchema = z.intersection(
  z.object({ id: idSchema, name: z.string(), created_at: z.date() }),
  z.discriminatedUnion('type', [
    z.object({ type: z.literal('OBJECT_LIST'), fields: fieldsSchema }),
    z.object({ type: z.enum(scalarTypes), fields: z.null() }),
  ]),
);

/** The fields in a row: none where it is no list of objects. */
export function parseFieldsColumn(column: unknown): AttributeField[] {
  return fieldsSchema.nullable().parse(column) ?? [];
}

/** A definition from its row. */
export function toAttributeDefinition(row: unknown): AttributeDefinition {
  const { created_at: createdAt, ...definition } = rowSchema.parse(row);
  return { ...definition, createdAt };
}

/** All definitions of what users or installations have, sorted by name; those that are being removed are left out. */
export async function listAttributeDefinitions(
  db: Pick<Database | Transaction, '$queryRaw'>,
  owner: AttributeOwner,
): Promise<AttributeDefinition[]> {
  const rows = await db.$queryRaw<unknown[]>(sql`
    select id, name, type::text, fields, created_at from attribute_definitions
    where owner = ${owner}::attribute_owner and removed_at is null
    order by name collate "C"
  `);
  return rows.map(toAttributeDefinition);
}
