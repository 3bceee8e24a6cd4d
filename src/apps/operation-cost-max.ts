/**
 * The dearest single operation of each kind of caller, in points. Keys of back ends are trusted, and only kept from
 * drowning the database by mistake.
 */
export const operationCostMax = {
  SERVER: 100_000,
  DASHBOARD: 50_000,
  PARTNER: 20_000,
  INSTALLATION: 5_000,
  APP: 1_000,
  nobody: 500,
} as const;
