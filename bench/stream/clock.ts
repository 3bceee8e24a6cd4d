/**
 * Milliseconds on the machine's monotonic clock: what one process notes can be compared with what another does, unlike
 * `performance.now()`, which each process counts from its own start.
 */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
