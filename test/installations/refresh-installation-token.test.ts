import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { hashSecret } from '../../src/apps/api-key.ts';
import { findCaller } from '../../src/apps/find-caller.ts';
import { graphql } from '../generated/gql.ts';
import type { RefreshInstallationTokenInput } from '../generated/graphql.ts';
import { useApp } from '../support/app.ts';
import type { Client } from '../support/client.ts';
import { makePerson } from '../support/people.ts';

const g = useApp({ role: 'gateway' });

const Refresh = graphql(`
  mutation RefreshInstallationToken($input: RefreshInstallationTokenInput!) {
    refreshInstallationToken(input: $input) {
      __typename
      ... on Error { code message path }
      ... on RefreshInstallationTokenPayload { token expiresAt }
    }
  }
`);

const refresh = async (client: Client, input: RefreshInstallationTokenInput = {}) =>
  (await client.run(Refresh, { input })).refreshInstallationToken;

async function refreshed(client: Client) {
  const result = await refresh(client);
  if (result?.__typename !== 'RefreshInstallationTokenPayload') throw new Error(`Refused: ${JSON.stringify(result)}`);
  return result;
}

const viewerOf = async (client: Client) => (await client.send('{ viewer { installation { id } } }')).body;

test('an installation gets a new token for thirty days, and the one before goes on working', async () => {
  const { token, installation } = await makePerson(g);
  const own = g.server.as(token);
  const fresh = await refreshed(own);
  const days = (Date.parse(fresh.expiresAt) - Date.now()) / 86_400_000;
  expect(days).toBeGreaterThan(29.9);
  expect(days).toBeLessThan(30.1);
  for (const client of [own, own.as(fresh.token)]) {
    expect(await viewerOf(client)).toEqual({ data: { viewer: { installation: { id: installation.id } } } });
  }
});

test('however often it is renewed, the newest five and the one in use work', async () => {
  const { token } = await makePerson(g);
  const own = g.server.as(token);
  const tokens: string[] = [];
  for (const _ of Array(7)) tokens.push((await refreshed(own)).token);
  const holders = await Promise.all([token, ...tokens].map((secret) => findCaller(g.db, secret)));
  expect(holders.map((holder) => holder !== null)).toEqual([true, false, false, true, true, true, true, true]);
});

test('an expired token renews nothing', async () => {
  const { token } = await makePerson(g);
  await g.pool.query(`update installation_tokens set expires_at = now() where secret_hash = $1`, [hashSecret(token)]);
  const { body } = await g.server.as(token).send('mutation { refreshInstallationToken(input: {}) { __typename } }');
  expect(body.errors).toMatchObject([{ extensions: { code: 'UNAUTHENTICATED' } }]);
});

test('an installation may name itself, and cannot tell another one from one that there is not', async () => {
  const [ann, bob] = [await makePerson(g), await makePerson(g)];
  const own = g.server.as(ann.token);
  for (const installation of [ann.installation.id, ann.installation.pushRegistrationId]) {
    expect(await refresh(own, { installation })).toMatchObject({ token: expect.any(String) });
  }
  const answer = await refresh(own, { installation: bob.installation.id });
  expect(answer).toMatchObject({ code: 'NO_REGISTRATION', path: ['installation'] });
  expect(await refresh(own, { installation: randomUUID() })).toEqual(answer);
});
