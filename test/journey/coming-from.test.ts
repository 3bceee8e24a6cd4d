import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { fcmAddress } from '../support/addresses.ts';
import { useApp } from '../support/app.ts';
import type { Client } from '../support/client.ts';
import { makeInstallation } from '../support/operations.ts';
import { getProfile } from '../support/people.ts';

const g = useApp();

/** A call as the page shows it: its document, and the variables that follow it. */
interface Call {
  /** Its first field, and its line on the page. */
  name: string;
  document: string;
  variables: Record<string, unknown>;
  isOfApp: boolean;
}

const page = await readFile(new URL('../../docs/coming-from.md', import.meta.url), 'utf8');
const calls = [...page.matchAll(/^```graphql\n(.*?)^```\n(?:\n```json\n(.*?)^```)?/gms)].map(
  ([whole, document = '', variables = '{}']): Call => ({
    name: `${/^ {2}(?:\w+: )?(\w+)/m.exec(document)?.[1]} (line ${page.slice(0, page.indexOf(whole)).split('\n').length})`,
    document,
    variables: JSON.parse(variables),
    isOfApp: document.startsWith('# The app itself.'),
  }),
);

const idOf = (last: number) => `0190b6f0-0000-7000-8000-00000000000${last}`;
let app: Client;

beforeAll(async () => {
  const register = (last: number) =>
    makeInstallation(g.server, { pushRegistrationId: idOf(last), platform: 'ANDROID', address: fcmAddress() });
  const { token } = await register(1);
  app = g.server.as(token);
  for (const last of [2, 3]) await register(last);
});

describe('a call of another product has its counterpart', () => {
  test('for each that its documents name', () => {
    const named = new Set(calls.map(({ name }) => name.split(' ')[0]));
    for (const field of ['personalize', 'depersonalize', 'depersonalizeInstallation', 'saveUser', 'addRecipient']) {
      expect(named).toContain(field);
    }
    expect(calls.length).toBeGreaterThan(15);
  });

  test.each(calls.map((call) => [call.name, call] as const))('%s does what it says', async (_, call) => {
    // The third installation is one of the same person, which the page takes for granted.
    if (call.name.startsWith('setPrimaryInstallation')) await logIn(3);
    const { id: me } = await getProfile(g.server, { pushRegistrationId: idOf(1) });
    const { body } = await (call.isOfApp ? app : g.server).send(call.document, { me, ...call.variables });
    expect(body.errors).toBeUndefined();
    for (const [field, answer] of Object.entries(Object(body.data))) {
      expect({ field, answer }).not.toMatchObject({ answer: { __typename: expect.stringMatching(/Error$/) } });
    }
    expect(body.data).toEqual(expected[call.name.split(' ')[0] ?? ''] ?? body.data);
  });

  const logIn = (last: number) =>
    g.server.send(
      `mutation { personalize(input: { installation: "${idOf(last)}", userIdentity: { externalUserId: "U123456789" } }) { __typename } }`,
    );

  /** What matters of the answers that say it themselves. */
  const expected: Record<string, unknown> = {
    depersonalize: {
      depersonalize: expect.objectContaining({ installation: { user: { type: 'LEAD', externalUserId: null } } }),
    },
    updateInstallation: {
      updateInstallation: expect.objectContaining({
        installation: { isPushRegistrationEnabled: false, customAttributes: { OneTimePasswords: true } },
      }),
    },
    tagUsers: { tagUsers: expect.objectContaining({ changedCount: 1 }) },
  };

  test('and in the end the person is who all of them together say', async () => {
    const profile = await getProfile(g.server, { externalUserId: 'U123456789' });
    expect(profile).toMatchObject({
      type: 'CUSTOMER',
      displayName: null,
      firstName: 'John',
      birthday: null,
      tags: ['Promotions', 'Transactions'],
      emails: ['myemail@domain.com'],
      phones: ['+31123456789'],
      installations: [idOf(1)],
    });
    const { body } = await g.server.send('{ user(ref: { externalUserId: "U123456789" }) { customAttributes } }');
    expect(body.data).toMatchObject({
      user: {
        customAttributes: {
          bootSize: 9,
          favsList: [
            { id: '1', price: 99.99, sale: true },
            { id: '2', price: 149.99, sale: false },
          ],
          lastVisitDateTime: '2020-12-01T08:50:18.000Z',
        },
      },
    });
    expect(await getProfile(g.server, { email: 'jane@example.com' })).toMatchObject({ phones: ['+31651112233'] });
  });
});
