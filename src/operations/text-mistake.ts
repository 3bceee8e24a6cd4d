/** Objects and lists within each other, in variables. @default 64 */
const variablesDepthMax = 64;

/** What is wrong with a text, as the end of a sentence; null: nothing. PostgreSQL's text and jsonb hold neither of these. */
export function findTextMistake(text: string): string | null {
  if (text.includes('\0')) return 'must not hold the character NUL';
  return text.isWellFormed() ? null : 'must not hold half of a surrogate pair';
}

/** What is wrong with variables: a text in them, or how deep they are nested. Null: nothing. */
export function findVariablesMistake(value: unknown, depth = 0): string | null {
  if (typeof value === 'string') return findTextMistake(value);
  if (typeof value !== 'object' || value === null) return null;
  if (depth >= variablesDepthMax) return `must not be nested more than ${variablesDepthMax} levels deep`;
  for (const [key, inner] of Object.entries(value)) {
    const mistake = findTextMistake(key) ?? findVariablesMistake(inner, depth + 1);
    if (mistake !== null) return mistake;
  }
  return null;
}
