import type { User } from '../generated/prisma/client.ts';
import type { NamedUser } from '../identity/user-identity-store.ts';
import type { Cipher } from '../storage/cipher.ts';

/** Values by attribute: a standard one by its name, `tags`, a custom one by `customAttributes.` and its name. Null: none. */
export type AttributeValues = Record<string, unknown>;

/** What stands before the name of a custom attribute. */
export const customPrefix = 'customAttributes.';

/** Standard attributes, all but tags. */
const standardNames = [
  ...(['displayName', 'firstName', 'middleName', 'lastName', 'gender', 'birthday', 'preferredLanguage'] as const),
  ...(['preferredChannel', 'timeZone', 'country', 'region', 'pictureUrl'] as const),
] satisfies readonly (keyof User)[];

/** All values that a user has, in the form in which they are kept for an undo. */
export function toAttributeValues(user: User): AttributeValues {
  const standard = standardNames.map((name) => [name, toValue(user[name])] as const);
  const custom = Object.entries(Object(user.customAttributes)).map(([name, value]) => [customPrefix + name, value]);
  return Object.fromEntries([...standard, ['tags', user.tags], ...custom]);
}

function toValue(value: User[(typeof standardNames)[number]]): string | null {
  return value instanceof Date ? value.toISOString().slice(0, 10) : value;
}

/** Whether two values are the same, in whichever order PostgreSQL tells what is in them. */
export function isSame(a: unknown, b: unknown): boolean {
  return a === b || canonicalJson(a ?? null) === canonicalJson(b ?? null);
}

/** JSON with sorted names. */
function canonicalJson(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([name, inner]) => `${JSON.stringify(name)}:${canonicalJson(inner)}`).join(',')}}`;
}

/** A keyed hash of a user as it is, with what it is called, in hex. Tells nothing of it. */
export function fingerprintOf(cipher: Cipher, { user, identifiers }: Pick<NamedUser, 'user' | 'identifiers'>): string {
  const names = identifiers.map(({ kind, value, isAlias }) => `${kind} ${isAlias} ${value}`).sort();
  const standard = standardNames.map((name) => toValue(user[name]));
  const text = `${JSON.stringify([user.type, standard, user.tags, names])}${canonicalJson(user.customAttributes)}`;
  return Buffer.from(cipher.hash('import change', text)).toString('hex');
}
