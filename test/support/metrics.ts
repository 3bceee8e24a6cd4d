/** A process's metrics, as Prometheus reads them. */
export interface Scrape {
  text: string;
  /** The value of a series as it is written, such as `carillon_websockets_open` or `a_total{b="c"}`; null: there is none. */
  value(series: string): number | null;
}

/** Reads Prometheus text. */
export function parseMetrics(text: string): Scrape {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  const values = new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), line.slice(line.lastIndexOf(' ') + 1)]),
  );
  return {
    text,
    value(series) {
      const value = values.get(series);
      return value === undefined ? null : Number(value);
    },
  };
}
