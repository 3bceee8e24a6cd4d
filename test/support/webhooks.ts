import { graphql } from '../generated/gql.ts';
import type { CreateWebhookInput } from '../generated/graphql.ts';
import type { Client } from './client.ts';

graphql(`
  fragment WebhookFacts on Webhook {
    id url events app { id } state failingSince lastFailure nextAttemptAt disabledAt createdAt
  }
`);

const Create = graphql(`
  mutation CreateWebhook($input: CreateWebhookInput!) {
    createWebhook(input: $input) {
      __typename
      ... on Error { code message path }
      ... on CreateWebhookPayload { webhook { ...WebhookFacts } secret }
    }
  }
`);

const Delete = graphql(`
  mutation DeleteWebhook($webhook: ID!) {
    deleteWebhook(input: { webhook: $webhook }) {
      __typename
      ... on Error { code path }
      ... on DeleteWebhookPayload { deletedWebhookId }
    }
  }
`);

const Resume = graphql(`
  mutation ResumeWebhook($webhook: ID!) {
    resumeWebhook(input: { webhook: $webhook }) {
      __typename
      ... on Error { code path }
      ... on ResumeWebhookPayload { webhook { ...WebhookFacts } }
    }
  }
`);

const List = graphql(`
  query WebhooksOfTests {
    webhooks(last: 100) { totalCount nodes { ...WebhookFacts } }
  }
`);

export const createWebhook = async (server: Client, input: CreateWebhookInput) =>
  (await server.run(Create, { input })).createWebhook;

/** A webhook with its secret; fails when it is refused. */
export async function makeWebhook(server: Client, input: CreateWebhookInput) {
  const made = await createWebhook(server, input);
  if (made?.__typename !== 'CreateWebhookPayload' || made.secret === null) {
    throw new Error(`Refused: ${JSON.stringify(made)}`);
  }
  return { ...made.webhook, secret: made.secret };
}

export const deleteWebhook = async (server: Client, webhook: string) =>
  (await server.run(Delete, { webhook })).deleteWebhook;

export const resumeWebhook = async (server: Client, webhook: string) =>
  (await server.run(Resume, { webhook })).resumeWebhook;

/** A webhook as it is now; null: there is none. */
export async function findWebhook(server: Client, id: string) {
  const { nodes } = (await server.run(List)).webhooks;
  return nodes.find((webhook) => webhook.id === id) ?? null;
}
