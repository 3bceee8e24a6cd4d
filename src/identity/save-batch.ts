import type { AttributeDefinition } from '../attributes/attribute-definition.ts';
import { defineInferred, holdAttributeDefinitions } from '../attributes/custom-attributes.ts';
import type { Deployment, IdentityRules } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import type { User } from '../generated/prisma/client.ts';
import type { Transaction } from '../storage/database.ts';
import { meanwhile } from '../storage/meanwhile.ts';
import { StaleReadError } from '../storage/transaction.ts';
import { decideSave, type SavedUser } from './decide-save.ts';
import type { Identifier } from './identifier.ts';
import { lockConcerned } from './lock-concerned.ts';
import type { ParsedSave } from './parse-save.ts';
import { removeIdentifiers } from './remove-identifiers.ts';
import { takeIdentifiers } from './take-identifiers.ts';
import { type Drafts, draftUsers, type UserDraft } from './user-draft.ts';
import { type NamedUser, toIdentifierRows } from './user-identity-store.ts';
import { resolveUserReferences } from './user-reference.ts';
import { insertUsers, updateUsers } from './user-rows.ts';

/** What became of a batch of saves. */
export interface SavedBatch {
  /** Parallel to the saves: whom each is about, or why nothing was done for it. */
  results: (SavedUser | DomainError)[];
  /** Installations that were taken from who had only claimed an identifier; deliveries to them are still to be cancelled. */
  takenInstallationIds: string[];
}

/** What a batch comes to, before users are written. */
export interface DecidedBatch {
  /** As of a {@link SavedBatch}. */
  results: SavedBatch['results'];
  /** Everybody whom the saves have come upon, as they are to be. */
  drafts: UserDraft[];
  /** Everybody who may be concerned, as they were when they were locked. */
  locked: ReadonlyMap<string, NamedUser>;
}

/**
 * Saves users (rule U9), each as if it were alone and in this order, in as many statements as one save takes. A refused one
 * changes nothing and keeps no other one back.
 *
 * @throws StaleReadError when somebody else got in the way.
 */
export async function saveBatch(
  tx: Transaction,
  deployment: Pick<Deployment, 'cipher' | 'rules'>,
  saves: readonly ParsedSave[],
): Promise<SavedBatch> {
  const decided = await decideBatch(tx, deployment, saves);
  return { results: decided.results, takenInstallationIds: await writeBatch(tx, deployment, decided) };
}

/**
 * Locks whom the saves are about, and decides each. Writes nothing but attributes that they infer.
 *
 * @throws StaleReadError as {@link saveBatch} does.
 */
export async function decideBatch(
  tx: Transaction,
  { rules: { undeclaredAttributes: undeclared } }: Pick<Deployment, 'rules'>,
  saves: readonly ParsedSave[],
): Promise<DecidedBatch> {
  const situation = await readSituation(tx, saves);
  const { drafts, results } = await decideAndDefine(tx, situation, { saves, undeclared });
  return { results, drafts: [...drafts.byId.values()], locked: situation.users };
}

/**
 * Writes what was decided in the same transaction.
 *
 * @returns ids of the installations that were taken, as of a {@link SavedBatch}.
 * @throws StaleReadError as {@link saveBatch} does.
 */
export async function writeBatch(
  tx: Transaction,
  { cipher }: Pick<Deployment, 'cipher'>,
  { drafts, locked }: DecidedBatch,
): Promise<string[]> {
  const added = ownedBy(drafts, (draft) => draft.added);
  const made = rowsOf(drafts, (draft) => draft.isNew);
  const addedRows = await meanwhile(insertUsers(tx, made), () => toIdentifierRows(cipher, added));
  await updateUsers(
    tx,
    rowsOf(drafts, (draft) => draft.isChanged && !draft.isNew),
  );
  await removeIdentifiers(
    tx,
    cipher,
    ownedBy(drafts, ({ removed }) => removed),
  );
  return takeIdentifiers(tx, {
    added,
    addedRows,
    confirmed: ownedBy(drafts, ({ confirmed }) => confirmed),
    locked,
    cipher,
  });
}

interface Decided {
  drafts: Drafts;
  results: SavedBatch['results'];
}

/**
 * Decides all saves, and defines the attributes that they infer. Where that is refused, nothing is inferred: the refusal is
 * told of the save that it is about, and others with names that nobody has defined are refused as such.
 */
async function decideAndDefine(
  tx: Transaction,
  { referencedIds, users, definitions }: Situation,
  { saves, undeclared }: { saves: readonly ParsedSave[]; undeclared: IdentityRules['undeclaredAttributes'] },
): Promise<Decided> {
  const decide = (may: IdentityRules['undeclaredAttributes']): Decided => {
    const drafts = draftUsers(users.values(), definitions);
    const results = saves.map((save, index) =>
      attempt(() => decideSave(drafts, save, { referencedId: referencedIds[index] ?? null, undeclared: may })),
    );
    return { drafts, results };
  };
  const decided = decide(undeclared);
  try {
    await defineInferred(tx, 'USER', decided.drafts.inferred);
    return decided;
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    const about = saves.findIndex(({ path }) => path.every((part, depth) => error.inputPath?.[depth] === part));
    if (about < 0) throw error;
    const { drafts, results } = decide('REFUSE');
    return { drafts, results: results.with(about, error) };
  }
}

interface Situation {
  definitions: ReadonlyMap<string, AttributeDefinition>;
  /** Parallel to the saves: whom the reference names by an id. */
  referencedIds: (string | null)[];
  /** Everybody who may be concerned, locked. */
  users: Map<string, NamedUser>;
}

async function readSituation(tx: Transaction, saves: readonly ParsedSave[]): Promise<Situation> {
  const referencedIds = await resolveIds(tx, saves);
  const { users } = await lockConcerned(tx, {
    userIds: referencedIds.filter((id) => id !== null),
    identifiers: saves.flatMap(identifiersOf),
  });
  if ([...users.values()].some(({ user }) => user.mergedIntoId !== null)) throw new StaleReadError();
  return { referencedIds, users, definitions: await holdDefinitions(tx, saves) };
}

/** Identifiers are found with all the others. */
async function resolveIds(tx: Transaction, saves: readonly ParsedSave[]): Promise<(string | null)[]> {
  const asked = saves.map(({ reference }) => reference).filter(({ by }) => by !== 'identifier');
  const resolved = await resolveUserReferences(tx, asked);
  return saves.map(({ reference }) => resolved[asked.indexOf(reference)] ?? null);
}

async function holdDefinitions(tx: Transaction, saves: readonly ParsedSave[]) {
  const names = saves.flatMap(({ customAttributes }) => Object.keys(customAttributes));
  return names.length === 0 ? new Map() : holdAttributeDefinitions(tx, 'USER', names);
}

/** Without the reference, if a user that is made is called it. */
function identifiersOf({ reference, createdAs, identifiers }: ParsedSave): Identifier[] {
  return [...(createdAs ?? (reference.by === 'identifier' ? [reference] : [])), ...identifiers];
}

function attempt(decide: () => SavedUser): SavedUser | DomainError {
  try {
    return decide();
  } catch (error) {
    if (error instanceof DomainError) return error;
    throw error;
  }
}

function rowsOf(drafts: readonly UserDraft[], isMeant: (draft: UserDraft) => boolean): User[] {
  return drafts.filter(isMeant).map(({ user }) => user);
}

function ownedBy(drafts: readonly UserDraft[], part: (draft: UserDraft) => readonly Identifier[]) {
  return drafts.flatMap((draft) => part(draft).map(({ kind, value }) => ({ kind, value, userId: draft.user.id })));
}
