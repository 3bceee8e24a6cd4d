import { writeFile } from 'node:fs/promises';
import { generate } from '@graphql-codegen/cli';
import { Kind, parse, printSchema } from 'graphql';
import { schema } from './src/graphql/schema.ts';
import { documentIdOf } from './src/operations/prepare-operation.ts';

/**
 * `npm run codegen` writes schema.graphql and test/operations.json, which are committed, and the typed documents, which are
 * not: types of the operations in test/, for `graphql(…)`. With `--documents` it writes these alone.
 */
export async function writeSchema(): Promise<void> {
  await writeFile('schema.graphql', `${printSchema(schema)}\n`);
}

export async function writeTypedDocuments(): Promise<void> {
  await generate({
    schema: 'schema.graphql',
    documents: ['test/**/*.ts', '!test/generated/**'],
    importExtension: '.ts',
    silent: true,
    generates: {
      'test/generated/': {
        preset: 'client',
        presetConfig: { gqlTagName: 'graphql', fragmentMasking: false },
        config: {
          documentMode: 'string',
          useTypeImports: true,
          enumType: 'string-literal',
          strictScalars: true,
          scalars: {
            DateTime: 'string',
            Date: 'string',
            JSONObject: 'Record<string, unknown>',
            FilterValue: 'string | number | boolean',
          },
        },
      },
    },
  });
}

/**
 * The manifest of the project's own clients, in the form of the client preset's `persistedDocuments`. Made here, as the
 * preset prints and hashes documents in another form than the text that its own clients send.
 */
async function writeManifest(): Promise<void> {
  // Not above: it is there when the typed documents have been written.
  const { TypedDocumentString, ...generated } = await import('./test/generated/graphql.ts');
  const texts = Object.values(generated).flatMap((value) => (value instanceof TypedDocumentString ? [`${value}`] : []));
  const entries = texts.filter(hasOperation).map((text) => [documentIdOf(text), text] as const);
  const manifest = Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
  await writeFile('test/operations.json', `${JSON.stringify(manifest, null, 2)}\n`);
}

/** A fragment alone is a typed document too. */
function hasOperation(text: string): boolean {
  return parse(text).definitions.some(({ kind }) => kind === Kind.OPERATION_DEFINITION);
}

if (import.meta.main) {
  const isWhole = !process.argv.includes('--documents');
  if (isWhole) await writeSchema();
  await writeTypedDocuments();
  if (isWhole) await writeManifest();
}
