import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { graphql } from '../generated/gql.ts';
import type { UserRef } from '../generated/graphql.ts';
import { newEmail, newPhone } from '../support/addresses.ts';
import { useApp } from '../support/app.ts';
import { customAttributesOf, makeAttribute } from '../support/attributes.ts';
import { makeInstallation, makeUser, personalize, registerInstallation } from '../support/operations.ts';
import { countRows, makeMerge, makePerson, unmergeUsers } from '../support/people.ts';
import { saveUser } from '../support/save-operations.ts';
import { makeApp } from '../support/user-registration.ts';

const g = useApp({ role: 'gateway' });

const InstallationAttributes = graphql(`
  query InstallationAttributes($id: ID!) { installation(id: $id) { customAttributes } }
`);

const refusal = (code: string, path: readonly string[]) => expect.objectContaining({ code, path });
const at = (...path: string[]) => ['userAttributes', 'customAttributes', ...path];

type Person = Awaited<ReturnType<typeof makePerson>>;

/** Writes custom attributes of a person, as its back end does. */
const write = (person: Person, customAttributes: Record<string, unknown>) =>
  personalize(g.server, {
    installation: person.installation.id,
    userIdentity: { externalUserId: person.externalUserId },
    userAttributes: { customAttributes },
  });

const told = (person: Person) => customAttributesOf(g.server, { id: person.id });

const stored = async ({ externalUserId }: Person): Promise<string> => {
  const { rows } = await g.pool.query<{ text: string }>(
    `select custom_attributes::text as text from users
     where id = (select user_id from identifiers where kind = 'EXTERNAL_USER_ID' and value = $1)`,
    [externalUserId],
  );
  return rows[0]?.text ?? '';
};

describe('U15: custom attributes of users', () => {
  test('every type is written and told, exactly', async () => {
    const [text, number, long, flag, day, moment, list] = [
      await makeAttribute(g.server, { type: 'STRING' }),
      await makeAttribute(g.server, { type: 'NUMBER' }),
      await makeAttribute(g.server, { type: 'NUMBER' }),
      await makeAttribute(g.server, { type: 'BOOLEAN' }),
      await makeAttribute(g.server, { type: 'DATE' }),
      await makeAttribute(g.server, { type: 'DATETIME' }),
      await makeAttribute(g.server, { type: 'OBJECT_LIST', fields: [{ name: 'price', type: 'NUMBER' }] }),
    ];
    const person = await makePerson(g);
    const given = {
      [text]: 'Ünïcode 🎉',
      [number]: '19.90',
      [long]: '9007199254740993.1',
      [flag]: false,
      [day]: '2020-11-30',
      [moment]: '2026-11-22T15:04:05+01:00',
      [list]: [{ price: 1.5 }, {}],
    };
    expect(await write(person, given)).toMatchObject({ __typename: 'PersonalizePayload' });
    expect(await told(person)).toEqual({ ...given, [number]: 19.9, [moment]: '2026-11-22T14:04:05.000Z' });
    expect(JSON.parse(await stored(person))).toMatchObject({ [number]: '19.9', [list]: [{ price: '1.5' }, {}] });
  });

  test('a value replaces the one before, null removes it, and an absent name keeps it', async () => {
    const [a, b, c] = [
      await makeAttribute(g.server, { type: 'STRING' }),
      await makeAttribute(g.server, { type: 'STRING' }),
      await makeAttribute(g.server, { type: 'STRING' }),
    ];
    const person = await makePerson(g);
    await write(person, { [a]: '1', [b]: '1', [c]: '1' });
    await write(person, { [a]: '2', [b]: null });
    await write(person, {});
    expect(await told(person)).toEqual({ [a]: '2', [c]: '1' });
    await personalize(g.server, {
      installation: person.installation.id,
      userIdentity: { externalUserId: person.externalUserId },
      userAttributes: { customAttributes: null },
    });
    expect(await told(person)).toEqual({ [a]: '2', [c]: '1' });
    await write(person, { [a]: null, [c]: null });
    expect(await stored(person)).toBe('{}');
  });

  test('a list that is not as it was declared is ATTRIBUTE_INVALID, with the path down to what is wrong', async () => {
    const list = await makeAttribute(g.server, { type: 'OBJECT_LIST', fields: [{ name: 'price', type: 'NUMBER' }] });
    const person = await makePerson(g);
    expect(await write(person, { [list]: [{ price: 1 }, { price: 'free' }] })).toEqual(
      refusal('ATTRIBUTE_INVALID', at(list, '1', 'price')),
    );
    expect(await write(person, { [list]: [{ colour: 'red' }] })).toEqual(
      refusal('ATTRIBUTE_INVALID', at(list, '0', 'colour')),
    );
    expect(await told(person)).toEqual({});
  });

  test('501 at once are LIMIT_EXCEEDED', async () => {
    const person = await makePerson(g);
    const many = Object.fromEntries(Array.from({ length: 501 }, (_, index) => [`name ${index}`, index]));
    expect(await write(person, many)).toEqual(refusal('LIMIT_EXCEEDED', at()));
  });

  test('a text is kept in NFC, and so is a name; one name in both forms is refused', async () => {
    const suffix = randomUUID();
    await makeAttribute(g.server, { name: `caf\u00e9 ${suffix}`, type: 'STRING' });
    const person = await makePerson(g);
    await write(person, { [`cafe\u0301 ${suffix}`]: 'e\u0301' });
    expect(await told(person)).toEqual({ [`caf\u00e9 ${suffix}`]: '\u00e9' });
    const twice = { [`caf\u00e9 ${suffix}`]: 'a', [`cafe\u0301 ${suffix}`]: 'b' };
    expect(await write(person, twice)).toEqual(refusal('ATTRIBUTE_INVALID', at(`cafe\u0301 ${suffix}`)));
  });

  test('what is defined for installations is not for users', async () => {
    const name = await makeAttribute(g.server, { owner: 'INSTALLATION', type: 'STRING' });
    expect(await write(await makePerson(g), { [name]: 'a' })).toEqual(refusal('ATTRIBUTE_INVALID', at(name)));
  });
});

describe('U13: an attribute that is not defined', () => {
  test.each([
    ['a'],
    [1],
    [true],
    [[]],
    [{}],
    [null],
  ])('is ATTRIBUTE_INVALID, and nothing is written: %j', async (value) => {
    const known = await makeAttribute(g.server, { type: 'STRING' });
    const installation = await makeInstallation(g.app);
    const before = await countRows(g);
    const userAttributes = { firstName: 'Ann', customAttributes: { [known]: 'a', unknown: value } };
    expect(
      await personalize(g.server, {
        installation: installation.id,
        userIdentity: { emails: [newEmail()] },
        userAttributes,
      }),
    ).toEqual(refusal('ATTRIBUTE_INVALID', at('unknown')));
    expect(await countRows(g)).toEqual(before);
    expect(await customAttributesOf(g.server, { id: installation.user.id })).toEqual({});
  });
});

describe('U13: a whole profile is written at once', () => {
  test('by an override, from any of its recipients: what is absent goes', async () => {
    const [a, b] = [
      await makeAttribute(g.server, { type: 'STRING' }),
      await makeAttribute(g.server, { type: 'NUMBER' }),
    ];
    const [email, phone] = [newEmail(), newPhone()];
    const person = await makePerson(g, { emails: [email], phones: [phone] });
    await write(person, { [a]: 'x', [b]: 1 });
    const override = (user: UserRef, customAttributes: Record<string, unknown>) =>
      saveUser(g.server, { user, mode: 'OVERRIDE', userAttributes: { customAttributes } });
    await override({ email }, { [b]: '2.50' });
    expect(await told(person)).toEqual({ [b]: 2.5 });
    await override({ phone }, { [a]: 'y', [b]: null });
    expect(await told(person)).toEqual({ [a]: 'y' });
    expect(await override({ pushRegistrationId: person.installation.pushRegistrationId }, { nothing: 1 })).toEqual(
      refusal('ATTRIBUTE_INVALID', at('nothing')),
    );
    expect(await told(person)).toEqual({ [a]: 'y' });
    await override({ pushRegistrationId: person.installation.pushRegistrationId }, {});
    expect(await stored(person)).toBe('{}');
  });
});

describe('U15: names of prototypes are names', () => {
  const document = `mutation ($input: PersonalizeInput!) {
    personalize(input: $input) { __typename ... on Error { code path } ... on PersonalizePayload { user { customAttributes } } }
  }`;
  /** As it comes over the wire: an object literal would say something else. */
  const send = (person: Person, customAttributes: string) =>
    g.server.send(
      document,
      JSON.parse(`{ "input": {
        "installation": ${JSON.stringify(person.installation.id)},
        "userIdentity": { "externalUserId": ${JSON.stringify(person.externalUserId)} },
        "userAttributes": { "customAttributes": ${customAttributes} } } }`),
    );

  // In this order: refused first, then defined.
  test.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])('%s', async (name) => {
    const person = await makePerson(g);
    for (const value of ['"a"', '{"admin":true}', 'null']) {
      expect((await send(person, `{"${name}":${value}}`)).body.data).toEqual({
        personalize: { __typename: 'AttributeInvalidError', code: 'ATTRIBUTE_INVALID', path: at(name) },
      });
    }
    await makeAttribute(g.server, { name, type: 'OBJECT_LIST', fields: [{ name, type: 'STRING' }] });
    const value = `[{"${name}":"a"}]`;
    const { body } = await send(person, `{"${name}":${value}}`);
    expect(JSON.stringify(body.data)).toBe(
      `{"personalize":{"__typename":"PersonalizePayload","user":{"customAttributes":{"${name}":${value}}}}}`,
    );
    expect(await stored(person)).toBe(`{"${name}": [{"${name}": "a"}]}`);
    const refused = (await send(person, `{"${name}":[{"__proto__":{"a":1}}]}`)).body.data;
    expect(refused).toMatchObject({ personalize: { code: 'ATTRIBUTE_INVALID', path: at(name, '0', '__proto__') } });
    await saveUser(g.server, {
      user: { id: person.id },
      userAttributes: { customAttributes: JSON.parse(`{"${name}":[{}]}`) },
    });
    expect(await stored(person)).toBe(`{"${name}": [{}]}`);
    await send(person, `{"${name}":null}`);
    expect(await stored(person)).toBe('{}');
    expect(Object.hasOwn(Object.prototype, 'a')).toBe(false);
  });

  test('go with a merge, and stay when it is undone', async () => {
    const name = '__proto__';
    await makeAttribute(g.server, { name, type: 'OBJECT_LIST', fields: [{ name, type: 'STRING' }] });
    const other = await makeAttribute(g.server, { type: 'STRING' });
    const [survivor, merged] = [await makePerson(g), await makePerson(g)];
    await send(survivor, `{"${name}":[]}`);
    await send(merged, `{"${other}":"a"}`);
    const record = await makeMerge(g.server, { survivor: { id: survivor.id }, merged: { id: merged.id } });
    expect(JSON.parse(await stored(survivor))).toEqual(JSON.parse(`{"${name}":[],"${other}":"a"}`));
    await unmergeUsers(g.server, record);
    expect(await stored(survivor)).toBe(`{"${name}": []}`);
  });
});

describe('U15: custom attributes of installations', () => {
  const attributesOf = async (id: string) =>
    (await g.server.run(InstallationAttributes, { id })).installation?.customAttributes;

  test('an app tells them when it registers, key by key', async () => {
    const [a, b] = [
      await makeAttribute(g.server, { owner: 'INSTALLATION', type: 'NUMBER' }),
      await makeAttribute(g.server, { owner: 'INSTALLATION', type: 'STRING' }),
    ];
    const made = await makeInstallation(g.app, { customAttributes: { [a]: 1, [b]: 'x' } });
    expect(await attributesOf(made.id)).toEqual({ [a]: 1, [b]: 'x' });
    const again = { pushRegistrationId: made.pushRegistrationId };
    await makeInstallation(g.app.as(made.token), again);
    await makeInstallation(g.app.as(made.token), { ...again, customAttributes: { [a]: 2, [b]: null } });
    expect(await attributesOf(made.id)).toEqual({ [a]: 2 });
  });

  test('a bad one is refused, and nothing is registered', async () => {
    const flag = await makeAttribute(g.server, { owner: 'INSTALLATION', type: 'BOOLEAN' });
    const before = await countRows(g);
    const register = (customAttributes: Record<string, unknown>) => registerInstallation(g.app, { customAttributes });
    expect(await register({ [flag]: 'yes' })).toEqual(refusal('ATTRIBUTE_INVALID', ['customAttributes', flag]));
    expect(await register({ unknown: true })).toEqual(refusal('ATTRIBUTE_INVALID', ['customAttributes', 'unknown']));
    expect(await countRows(g)).toEqual(before);
  });
});

test('U11: a client of an OPEN app writes the custom attributes of its own lead', async () => {
  const name = await makeAttribute(g.server, { type: 'STRING' });
  const { client } = await makeApp(g.server, { userRegistration: 'OPEN' });
  const installation = await makeInstallation(client);
  const user = await makeUser(client.as(installation.token), {
    userIdentity: { externalUserId: randomUUID() },
    userAttributes: { customAttributes: { [name]: 'mine' } },
  });
  expect(await customAttributesOf(client.as(installation.token), { id: user.id })).toEqual({ [name]: 'mine' });
});

test('a repeat with the same idempotency key and other custom attributes is refused', async () => {
  const name = await makeAttribute(g.server, { type: 'STRING' });
  const person = await makePerson(g);
  const repeat = (value: string) =>
    personalize(g.server, {
      installation: person.installation.id,
      userIdentity: { externalUserId: person.externalUserId },
      userAttributes: { customAttributes: { [name]: value } },
      idempotencyKey: `write ${name}`,
    });
  expect(await repeat('a')).toEqual(await repeat('a'));
  expect(await repeat('b')).toEqual(refusal('IDEMPOTENCY_KEY_REUSED', ['idempotencyKey']));
});
