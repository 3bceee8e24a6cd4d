import { isDeepStrictEqual } from 'node:util';
import { parseCustomAttributes, patchAttributes } from '../attributes/custom-attributes.ts';
import { DomainError } from '../errors.ts';
import { withChanges } from '../storage/database.ts';
import { blankAttributes } from '../users/user-attributes.ts';
import { type Identifier, identifiersPerKindMax } from './identifier.ts';
import type { ParsedSave } from './parse-save.ts';
import { type Drafts, draftNewUser, keyOf, type UserDraft } from './user-draft.ts';
import { isCalled, shownExternalUserId } from './user-identity-store.ts';
import type { UserReference } from './user-reference.ts';

/** Whom a save is about, and whether it makes that user. Ids only, so that it can be kept for a repeat. */
export interface SavedUser {
  userId: string;
  created: boolean;
}

/**
 * Decides one save (rule U9) and leaves its effect in `drafts`. A refused save leaves nothing there.
 *
 * @param referencedId whom the save's reference names by an id; null: nobody, or it is an identifier.
 * @throws DomainError `NOT_FOUND`, `USER_MERGE_INTERRUPTED`, `IDENTIFIER_IMMUTABLE`, `IDENTIFIER_LIMIT_EXCEEDED`,
 * `STATE_CONFLICT`, `ATTRIBUTE_INVALID`, `LIMIT_EXCEEDED`.
 */
export function decideSave(
  drafts: Drafts,
  save: ParsedSave,
  { referencedId, undeclared }: { referencedId: string | null; undeclared: 'REFUSE' | 'INFER' },
): SavedUser {
  const known = findDraft(drafts, save.reference, referencedId);
  if (!known && save.createdAs === null)
    throw new DomainError('NOT_FOUND', 'There is no such user.', [...save.path, 'user']);
  const draft = known ?? draftNewUser();
  const identifiers = [...(known ? [] : (save.createdAs ?? [])), ...save.identifiers];
  refuseOthersIdentifiers(drafts, draft, { identifiers, path: save.path });
  refuseOtherExternalUserId(draft, identifiers, save);
  const kept = draft.identifiers.filter(({ kind }) => kind === 'EXTERNAL_USER_ID' || !save.removedKinds.includes(kind));
  const added = identifiers.filter(
    (identifier, index) =>
      !isCalled({ identifiers: kept }, [identifier]) &&
      identifiers.findIndex((other) => keyOf(other) === keyOf(identifier)) === index,
  );
  refuseTooMany([...kept, ...added], save.path);
  refuseNameless(draft, kept.length + added.length, save);
  const custom = parseCustomAttributes(save.customAttributes, {
    definitions: drafts.definitions,
    undeclared,
    path: [...save.path, 'userAttributes', 'customAttributes'],
  });
  apply(drafts, draft, { kept, added, save, custom });
  return { userId: draft.user.id, created: !known };
}

function findDraft(drafts: Drafts, reference: UserReference, referencedId: string | null): UserDraft | null {
  const id = reference.by === 'identifier' ? drafts.holders.get(keyOf(reference)) : referencedId;
  return drafts.byId.get(id ?? '') ?? null;
}

const inputFields = { EXTERNAL_USER_ID: 'externalUserId', EMAIL: 'emails', PHONE: 'phones' } as const;

/** Tells the kind, and nothing of whose it is. */
function refuseOthersIdentifiers(
  { holders }: Drafts,
  { user }: UserDraft,
  { identifiers, path }: { identifiers: readonly Identifier[]; path: readonly string[] },
): void {
  const taken = identifiers.find((identifier) => (holders.get(keyOf(identifier)) ?? user.id) !== user.id);
  if (!taken) return;
  const message = `Another user has this ${inputFields[taken.kind].replace(/s$/, '')} already.`;
  throw new DomainError('USER_MERGE_INTERRUPTED', message, [...path, inputFields[taken.kind]]);
}

function refuseOtherExternalUserId(draft: UserDraft, identifiers: readonly Identifier[], save: ParsedSave): void {
  const shown = shownExternalUserId(draft);
  const given = identifiers.filter(({ kind }) => kind === 'EXTERNAL_USER_ID').map(({ value }) => value);
  const known = draft.identifiers.filter(({ kind }) => kind === 'EXTERNAL_USER_ID').map(({ value }) => value);
  const isOther = shown !== null && (save.isExternalUserIdNull || given.some((value) => !known.includes(value)));
  if (isOther || new Set(given).size > 1) {
    throw new DomainError('IDENTIFIER_IMMUTABLE', 'The user has another external user id, which never changes.', [
      ...save.path,
      'externalUserId',
    ]);
  }
}

function refuseTooMany(identifiers: readonly Identifier[], path: readonly string[]): void {
  for (const kind of ['EMAIL', 'PHONE'] as const) {
    if (identifiers.filter((identifier) => identifier.kind === kind).length > identifiersPerKindMax) {
      const field = inputFields[kind];
      const message = `A user has at most ${identifiersPerKindMax} ${field}.`;
      throw new DomainError('IDENTIFIER_LIMIT_EXCEEDED', message, [...path, field]);
    }
  }
}

/** Whoever is named stays so: nobody's profile would be absorbed by whoever is personalized next at its installation. */
function refuseNameless({ identifiers }: UserDraft, count: number, { path, removedKinds: [kind] }: ParsedSave): void {
  if (identifiers.length === 0 || count > 0 || !kind) return;
  const message = 'This would remove what the user is called by: erase the user, or name it otherwise first.';
  throw new DomainError('STATE_CONFLICT', message, [...path, inputFields[kind]]);
}

/** What a save keeps of a user's identifiers, and adds to them. */
interface Effect {
  kept: UserDraft['identifiers'];
  added: Identifier[];
  save: ParsedSave;
  custom: ReturnType<typeof parseCustomAttributes>;
}

function apply(drafts: Drafts, draft: UserDraft, { kept, added, save, custom }: Effect): void {
  const { byId, holders, definitions, inferred } = drafts;
  byId.set(draft.user.id, draft);
  for (const identifier of draft.identifiers) if (!kept.includes(identifier)) remove(holders, draft, identifier);
  for (const identifier of added) holders.set(keyOf(identifier), draft.user.id);
  draft.added.push(...added);
  draft.confirmed.push(...save.identifiers.filter((identifier) => isCalled({ identifiers: kept }, [identifier])));
  draft.identifiers = [...kept, ...added.map((identifier) => ({ ...identifier, isAlias: false }))];
  for (const definition of custom.inferred) definitions.set(definition.name, definition);
  inferred.push(...custom.inferred);
  const isOverride = save.mode === 'OVERRIDE';
  const attributes = { ...(isOverride ? blankAttributes : {}), ...save.attributes };
  const { set, unset } = custom.patch;
  if (Object.keys(attributes).length + Object.keys(set).length + unset.length === 0) return;
  const customAttributes = patchAttributes(isOverride ? {} : draft.user.customAttributes, custom.patch);
  const user = withChanges(draft.user, { ...attributes, customAttributes });
  draft.isChanged ||= !isDeepStrictEqual(user, draft.user);
  draft.user = user;
}

/** What an earlier save of the same batch has added was never written. */
function remove(holders: Drafts['holders'], draft: UserDraft, identifier: Identifier): void {
  const key = keyOf(identifier);
  holders.delete(key);
  const unwritten = draft.added.findIndex((added) => keyOf(added) === key);
  if (unwritten >= 0) draft.added.splice(unwritten, 1);
  else draft.removed.push(identifier);
}
