import { getIntrospectionQuery } from 'graphql';
import { expect, test } from 'vitest';
import { useApp } from '../support/app.ts';
import { connectSocket } from '../support/socket.ts';

const g = useApp({ environment: 'production' });
const typo = '{ userss { totalCount } }';
const enumTypo = 'mutation ($input: RegisterInstallationInput!) { registerInstallation(input: $input) { __typename } }';

test('in production a server key may introspect, and nobody else: not even the same document right after', async () => {
  const introspection = getIntrospectionQuery();
  expect((await g.server.send(introspection)).body.errors).toBeUndefined();
  for (const client of [g.app, g.nobody, g.app]) {
    const { body } = await client.send(introspection);
    expect(body.data).toBeUndefined();
    expect(new Set(body.errors?.map(({ extensions }) => extensions.code))).toEqual(new Set(['BAD_USER_INPUT']));
    expect((await g.server.send(introspection)).body.errors).toBeUndefined();
  }
});

test('in production introspection is refused over WebSocket too', async () => {
  const socket = await connectSocket(g.url, 'app-key-of-the-tests');
  socket.send({ id: '1', type: 'subscribe', payload: { query: '{ __schema { __typename } }' } });
  expect(await socket.next()).toMatchObject({
    type: 'error',
    payload: [{ extensions: { code: 'BAD_USER_INPUT' } }],
  });
  socket.close();
});

test.each([
  ['a field', typo, {}],
  ['a value', enumTypo, { input: { platform: 'WEBB' } }],
  ['an input field', enumTypo, { input: { platform: 'WEB', appVersionn: '1' } }],
])('in production only a server key is told what %s may have meant', async (_, query, variables) => {
  const told = async (client: typeof g.app) => (await client.send(query, variables)).body.errors?.[0]?.message;
  expect(await told(g.server)).toContain('Did you mean');
  expect(await told(g.app)).toMatch(/\S/);
  expect(await told(g.app)).not.toContain('Did you mean');
});

test('in production there is no GraphiQL', async () => {
  const response = await fetch(`${g.url}/graphql`, { headers: { accept: 'text/html' } });
  expect(response.status).not.toBe(200);
  expect(await response.text()).not.toMatch(/<html/i);
});
