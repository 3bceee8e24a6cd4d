import type { Deployment } from '../deployment.ts';
import { DomainError, type ErrorCode } from '../errors.ts';
import {
  parseUserReference,
  resolveUserReferences,
  type UserReference,
  type UserReferenceInput,
} from '../identity/user-reference.ts';
import { isUuid } from '../ids.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { StaleReadError } from '../storage/transaction.ts';
import { write } from '../storage/write.ts';
import { holdTracked, insertEvents, type NewEvent } from './event-store.ts';
import { type EventInput, parseEvent } from './parse-event.ts';

/** What somebody did, where and when. */
export interface TrackedInput extends EventInput {
  /** Absent: whose the installation is. */
  user?: UserReferenceInput | null | undefined;
  /** A push registration id. */
  installation?: string | null | undefined;
  /** @default now */
  at?: Date | null | undefined;
}

/** Tracks events. */
export interface TrackRequest {
  principal: string;
  /** The installation that asks, which may only tell of itself and its user. Null: who asks may tell of anybody. */
  installationId: string | null;
  events: readonly TrackedInput[];
  idempotencyKey?: string | null | undefined;
}

/** Why an event was refused, in a form that can be kept for a repeat. */
export interface RefusedEvent {
  place: number;
  code: ErrorCode;
  message: string;
  path: readonly string[] | null;
}

/** Of so many events these were refused. */
export interface Tracked {
  count: number;
  refused: RefusedEvent[];
}

/** @default 5_000 // events a call */
export const eventsMax = 5_000;
/** How far a caller's clock may be ahead. @default 300_000 // 5 minutes */
const aheadMsMax = 300_000;
/** @default 3_650 // days */
const ageDaysMax = 3_650;

/**
 * Keeps what people did (rule A1): all in one transaction, and what is refused is told in its place.
 *
 * @throws DomainError `LIMIT_EXCEEDED` (too many), `VALUE_INVALID` (the key), `IDEMPOTENCY_KEY_REUSED`; nothing is written then.
 */
export async function trackEvents(deployment: Deployment, request: TrackRequest): Promise<Tracked> {
  const { principal, installationId, events, idempotencyKey } = request;
  if (events.length > eventsMax) {
    throw new DomainError('LIMIT_EXCEEDED', `At most ${eventsMax} events a call.`, ['events']);
  }
  const parsed = events.map((event, index) =>
    attempt(() => parseTracked(event, { path: ['events', String(index)], installationId })),
  );
  return write(deployment, { principal, mutation: 'trackEvents', idempotencyKey, input: { events } }, async (tx) => {
    const decided = await decideWhose(tx, parsed, installationId);
    const refused = decided.flatMap((event, place) =>
      event instanceof DomainError ? [{ place, code: event.code, message: event.message, path: event.inputPath }] : [],
    );
    await insertEvents(
      tx,
      decided.flatMap((event) => (event instanceof DomainError ? [] : [event])),
    );
    return { count: events.length, refused };
  });
}

/** An event of which it is not known yet whose it is. */
interface ParsedEvent extends Omit<NewEvent, 'userId'> {
  reference: UserReference;
  path: readonly string[];
}

function parseTracked(
  { user, installation, at = null, ...event }: TrackedInput,
  { path, installationId }: { path: readonly string[]; installationId: string | null },
): ParsedEvent {
  const where = typeof installation === 'string' ? installation.toLowerCase() : installationId;
  const isKnown = where === null || (isUuid(where) && (installationId === null || where === installationId));
  if (!isKnown) throw noRegistration(path);
  if (!user && where === null) {
    throw new DomainError('VALUE_INVALID', 'Say who did it: a user, or an installation.', [...path, 'user']);
  }
  const ageMs = at === null ? 0 : Date.now() - at.getTime();
  if (ageMs < -aheadMsMax || ageMs > ageDaysMax * 86_400_000) {
    throw new DomainError('VALUE_INVALID', 'An event is of the last 3,650 days, and not to come.', [...path, 'at']);
  }
  const reference: UserReference = user
    ? parseUserReference(user, [...path, 'user'])
    : { by: 'pushRegistrationId', id: where ?? '' };
  return { ...parseEvent(event, path), reference, installationId: where, at, path };
}

/** Whose each event is, who are held then, or why it is refused. */
async function decideWhose(
  tx: Transaction,
  parsed: readonly (ParsedEvent | DomainError)[],
  ownInstallationId: string | null,
): Promise<(NewEvent | DomainError)[]> {
  const events = parsed.filter((event): event is ParsedEvent => !(event instanceof DomainError));
  const own: UserReference[] = ownInstallationId === null ? [] : [{ by: 'pushRegistrationId', id: ownInstallationId }];
  const resolved = await resolveUserReferences(tx, [...events.map(({ reference }) => reference), ...own]);
  const ownUserId = ownInstallationId === null ? null : resolved.at(-1);
  const held = await holdTracked(
    tx,
    resolved.filter((id) => id !== null),
  );
  if (ownInstallationId !== null && ownUserId) await refuseFormerUser(tx, ownInstallationId, ownUserId);
  const installations = await findInstallations(
    tx,
    events.flatMap(({ installationId }) => installationId ?? []),
  );
  const whoseIs = new Map(events.map((event, index) => [event, resolved[index] ?? null]));
  return parsed.map((event) => {
    if (event instanceof DomainError) return event;
    const { reference: _, path, ...rest } = event;
    const userId = whoseIs.get(event) ?? null;
    if (event.installationId !== null && !installations.has(event.installationId)) return noRegistration(path);
    const isTheirs = ownInstallationId === null || userId === ownUserId;
    if (userId !== null && held.has(userId) && isTheirs) return { ...rest, userId };
    return new DomainError('NOT_FOUND', 'There is no such user.', [...path, 'user']);
  });
}

/** An installation that has left its user meanwhile tells nothing of either. */
async function refuseFormerUser(tx: Transaction, installationId: string, userId: string): Promise<void> {
  const rows = await tx.$queryRaw<unknown[]>(sql`
    select id from installations where id = ${installationId}::uuid and user_id = ${userId}::uuid for share
  `);
  if (rows.length === 0) throw new StaleReadError();
}

async function findInstallations(tx: Transaction, ids: readonly string[]): Promise<ReadonlySet<string>> {
  const rows = await tx.$queryRaw<{ id: string }[]>(sql`
    select id from installations where id = any(${[...new Set(ids)]}::uuid[])
  `);
  return new Set(rows.map(({ id }) => id));
}

function attempt(parse: () => ParsedEvent): ParsedEvent | DomainError {
  try {
    return parse();
  } catch (error) {
    if (error instanceof DomainError) return error;
    throw error;
  }
}

function noRegistration(path: readonly string[]): DomainError {
  return new DomainError('NO_REGISTRATION', 'No such installation is registered.', [...path, 'installation']);
}
