import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { testRules, useApp } from '../support/app.ts';
import { customAttributesOf, listAttributeDefinitions, makeAttribute } from '../support/attributes.ts';
import { makeInstallation, personalize, registerInstallation } from '../support/operations.ts';
import { makePerson } from '../support/people.ts';
import { saveUsers } from '../support/save-operations.ts';
import { makeApp } from '../support/user-registration.ts';

const g = useApp({ role: 'gateway', rules: { ...testRules, undeclaredAttributes: 'INFER' } });

const refusal = (code: string, path: readonly string[]) => expect.objectContaining({ code, path });
const at = (...path: string[]) => ['userAttributes', 'customAttributes', ...path];

type Person = Awaited<ReturnType<typeof makePerson>>;

const write = ({ installation, externalUserId }: Person, customAttributes: Record<string, unknown>) =>
  personalize(g.server, {
    installation: installation.id,
    userIdentity: { externalUserId },
    userAttributes: { customAttributes },
  });

const typesOf = async (...names: string[]) => {
  const definitions = await g.db.attributeDefinition.findMany({ where: { name: { in: names } } });
  return Object.fromEntries(definitions.map(({ name, type }) => [name, type]));
};

describe('U13: where undeclared attributes are inferred', () => {
  test('a scalar under an unknown name defines it by its type', async () => {
    const [text, number, flag] = [randomUUID(), randomUUID(), randomUUID()];
    const person = await makePerson(g);
    const given = { [text]: '2020-11-30', [number]: 1.5, [flag]: true };
    expect(await write(person, given)).toMatchObject({ __typename: 'PersonalizePayload' });
    expect(await customAttributesOf(g.server, { id: person.id })).toEqual(given);
    expect(await typesOf(text, number, flag)).toEqual({ [text]: 'STRING', [number]: 'NUMBER', [flag]: 'BOOLEAN' });
    expect(await write(person, { [number]: 'many' })).toEqual(refusal('ATTRIBUTE_INVALID', at(number)));
  });

  test.each([[[]], [[{ a: 1 }]], [{ a: 1 }], [null], [2 ** 53]])('%j defines nothing and is refused', async (value) => {
    const [name, good] = [randomUUID(), randomUUID()];
    expect(await write(await makePerson(g), { [good]: 1, [name]: value })).toEqual(
      refusal('ATTRIBUTE_INVALID', at(name)),
    );
    expect(await typesOf(name, good)).toEqual({});
  });

  test('a name that cannot be one is refused', async () => {
    expect(await write(await makePerson(g), { 'a[0]': 1 })).toEqual(refusal('ATTRIBUTE_INVALID', at('a[0]')));
  });

  test('twelve people who bring one new name at once bring one definition, and all have their value', async () => {
    const people = await Promise.all(Array.from({ length: 12 }, () => makePerson(g)));
    const name = randomUUID();
    const results = await Promise.all(
      people.map((person, index) => write(person, { [name]: index, [`${name} b`]: 1 })),
    );
    expect(new Set(results.map((result) => result?.__typename))).toEqual(new Set(['PersonalizePayload']));
    const told = await Promise.all(people.map(({ id }) => customAttributesOf(g.server, { id })));
    expect(told).toEqual(people.map((_, index) => ({ [name]: index, [`${name} b`]: 1 })));
    expect(await typesOf(name)).toEqual({ [name]: 'NUMBER' });
  });

  test('of two who bring one new name with different types at once, one is refused', async () => {
    const [ann, bob] = [await makePerson(g), await makePerson(g)];
    const name = randomUUID();
    const results = await Promise.all([write(ann, { [name]: 'a' }), write(bob, { [name]: true })]);
    expect(results.map((result) => result?.__typename).sort()).toEqual(['AttributeInvalidError', 'PersonalizePayload']);
  });

  test('clients define nothing', async () => {
    expect(await registerInstallation(g.app, { customAttributes: { [randomUUID()]: 1 } })).toMatchObject({
      code: 'ATTRIBUTE_INVALID',
    });
    const { client } = await makeApp(g.server, { userRegistration: 'OPEN' });
    const { token } = await makeInstallation(client);
    const [known, unknown] = [await makeAttribute(g.server, { type: 'NUMBER' }), randomUUID()];
    const claim = (name: string) =>
      personalize(client.as(token), {
        userIdentity: { externalUserId: 'me' },
        userAttributes: { customAttributes: { [name]: 1 } },
      });
    expect(await claim(unknown)).toEqual(refusal('ATTRIBUTE_INVALID', at(unknown)));
    expect(await claim(known)).toMatchObject({ __typename: 'PersonalizePayload' });
  });

  test('what is being removed is not defined anew by a value', async () => {
    const name = await makeAttribute(g.server, { type: 'NUMBER' });
    await g.db.attributeDefinition.updateMany({ where: { name }, data: { removedAt: new Date() } });
    expect(await write(await makePerson(g), { [name]: 1 })).toEqual(refusal('ATTRIBUTE_INVALID', at(name)));
  });

  test('a bulk defines a name once for all, and one that cannot be defined keeps only those back that need it', async () => {
    const [fresh, leaving] = [randomUUID(), await makeAttribute(g.server, { type: 'NUMBER' })];
    const save = (customAttributes: Record<string, unknown>) => ({
      user: { externalUserId: randomUUID() },
      create: true,
      mode: 'MERGE' as const,
      userAttributes: { customAttributes },
    });
    const bulk = async (...users: ReturnType<typeof save>[]) => {
      const result = await saveUsers(g.server, { users });
      return result?.__typename === 'SaveUsersPayload' ? result.results : result;
    };
    const saved = expect.objectContaining({ created: true });
    expect(await bulk(save({ [fresh]: 1 }), save({ [fresh]: 'one' }), save({ [fresh]: 2 }))).toEqual([
      saved,
      refusal('ATTRIBUTE_INVALID', ['users', '1', ...at(fresh)]),
      saved,
    ]);
    await g.db.attributeDefinition.updateMany({ where: { name: leaving }, data: { removedAt: new Date() } });
    expect(await bulk(save({}), save({ [leaving]: 1 }), save({ [fresh]: 3 }))).toEqual([
      saved,
      refusal('ATTRIBUTE_INVALID', ['users', '1', ...at(leaving)]),
      saved,
    ]);
  });

  test('the 501st is LIMIT_EXCEEDED', async () => {
    const { totalCount } = await listAttributeDefinitions(g.server, { owner: 'USER' });
    const names = Array.from({ length: 500 - totalCount }, () => randomUUID());
    const person = await makePerson(g);
    const all = Object.fromEntries(names.map((name) => [name, 1]));
    expect(await write(person, { ...all, [randomUUID()]: 1 })).toEqual(
      refusal('LIMIT_EXCEEDED', at(...names.slice(0, 1))),
    );
    expect(await write(person, all)).toMatchObject({ __typename: 'PersonalizePayload' });
    expect(await customAttributesOf(g.server, { id: person.id })).toEqual(all);
  });
});
