import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { graphql } from '../generated/gql.ts';
import type { CreateAppInput, UpdateAppInput } from '../generated/graphql.ts';
import { useApp } from '../support/app.ts';
import type { Client, RawAnswer } from '../support/client.ts';
import { makeApiKey } from '../support/keys.ts';
import { makePerson } from '../support/people.ts';

const g = useApp({ role: 'gateway' });

const Create = graphql(`
  mutation CreateApp($input: CreateAppInput!) {
    createApp(input: $input) {
      __typename
      ... on Error { code message path }
      ... on CreateAppPayload { app { id name userRegistration allowedOrigins isLimitedToOperations } }
    }
  }
`);

const Update = graphql(`
  mutation UpdateApp($input: UpdateAppInput!) {
    updateApp(input: $input) {
      __typename
      ... on Error { code message path }
      ... on UpdateAppPayload { app { id name userRegistration allowedOrigins isLimitedToOperations } }
    }
  }
`);

const createApp = async (input: CreateAppInput) => (await g.server.run(Create, { input })).createApp;
const updateApp = async (input: UpdateAppInput) => (await g.server.run(Update, { input })).updateApp;

async function makeApp(name: string = randomUUID()) {
  const made = await createApp({ name });
  if (made?.__typename !== 'CreateAppPayload') throw new Error(`Refused: ${JSON.stringify(made)}`);
  return made.app;
}

const codesOf = ({ body }: RawAnswer) => body.errors?.map(({ extensions }) => extensions.code);

describe('a new app', () => {
  test('leaves it to its back end who uses it, and lets no page call', async () => {
    expect(await makeApp('shop')).toEqual({
      id: expect.any(String),
      name: 'shop',
      userRegistration: 'SERVER_ONLY',
      allowedOrigins: [],
      isLimitedToOperations: false,
    });
  });

  test('has a name of its own', async () => {
    const { name } = await makeApp();
    expect(await createApp({ name })).toMatchObject({ code: 'NAME_TAKEN', path: ['name'] });
  });

  test.each(['', ' ', 'a'.repeat(257)])('has a name of 1 to 256 characters: %j', async (name) => {
    expect(await createApp({ name })).toMatchObject({ code: 'VALUE_INVALID', path: ['name'] });
  });

  test('is made once, however often it is asked for with one idempotency key', async () => {
    const input = { name: randomUUID(), idempotencyKey: randomUUID() };
    const [first, second] = [await createApp(input), await createApp(input)];
    expect(first).toMatchObject({ __typename: 'CreateAppPayload' });
    expect(second).toEqual(first);
  });
});

describe('updateApp', () => {
  test('changes what is given and keeps the rest', async () => {
    const { id, name } = await makeApp();
    await updateApp({ app: id, allowedOrigins: ['https://a.example'], isLimitedToOperations: true });
    expect(await updateApp({ app: id, userRegistration: 'OPEN', name: null })).toMatchObject({
      app: {
        id,
        name,
        userRegistration: 'OPEN',
        allowedOrigins: ['https://a.example'],
        isLimitedToOperations: true,
      },
    });
  });

  test('keeps origins as browsers send them, each once', async () => {
    const { id } = await makeApp();
    const allowedOrigins = [
      'https://Shop.Example',
      'https://shop.example:443',
      'http://localhost:3000',
      'https://bücher.example',
      'http://[::1]:8080',
    ];
    expect(await updateApp({ app: id, allowedOrigins })).toMatchObject({
      app: {
        allowedOrigins: [
          'https://shop.example',
          'http://localhost:3000',
          'https://xn--bcher-kva.example',
          'http://[::1]:8080',
        ],
      },
    });
    expect(await updateApp({ app: id, allowedOrigins: [] })).toMatchObject({ app: { allowedOrigins: [] } });
  });

  test.each([
    '*',
    'https://*.example.com',
    'https://a.example/',
    'https://a.example/path',
    'https://a.example?a',
    'https://a.example#a',
    'https://ann@a.example',
    'https://a.example\\b',
    'https://a.example b',
    'https://a.example:port',
    'https://',
    'a.example',
    'null',
    '',
    'ftp://a.example',
    'javascript://a.example',
    'https://a.example\n',
  ])('refuses an origin that is none, and says which: %j', async (origin) => {
    const { id } = await makeApp();
    expect(await updateApp({ app: id, name: 'never', allowedOrigins: ['https://a.example', origin] })).toMatchObject({
      code: 'VALUE_INVALID',
      path: ['allowedOrigins', '1'],
    });
    expect(await g.db.app.count({ where: { name: 'never' } })).toBe(0);
  });

  test('takes a hundred origins and no more', async () => {
    const { id } = await makeApp();
    const origins = (count: number) => Array.from({ length: count }, (_, index) => `https://${index}.example`);
    expect(await updateApp({ app: id, allowedOrigins: origins(101) })).toMatchObject({
      code: 'VALUE_INVALID',
      path: ['allowedOrigins', '100'],
    });
    expect(await updateApp({ app: id, allowedOrigins: origins(100) })).toMatchObject({ app: { id } });
  });

  test('gives no app the name of another, not even to two at once', async () => {
    const [first, second, name] = [await makeApp(), await makeApp(), randomUUID()];
    expect(await updateApp({ app: first.id, name: second.name })).toMatchObject({ code: 'NAME_TAKEN', path: ['name'] });
    expect(await updateApp({ app: first.id, name: first.name })).toMatchObject({ app: { name: first.name } });
    const answers = await Promise.all([first, second].map(({ id }) => updateApp({ app: id, name })));
    expect(answers.map((answer) => answer?.__typename).sort()).toEqual(['NameTakenError', 'UpdateAppPayload']);
  });

  test('of an app that there is not is not found', async () => {
    expect(await updateApp({ app: randomUUID() })).toMatchObject({ code: 'NOT_FOUND', path: ['app'] });
  });
});

/** A second app, its key, and a person who uses it. */
let other: { id: string; client: Client; own: Client };
let first: { id: string };
beforeAll(async () => {
  const { id } = await makeApp('other');
  const client = g.server.as((await makeApiKey(g.server, { kind: 'APP', name: 'its key', app: id })).secret);
  const person = await makePerson({ server: g.server, app: client });
  other = { id, client, own: g.server.as(person.token) };
  const { body } = await g.server.send('{ app { id } }');
  first = { id: /"id":"([^"]+)"/.exec(JSON.stringify(body))?.[1] ?? '' };
});

describe('app', () => {
  test('is the one that calls; the default app for a server key', async () => {
    for (const [client, id] of [
      [g.server, first.id],
      [g.app, first.id],
      [other.client, other.id],
      [other.own, other.id],
    ] as const) {
      expect((await client.send('{ app { id } }')).body).toEqual({ data: { app: { id } } });
    }
  });

  test('by id is any for a server key, and the own one for an app and its installations', async () => {
    const ask = (client: Client, id: string) => client.send('query($id: ID) { app(id: $id) { id } }', { id });
    expect((await ask(g.server, other.id)).body).toEqual({ data: { app: { id: other.id } } });
    for (const client of [other.client, other.own]) {
      expect((await ask(client, other.id)).body).toEqual({ data: { app: { id: other.id } } });
      const answer = await ask(client, first.id);
      expect(codesOf(answer)).toEqual(['BAD_USER_INPUT']);
      expect((await ask(client, btoa(`App:${randomUUID()}`))).body).toEqual(answer.body);
    }
  });

  test('tells its clients neither its origins nor what they are limited to', async () => {
    for (const client of [other.client, other.own]) {
      expect(codesOf(await client.send('{ app { allowedOrigins } }'))).toEqual(['FORBIDDEN']);
      expect(codesOf(await client.send('{ app { isLimitedToOperations } }'))).toEqual(['FORBIDDEN']);
    }
  });
});

test('apps lists all apps', async () => {
  const { body } = await g.server.send('{ apps(first: 100) { totalCount nodes { id name } } }');
  expect(body).toMatchObject({ data: { apps: { totalCount: await g.db.app.count() } } });
  expect(JSON.stringify(body)).toContain(`{"id":"${other.id}","name":"other"}`);
});

describe('viewer', () => {
  const document = '{ viewer { kind app { id } installation { pushRegistrationId } user { externalUserId } } }';
  const nothing = { app: null, installation: null, user: null };

  test('is a key, with its app', async () => {
    const dashboard = await makeApiKey(g.server, { kind: 'DASHBOARD', name: 'a' });
    expect((await g.server.send(document)).body).toEqual({ data: { viewer: { kind: 'SERVER', ...nothing } } });
    expect((await g.server.as(dashboard.secret).send(document)).body).toEqual({
      data: { viewer: { kind: 'DASHBOARD', ...nothing } },
    });
    expect((await other.client.send(document)).body).toEqual({
      data: { viewer: { kind: 'APP', ...nothing, app: { id: other.id } } },
    });
  });

  test('is an installation, with its app and its user', async () => {
    const { externalUserId, installation, token } = await makePerson(g);
    expect((await g.server.as(token).send(document)).body).toEqual({
      data: {
        viewer: {
          kind: 'INSTALLATION',
          app: { id: first.id },
          installation: { pushRegistrationId: installation.pushRegistrationId },
          user: { externalUserId },
        },
      },
    });
  });

  test('is nobody without a key', async () => {
    expect(codesOf(await g.nobody.send(document))).toEqual(['UNAUTHENTICATED']);
  });
});
