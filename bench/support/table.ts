/** One line of the table: something of ours beside the measure for it, taken in the same rounds. */
export interface Row {
  what: string;
  unit: string;
  /** One value a round. */
  ours: readonly number[];
  /** One value a round: what `ours` is divided by. */
  measure: readonly number[];
  /** What the measure is. */
  of: string;
  /** What the median of the rounds' ratios has to be. Null: told for its own sake. */
  limit: { atLeast: number } | { atMost: number } | null;
}

/** The middle value; of an even number, the upper of the two. */
function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

const heading = ['', 'carillon', 'measure', 'ratio', 'of the rounds', 'limit', ''];

/** The rows as text, in columns. */
export function renderTable(rows: readonly Row[]): string {
  const lines = [heading, ...rows.map(toCells)];
  const widths = heading.map((_, column) => Math.max(...lines.map((cells) => cells[column]?.length ?? 0)));
  return lines
    .map((cells) => cells.map((cell, column) => pad(cell, column, widths)).join('  '))
    .map((line) => `${line.trimEnd()}\n`)
    .join('');
}

function pad(cell: string, column: number, widths: readonly number[]): string {
  const width = widths[column] ?? 0;
  return column === 0 || column > 4 ? cell.padEnd(width) : cell.padStart(width);
}

function toCells({ what, unit, ours, measure, of, limit }: Row): string[] {
  const ratios = ours.map((value, round) => value / (measure[round] ?? Number.NaN));
  const ratio = median(ratios);
  return [
    `${what}, ${unit}`,
    toText(median(ours)),
    `${of} ${toText(median(measure))}`,
    ratio.toFixed(2),
    `${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)}`,
    ...toVerdict(ratio, limit),
  ];
}

function toVerdict(ratio: number, limit: Row['limit']): [bound: string, verdict: string] {
  if (limit === null) return ['', ''];
  if ('atLeast' in limit) return [`≥ ${limit.atLeast.toFixed(2)}`, ratio >= limit.atLeast ? 'kept' : 'MISSED'];
  return [`≤ ${limit.atMost.toFixed(2)}`, ratio <= limit.atMost ? 'kept' : 'MISSED'];
}

function toText(value: number): string {
  return value >= 1_000 ? Math.round(value).toLocaleString('en-US') : value.toPrecision(3);
}
