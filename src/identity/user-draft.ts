import type { NewDefinition } from '../attributes/attribute-definition.ts';
import type { InferredDefinition } from '../attributes/custom-attributes.ts';
import type { Identifier } from './identifier.ts';
import type { NamedUser } from './user-identity-store.ts';
import { newUser } from './user-rows.ts';

/** A user as it will be, while a batch is decided. */
export interface UserDraft extends Pick<NamedUser, 'user' | 'identifiers'> {
  isNew: boolean;
  /** Whether its row has changed. */
  isChanged: boolean;
  added: Identifier[];
  /** What it was called already, and was said to be called again. */
  confirmed: Identifier[];
  removed: Identifier[];
}

/** Everybody whom a batch is about, as its decisions so far have left them. All of them are locked. */
export interface Drafts {
  byId: Map<string, UserDraft>;
  /** By `keyOf`: whose an identifier is. */
  holders: Map<string, string>;
  /** Of custom attributes by name: those that are held, and those that the batch has inferred. */
  definitions: Map<string, NewDefinition>;
  inferred: InferredDefinition[];
}

export const keyOf = ({ kind, value }: Identifier): string => `${kind} ${value}`;

export function draftUsers(
  users: Iterable<NamedUser>,
  definitions: ReadonlyMap<string, NewDefinition> = new Map(),
): Drafts {
  const drafts: Drafts = { byId: new Map(), holders: new Map(), definitions: new Map(definitions), inferred: [] };
  for (const { user, identifiers } of users) {
    const draft = {
      user,
      identifiers: [...identifiers],
      isNew: false,
      isChanged: false,
      added: [],
      confirmed: [],
      removed: [],
    };
    drafts.byId.set(user.id, draft);
    for (const identifier of identifiers) drafts.holders.set(keyOf(identifier), user.id);
  }
  return drafts;
}

/** A customer who is yet to be written: a back end has said who it is. */
export function draftNewUser(): UserDraft {
  const user = newUser('CUSTOMER');
  return { user, identifiers: [], isNew: true, isChanged: false, added: [], confirmed: [], removed: [] };
}
