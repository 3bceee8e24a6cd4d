import { graphql } from '../generated/gql.ts';
import type {
  ImportedInstallationInput,
  SetPrimaryInstallationInput,
  UpdateInstallationInput,
} from '../generated/graphql.ts';
import type { Client } from './client.ts';

/** Operations on installations, as a caller writes them. */

const Update = graphql(`
  mutation UpdateInstallation($input: UpdateInstallationInput!) {
    updateInstallation(input: $input) {
      __typename
      ... on Error { code message path }
      ... on UpdateInstallationPayload { installation { id pushStatus subscribedAt } }
    }
  }
`);

const SetPrimary = graphql(`
  mutation SetPrimary($input: SetPrimaryInstallationInput!) {
    setPrimaryInstallation(input: $input) {
      __typename
      ... on Error { code message path }
      ... on SetPrimaryInstallationPayload { installation { pushRegistrationId isPrimaryDevice } }
    }
  }
`);

const LogOut = graphql(`
  mutation LogOut($installation: ID!, $idempotencyKey: String) {
    depersonalizeInstallation(input: { installation: $installation, idempotencyKey: $idempotencyKey }) {
      __typename
      ... on Error { code message path }
      ... on DepersonalizeInstallationPayload { installation { pushRegistrationId isPrimaryDevice user { type externalUserId } } }
    }
  }
`);

const Delete = graphql(`
  mutation DeleteInstallation($installation: ID, $idempotencyKey: String) {
    deleteInstallation(input: { installation: $installation, idempotencyKey: $idempotencyKey }) {
      __typename
      ... on Error { code message path }
      ... on DeleteInstallationPayload { deletedInstallationId }
    }
  }
`);

const Import = graphql(`
  mutation ImportInstallations($installations: [ImportedInstallationInput!]!, $idempotencyKey: String) {
    importInstallations(input: { installations: $installations, idempotencyKey: $idempotencyKey }) {
      __typename
      ... on Error { code message path }
      ... on ImportInstallationsPayload {
        results {
          __typename
          ... on Error { code message path }
          ... on ImportedInstallation {
            isNew
            installation { pushRegistrationId platform pushStatus subscribedAt lastSeenAt language user { id } }
          }
        }
      }
    }
  }
`);

const State = graphql(`
  query StateOfInstallation($id: ID) {
    installation(id: $id) {
      pushStatus isPushRegistrationEnabled isPrimaryDevice language timeZone appVersion osVersion deviceModel
      subscribedAt softPromptDeclinedAt lastSeenAt customAttributes
    }
  }
`);

export const updateInstallation = async (client: Client, input: UpdateInstallationInput) =>
  (await client.run(Update, { input })).updateInstallation;

export const setPrimary = async (client: Client, input: SetPrimaryInstallationInput) =>
  (await client.run(SetPrimary, { input })).setPrimaryInstallation;

/** Remote logout. */
export const logOut = async (client: Client, installation: string, idempotencyKey: string | null = null) =>
  (await client.run(LogOut, { installation, idempotencyKey })).depersonalizeInstallation;

export const deleteInstallation = async (
  client: Client,
  installation: string | null = null,
  idempotencyKey: string | null = null,
) => (await client.run(Delete, { installation, idempotencyKey })).deleteInstallation;

export const importInstallations = async (
  client: Client,
  installations: ImportedInstallationInput[],
  idempotencyKey: string | null = null,
) => (await client.run(Import, { installations, idempotencyKey })).importInstallations;

/** What became of each; fails when all were refused. */
export async function importedResults(client: Client, installations: ImportedInstallationInput[]) {
  const result = await importInstallations(client, installations);
  if (result?.__typename !== 'ImportInstallationsPayload') throw new Error(`Refused: ${JSON.stringify(result)}`);
  return result.results;
}

/** What a caller sees of an installation; fails when there is none. */
export async function stateOf(client: Client, id: string | null = null) {
  const { installation } = await client.run(State, { id });
  if (!installation) throw new Error('There is no such installation.');
  return installation;
}
