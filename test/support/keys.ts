import { graphql } from '../generated/gql.ts';
import type { CreateApiKeyInput, RevokeApiKeyInput, RotateApiKeyInput } from '../generated/graphql.ts';
import type { Client } from './client.ts';

/** Operations on keys, as a caller writes them. */

const Create = graphql(`
  mutation CreateApiKey($input: CreateApiKeyInput!) {
    createApiKey(input: $input) {
      __typename
      ... on Error { code message path }
      ... on CreateApiKeyPayload { secret apiKey { id kind name partner app { id } revokedAt } }
    }
  }
`);

const Rotate = graphql(`
  mutation RotateApiKey($input: RotateApiKeyInput!) {
    rotateApiKey(input: $input) {
      __typename
      ... on Error { code message path }
      ... on RotateApiKeyPayload { secret apiKey { id previousExpiresAt } }
    }
  }
`);

const Revoke = graphql(`
  mutation RevokeApiKey($input: RevokeApiKeyInput!) {
    revokeApiKey(input: $input) {
      __typename
      ... on Error { code message path }
      ... on RevokeApiKeyPayload { apiKey { id revokedAt } }
    }
  }
`);

export const createApiKey = async (client: Client, input: CreateApiKeyInput) =>
  (await client.run(Create, { input })).createApiKey;

export const rotateApiKey = async (client: Client, input: RotateApiKeyInput) =>
  (await client.run(Rotate, { input })).rotateApiKey;

export const revokeApiKey = async (client: Client, input: RevokeApiKeyInput) =>
  (await client.run(Revoke, { input })).revokeApiKey;

/** A new key and its secret; fails when it is refused. */
export async function makeApiKey(client: Client, input: CreateApiKeyInput): Promise<{ id: string; secret: string }> {
  const made = await createApiKey(client, input);
  if (made?.__typename !== 'CreateApiKeyPayload' || made.secret === null || made.secret === undefined) {
    throw new Error(`Refused: ${JSON.stringify(made)}`);
  }
  return { id: made.apiKey.id, secret: made.secret };
}

/** A key's new secret; fails when it is refused. */
export async function rotatedSecret(client: Client, input: RotateApiKeyInput): Promise<string> {
  const rotated = await rotateApiKey(client, input);
  if (rotated?.__typename !== 'RotateApiKeyPayload' || rotated.secret === null || rotated.secret === undefined) {
    throw new Error(`Refused: ${JSON.stringify(rotated)}`);
  }
  return rotated.secret;
}
