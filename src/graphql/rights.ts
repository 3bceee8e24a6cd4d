import type { Context } from './context.ts';

/** Who asks, and by which operation. */
type Asker = Pick<Context, 'caller' | 'operation'>;

/** Whether the caller may change everything but keys and apps: a server key, or a partner by an operation that was granted it. */
export function mayWrite({ caller, operation }: Asker): boolean {
  return caller?.kind === 'SERVER' || (caller?.kind === 'PARTNER' && operation?.isMutationGranted === true);
}

/**
 * Whether the caller may read everything but keys and exports: with a server or dashboard key, or a partner by an operation
 * that is limited to nobody.
 */
export function mayReadAll({ caller, operation }: Asker): boolean {
  if (caller?.kind === 'PARTNER') return operation !== null && !isScoped({ caller, operation });
  return caller?.kind === 'SERVER' || caller?.kind === 'DASHBOARD';
}

/** Whether the caller may read people at all; whom, `mayReadUser` says. */
export function mayReadSome(asker: Asker): boolean {
  return mayReadAll(asker) || isScoped(asker) || isInstallation(asker);
}

/** Whether a partner's operation sees only some people. */
export function isScoped({ caller, operation }: Asker): boolean {
  if (caller?.kind !== 'PARTNER' || operation === null) return false;
  return operation.scopeAppId !== null || operation.scopeSegmentId !== null;
}

/** Whether it is an installation, with a token that has not expired. */
export function isInstallation({ caller }: Pick<Asker, 'caller'>): boolean {
  return caller?.kind === 'INSTALLATION' && !caller.isExpired;
}
