/**
 * Values as one parameter, to be read by `::text[]` or as an array of another type. For thousands of them: a list as a parameter
 * is looked through by the client item by item, more than once.
 */
export function arrayLiteral(values: readonly (string | null)[]): string {
  return `{${values.map(toElement).join(',')}}`;
}

const plain = /^[\w.@+-]+$/;

/** PostgreSQL, 8.15.2: what is empty, "null" or not plain is quoted, and in quotes a quote and a backslash are escaped. */
function toElement(value: string | null): string {
  if (value === null) return 'NULL';
  if (plain.test(value) && (value.length !== 4 || value.toLowerCase() !== 'null')) return value;
  return `"${value.replace(/[\\"]/g, '\\$&')}"`;
}
