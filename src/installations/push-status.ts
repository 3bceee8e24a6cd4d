import { DomainError } from '../errors.ts';
import type { PushStatus } from '../generated/prisma/enums.ts';

/** What a push status is decided by. */
interface PushStatusSituation {
  /** What the caller says it is. */
  given: PushStatus | null | undefined;
  /** What the caller says of the address: a new one, none any more, or nothing. */
  address: 'given' | 'removed' | 'kept';
  /** What it is now; null: the installation is new. */
  current: PushStatus | null;
}

/**
 * Rule I3. What the caller says counts. Otherwise an address means that the person has allowed it (but a no stays a no until
 * the client says that it is none), and without one nobody was asked yet. ALLOWED without an address is taken as it is said:
 * a platform gives its token only after the permission. It is not reachable until then. Pure.
 */
export function decidePushStatus({ given, address, current }: PushStatusSituation): PushStatus {
  if (given) return given;
  if (address === 'given') return current === 'BLOCKED' ? current : 'ALLOWED';
  if (current === null || (address === 'removed' && current === 'ALLOWED')) return 'ASK';
  return current;
}

/** @throws DomainError `VALUE_INVALID` at `path` for what only the server says. */
export function refuseSuspended(given: PushStatus | null | undefined, path: readonly string[]): void {
  if (given === 'SUSPENDED') throw new DomainError('VALUE_INVALID', 'SUSPENDED is set by the server only.', path);
}
