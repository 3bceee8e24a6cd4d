import { graphql } from '../generated/gql.ts';
import type { SaveUserInput, SaveUsersInput } from '../generated/graphql.ts';
import type { Client } from './client.ts';

const Save = graphql(`
  mutation Save($input: SaveUserInput!) {
    saveUser(input: $input) {
      __typename
      ... on Error { code message path }
      ... on SaveUserPayload { created user { id type externalUserId firstName lastName birthday tags } }
    }
  }
`);

const SaveMany = graphql(`
  mutation SaveMany($input: SaveUsersInput!) {
    saveUsers(input: $input) {
      __typename
      ... on Error { code message path }
      ... on SaveUsersPayload {
        results {
          __typename
          ... on Error { code path }
          ... on SaveUserPayload { created user { id externalUserId firstName } }
        }
      }
    }
  }
`);

export const saveUser = async (
  client: Client,
  input: Omit<SaveUserInput, 'create' | 'mode'> & Partial<SaveUserInput>,
) => (await client.run(Save, { input })).saveUser;

/** The user that was saved; fails when it is refused. */
export async function makeSavedUser(
  client: Client,
  input: Omit<SaveUserInput, 'create' | 'mode'> & Partial<SaveUserInput>,
) {
  const result = await saveUser(client, { create: true, ...input });
  if (result?.__typename !== 'SaveUserPayload') throw new Error(`Refused: ${JSON.stringify(result)}`);
  return result.user;
}

export const saveUsers = async (client: Client, input: SaveUsersInput) =>
  (await client.run(SaveMany, { input })).saveUsers;
