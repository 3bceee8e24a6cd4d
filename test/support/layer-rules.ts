import type { ICruiseOptions, IForbiddenRuleType } from 'dependency-cruiser';

/** From the top. A file imports from its own row or a lower one. A file belongs to the first row that matches it. */
const rows = [
  {
    name: 'entry',
    path: '^src/(main|app|carillon|open-place|open-bus|open-routes|wire-receipts|worker|banner|config|settings|setting-requirements|observation)[.]ts$|^src/cli/',
  },
  { name: 'transport', path: '^src/http/' },
  { name: 'door', path: '^src/door/' },
  { name: 'schema', path: '^src/graphql/|^src/.+/(schema|subscriptions)[.]ts$|^src/.+-schema[.]ts$' },
  { name: 'upper-domain', path: '^src/(notifications|imports|receipts|webhooks)/' },
  { name: 'middle-domain', path: '^src/(identity|segments|topics|events|content|deliveries|inbox)/' },
  { name: 'lower-domain', path: '^src/(apps|partners|attributes|users|installations|recipients)/' },
  // Above the infrastructure: the outbox is a channel that writes to a table.
  { name: 'channels', path: '^src/channels/' },
  { name: 'infrastructure', path: '^src/(storage|queue|stream|operations|observability)/|^src/deployment[.]ts$' },
  { name: 'kernel', path: '^src/(errors|escape-html|ids|logger|near-miss)[.]ts$|^src/generated/' },
];

const layers: IForbiddenRuleType[] = rows.slice(1).map(({ name, path }, index) => {
  const above = rows.slice(0, index + 1).map((row) => row.path);
  return {
    name: `${name}-imports-downwards`,
    severity: 'error',
    from: { path, pathNot: above },
    to: { path: above },
  };
});

/** What dependency-cruiser finds fault with. */
export const forbiddenImports: IForbiddenRuleType[] = [
  ...layers,
  {
    name: 'every-file-has-a-row',
    comment: 'A new folder, or a file beside src/main.ts, needs a place in the table above.',
    severity: 'error',
    from: {},
    to: { path: '^src/', pathNot: rows.map((row) => row.path) },
  },
  { name: 'no-cycles', severity: 'error', from: { pathNot: '^src/generated/' }, to: { circular: true } },
  { name: 'no-tests-in-the-program', severity: 'error', from: { path: '^src/' }, to: { path: '^(test/|codegen)' } },
  {
    name: 'no-development-dependencies-in-the-program',
    severity: 'error',
    from: { path: '^src/' },
    to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown', 'unknown', 'undetermined'] },
  },
];

/** How dependency-cruiser reads src/. */
export const cruiseOptions: ICruiseOptions = {
  // Without it, beside TypeScript 7, no module at all is seen and every rule holds.
  parser: 'swc',
  // Imports of types count: they say what knows of what.
  tsPreCompilationDeps: true,
  doNotFollow: { path: 'node_modules' },
  enhancedResolveOptions: {
    extensions: ['.ts', '.js'],
    exportsFields: ['exports'],
    conditionNames: ['import', 'node', 'default', 'types'],
  },
};
