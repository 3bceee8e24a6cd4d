/**
 * The known name that `name` is probably a slip of; null when it is most likely somebody else's. The shorter a name,
 * the less it may differ: `PORTS` and `HOSTS` are other programs', `PROT` is not.
 */
export function findNearMiss(name: string, knownNames: readonly string[]): string | null {
  if (knownNames.includes(name)) return null;
  const sameLetters = knownNames.find((known) => normalize(known) === normalize(name));
  if (sameLetters) return sameLetters;
  let nearest: string | null = null;
  let nearestDistance = Number.POSITIVE_INFINITY;
  for (const known of knownNames) {
    const distance = editDistance(name, known);
    if (distance < nearestDistance && distance <= slipsMax(name, known)) {
      nearest = known;
      nearestDistance = distance;
    }
  }
  return nearest;
}

/** `redisUrl`, `REDISURL`, `redis-url` and `REDIS_URL` are one name. */
function normalize(name: string): string {
  return name.toUpperCase().replace(/[_-]/g, '');
}

function slipsMax(name: string, known: string): number {
  if (known.length >= 9) return 2;
  // A swap of letters only; and API_KEY, which differs from APP_KEY by one letter, is a name of many programs.
  if (known.length < 8) return [...name].sort().join() === [...known].sort().join() ? 1 : 0;
  return 1;
}

/** Letters to insert, delete, replace, or swap with their neighbour (optimal string alignment). */
function editDistance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, column) => column)];
  const at = (row: number, column: number) => rows[row]?.[column] ?? Number.POSITIVE_INFINITY;
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    rows.push(row);
    for (let j = 1; j <= b.length; j++) {
      const replaced = at(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swapped = isSwap ? at(i - 2, j - 2) + 1 : Number.POSITIVE_INFINITY;
      row.push(Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, replaced, swapped));
    }
  }
  return at(a.length, b.length);
}
