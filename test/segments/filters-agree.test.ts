import { parse, validate } from 'graphql';
import { expect, test } from 'vitest';
import { schema } from '../../src/graphql/schema.ts';
import { predicates } from '../../src/segments/predicates.ts';
import { useDatabase } from '../support/database.ts';
import { findDisagreement } from '../support/segments/agreement.ts';
import { plainPredicates } from '../support/segments/plain-predicates.ts';

const database = useDatabase();

test('the plain meaning of every predicate is written down', () => {
  expect(Object.keys(plainPredicates).sort()).toEqual(predicates.map(({ name }) => name).sort());
});

test.each(predicates)('the description of $name shows by an example how it is asked', ({ name, argument }) => {
  const [, example] = /`([{] .+ [}])`/.exec(argument.description) ?? [];
  const document = `{ previewSegment(filter: ${example}) { count } }`;
  expect(document).toContain(`{ ${name}: `);
  expect(validate(schema, parse(document))).toEqual([]);
});

test('SQL, the decision for one user and the plain meaning of a filter agree about everybody, whatever the filter', async () => {
  await findDisagreement(database.db, { people: 60, filters: 150, seed: Date.now() % 2 ** 31 });
});
