import { expect, test } from 'vitest';
import { readManifest } from '../../src/cli/read-manifest.ts';
import { schema } from '../../src/graphql/schema.ts';
import { documentIdOf, prepareDocument } from '../../src/operations/prepare-operation.ts';

test("the manifest of the own clients holds valid operations, each under its text's hash", async () => {
  const operations = await readManifest('test/operations.json');
  expect(operations.length).toBeGreaterThan(20);
  for (const { id, document } of operations) {
    expect(documentIdOf(document)).toBe(id);
    expect(prepareDocument(document, schema, false)).toMatchObject({ operations: [{}] });
  }
});

test('what the own clients send is in it, to the letter', async () => {
  const { CreateApiKeyDocument } = await import('../generated/graphql.ts');
  const documents = (await readManifest('test/operations.json')).map(({ document }) => document);
  expect(documents).toContain(CreateApiKeyDocument.toString());
});
