import { z } from 'zod';
import { DomainError } from '../errors.ts';
import { idSchema, isUuid } from '../ids.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { parseEmail } from './email.ts';
import { parseExternalUserId } from './identifier.ts';
import { parsePhone } from './phone.ts';

/** One way of naming one user, in normal form: what a `UserRef` becomes, and what a notification's target keeps. */
export const userReferenceSchema = z.discriminatedUnion('by', [
  z.object({ by: z.literal('id'), id: idSchema }),
  z.object({ by: z.literal('pushRegistrationId'), id: idSchema }),
  z.object({ by: z.literal('identifier'), kind: z.enum(['EXTERNAL_USER_ID', 'EMAIL', 'PHONE']), value: z.string() }),
]);
export type UserReference = z.infer<typeof userReferenceSchema>;

/** A `UserRef` as the schema lets it in: exactly one of them is there. Ids are already local ones. */
export interface UserReferenceInput {
  id?: string | null | undefined;
  externalUserId?: string | null | undefined;
  email?: string | null | undefined;
  phone?: string | null | undefined;
  pushRegistrationId?: string | null | undefined;
}

/** @throws DomainError `EMAIL_INVALID`, `PHONE_INVALID`, `VALUE_INVALID`. */
export function parseUserReference(input: UserReferenceInput, path: readonly string[]): UserReference {
  if (typeof input.id === 'string') return { by: 'id', id: parseUuid(input.id, [...path, 'id']) };
  if (typeof input.pushRegistrationId === 'string') {
    return { by: 'pushRegistrationId', id: parseUuid(input.pushRegistrationId, [...path, 'pushRegistrationId']) };
  }
  if (typeof input.email === 'string') {
    return { by: 'identifier', kind: 'EMAIL', value: parseEmail(input.email, [...path, 'email']) };
  }
  if (typeof input.phone === 'string') {
    return { by: 'identifier', kind: 'PHONE', value: parsePhone(input.phone, [...path, 'phone']) };
  }
  const externalUserId = parseExternalUserId(input.externalUserId ?? 'null', [...path, 'externalUserId']);
  if (externalUserId === null) {
    throw new DomainError('VALUE_INVALID', '"null" names no user.', [...path, 'externalUserId']);
  }
  return { by: 'identifier', kind: 'EXTERNAL_USER_ID', value: externalUserId };
}

function parseUuid(text: string, path: readonly string[]): string {
  if (isUuid(text)) return text.toLowerCase();
  throw new DomainError('VALUE_INVALID', 'This is not an id.', path);
}

interface ResolvedRow {
  position: number;
  user_id: string;
}

/**
 * Finds the users that references name, in one statement; a merged user's references name its survivor. The answer is
 * parallel to `references`, null where there is nobody.
 */
export async function resolveUserReferences(
  tx: Pick<Transaction, '$queryRaw'>,
  references: readonly UserReference[],
): Promise<(string | null)[]> {
  if (references.length === 0) return [];
  const rows = await tx.$queryRaw<ResolvedRow[]>(sql`
    with reference as (
      select position, by, kind, value
      from unnest(
        ${references.map((reference) => reference.by)}::text[],
        ${references.map((reference) => (reference.by === 'identifier' ? reference.kind : null))}::text[],
        ${references.map((reference) => (reference.by === 'identifier' ? reference.value : reference.id))}::text[]
      ) with ordinality as given (by, kind, value, position)
    ),
    named as (
      select position, value::uuid as user_id from reference where by = 'id'
      union all
      select r.position, i.user_id
      from reference r join installations i on r.by = 'pushRegistrationId' and i.id = r.value::uuid
      union all
      select r.position, i.user_id
      from reference r join identifiers i on r.by = 'identifier' and i.kind = r.kind::identifier_kind and i.value = r.value
    )
    select named.position::int, coalesce(u.merged_into_id, u.id) as user_id
    from named join users u on u.id = named.user_id
  `);
  const found = new Map(rows.map((row) => [row.position, row.user_id]));
  return references.map((_, index) => found.get(index + 1) ?? null);
}

/** The user that one reference names, or null. @throws DomainError as {@link parseUserReference} does. */
export async function findUserId(
  tx: Pick<Transaction, '$queryRaw'>,
  input: UserReferenceInput,
  path: readonly string[],
): Promise<string | null> {
  const [id] = await resolveUserReferences(tx, [parseUserReference(input, path)]);
  return id ?? null;
}
