import { readFile } from 'node:fs/promises';
import {
  type GraphQLNamedType,
  getNamedType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isIntrospectionType,
  isObjectType,
  isSpecifiedScalarType,
  printSchema,
} from 'graphql';
import { expect, test } from 'vitest';
import { schema } from '../../src/graphql/schema.ts';

test('schema.graphql is what the source says', async () => {
  expect(await readFile('schema.graphql', 'utf8')).toBe(`${printSchema(schema)}\n`);
});

test('every type, field, argument, input field and value is described, by more than its name', () => {
  const described = Object.values(schema.getTypeMap())
    .filter((type) => !isIntrospectionType(type) && !isSpecifiedScalarType(type))
    .flatMap(listDescribed);
  expect(described.length).toBeGreaterThan(200);
  expect(described.filter(({ name, description }) => !saysMore(name, description)).map(({ place }) => place)).toEqual(
    [],
  );
});

/** Each answers a new secret with every call, and secrets are kept nowhere. */
const withoutIdempotencyKey = ['refreshInstallationToken', 'registerInstallation'];

test('every mutation takes an idempotency key, but those that answer a token', () => {
  const mutations = Object.values(schema.getMutationType()?.getFields() ?? {});
  const without = mutations.filter(({ args }) => {
    const input = getNamedType(args.find(({ name }) => name === 'input')?.type);
    return !isInputObjectType(input) || input.getFields().idempotencyKey === undefined;
  });
  expect(mutations.length).toBeGreaterThan(10);
  expect(without.map(({ name }) => name).sort()).toEqual(withoutIdempotencyKey);
});

interface Described {
  place: string;
  name: string;
  description: string | null | undefined;
}

function listDescribed(type: GraphQLNamedType): Described[] {
  const parts: Described[] = [{ place: type.name, name: type.name, description: type.description }];
  const add = (parent: string, { name, description }: { name: string; description?: string | null | undefined }) => {
    parts.push({ place: `${parent}.${name}`, name, description });
    return `${parent}.${name}`;
  };
  if (isEnumType(type)) for (const value of type.getValues()) add(type.name, value);
  if (isInputObjectType(type)) for (const field of Object.values(type.getFields())) add(type.name, field);
  if (isObjectType(type) || isInterfaceType(type)) {
    for (const field of Object.values(type.getFields())) {
      const place = add(type.name, field);
      for (const argument of field.args) add(place, argument);
    }
  }
  return parts;
}

/** "The first name." says no more of `firstName` than `firstName` does. */
function saysMore(name: string, description: string | null | undefined): boolean {
  const words = (description ?? '')
    .toLowerCase()
    .replaceAll(/\b(the|an?|its|of|this)\b/g, '')
    .replaceAll(/[^a-z0-9]/g, '');
  return words !== '' && words !== name.toLowerCase().replaceAll('_', '');
}
