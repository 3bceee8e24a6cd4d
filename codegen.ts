import { writeFile } from 'node:fs/promises';
import { generate } from '@graphql-codegen/cli';
import { printSchema } from 'graphql';
import { schema } from './src/graphql/schema.ts';

/**
 * `npm run codegen` writes schema.graphql, which is committed, and the typed documents, which are not: types of the
 * operations in test/, for `graphql(…)`. With `--documents` it writes these alone.
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
          scalars: { DateTime: 'string', Date: 'string', JSONObject: 'Record<string, unknown>' },
        },
      },
    },
  });
}

if (import.meta.main) {
  if (!process.argv.includes('--documents')) await writeSchema();
  await writeTypedDocuments();
}
