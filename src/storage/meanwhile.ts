import { setImmediate } from 'node:timers/promises';

/**
 * Computes something while a statement is under way, which otherwise would keep the database waiting afterwards.
 *
 * @returns what was computed, when the statement is done. @throws what either does.
 */
export async function meanwhile<Computed>(statement: Promise<unknown>, compute: () => Computed): Promise<Computed> {
  // What goes wrong with it is told below.
  statement.catch(() => undefined);
  // Until it is sent.
  await setImmediate();
  const computed = compute();
  await statement;
  return computed;
}
