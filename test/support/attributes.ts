import { randomUUID } from 'node:crypto';
import { graphql } from '../generated/gql.ts';
import type { AttributeOwner, DefineAttributeInput, UserRef } from '../generated/graphql.ts';
import type { Client } from './client.ts';

/** Custom attributes, as a back end defines and reads them. */

const Define = graphql(`
  mutation DefineAttribute($input: DefineAttributeInput!) {
    defineAttribute(input: $input) {
      __typename
      ... on Error { code message path }
      ... on DefineAttributePayload {
        attributeDefinition { owner name type fields { name type } createdAt removedAt }
      }
    }
  }
`);

const Remove = graphql(`
  mutation RemoveAttributeDefinition($owner: AttributeOwner!, $name: String!) {
    removeAttributeDefinition(input: { owner: $owner, name: $name }) {
      __typename
      ... on Error { code message path }
      ... on RemoveAttributeDefinitionPayload { attributeDefinition { name removedAt } }
    }
  }
`);

const Definitions = graphql(`
  query AttributeDefinitions($owner: AttributeOwner, $first: Int, $after: String) {
    attributeDefinitions(owner: $owner, first: $first, after: $after) {
      totalCount
      nodes { owner name type removedAt }
      pageInfo { hasNextPage endCursor }
    }
  }
`);

const Told = graphql(`
  query CustomAttributesOfUser($ref: UserRef!) { user(ref: $ref) { customAttributes } }
`);

export const defineAttribute = async (client: Client, input: DefineAttributeInput) =>
  (await client.run(Define, { input })).defineAttribute;

/** The name of a new attribute; fails when it is refused. */
export async function makeAttribute(
  client: Client,
  attribute: Partial<DefineAttributeInput> & Pick<DefineAttributeInput, 'type'>,
): Promise<string> {
  const input: DefineAttributeInput = { owner: 'USER', name: `attribute ${randomUUID()}`, ...attribute };
  const result = await defineAttribute(client, input);
  if (result?.__typename !== 'DefineAttributePayload') throw new Error(`Refused: ${JSON.stringify(result)}`);
  return input.name;
}

export const removeAttributeDefinition = async (client: Client, owner: AttributeOwner, name: string) =>
  (await client.run(Remove, { owner, name })).removeAttributeDefinition;

export const listAttributeDefinitions = async (
  client: Client,
  page: { owner?: AttributeOwner; first?: number; after?: string | null } = {},
) => (await client.run(Definitions, page)).attributeDefinitions;

/** What a user's custom attributes are told as. */
export async function customAttributesOf(client: Client, ref: UserRef): Promise<Record<string, unknown>> {
  const { user } = await client.run(Told, { ref });
  if (!user) throw new Error('There is no such user.');
  return Object.fromEntries(Object.entries(Object(user.customAttributes)));
}
