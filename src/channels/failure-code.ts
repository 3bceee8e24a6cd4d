/**
 * A short name for why no reply came, such as `ECONNREFUSED`, `TIMEOUT` or `ABORTED`: the error's own code or that of its
 * cause. Never the message, which can hold an address.
 */
export function toFailureCode(error: unknown, depthMax = 4): string {
  if (!(error instanceof Error) || depthMax === 0) return 'UNKNOWN';
  if (error.name === 'TimeoutError') return 'TIMEOUT';
  const cause = error.cause instanceof Error ? toFailureCode(error.cause, depthMax - 1) : 'UNKNOWN';
  if (cause !== 'UNKNOWN') return cause;
  if (error.name === 'AbortError') return 'ABORTED';
  if ('code' in error && typeof error.code === 'string' && /^[A-Z][A-Z0-9_]{2,40}$/.test(error.code)) return error.code;
  return 'UNKNOWN';
}
