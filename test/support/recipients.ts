import { graphql } from '../generated/gql.ts';
import type { AddRecipientInput, UpdateRecipientInput } from '../generated/graphql.ts';
import type { FileApp } from './app.ts';
import type { Client } from './client.ts';
import { localIdOf } from './send-operations.ts';

const Recipients = graphql(`
  query RecipientsOf($ref: UserRef!) {
    user(ref: $ref) { recipients(first: 100) { nodes { ...RecipientFacts } } }
  }
`);

graphql(`
  fragment RecipientFacts on Recipient {
    __typename id channel language region isSubscribed consentAt
    ... on EmailRecipient { email }
    ... on SmsRecipient { phone }
  }
`);

const Add = graphql(`
  mutation AddRecipient($input: AddRecipientInput!) {
    addRecipient(input: $input) {
      __typename
      ... on Error { code path message }
      ... on AddRecipientPayload { recipient { ...RecipientFacts user { id type externalUserId } } }
    }
  }
`);

const Update = graphql(`
  mutation UpdateRecipient($input: UpdateRecipientInput!) {
    updateRecipient(input: $input) {
      __typename
      ... on Error { code path }
      ... on UpdateRecipientPayload { recipient { ...RecipientFacts } }
    }
  }
`);

const Remove = graphql(`
  mutation RemoveRecipient($recipient: ID!, $idempotencyKey: String) {
    removeRecipient(input: { recipient: $recipient, idempotencyKey: $idempotencyKey }) {
      __typename
      ... on Error { code path }
      ... on RemoveRecipientPayload { user { id recipients { nodes { ...RecipientFacts } } } }
    }
  }
`);

export const addRecipient = async (
  client: Client,
  input: Omit<AddRecipientInput, 'create'> & Partial<AddRecipientInput>,
) => (await client.run(Add, { input: { create: false, ...input } })).addRecipient;

export const updateRecipient = async (client: Client, input: UpdateRecipientInput) =>
  (await client.run(Update, { input })).updateRecipient;

export const removeRecipient = async (client: Client, recipient: string, idempotencyKey: string | null = null) =>
  (await client.run(Remove, { recipient, idempotencyKey })).removeRecipient;

export type RecipientChannel = 'PUSH' | 'EMAIL' | 'SMS' | 'IN_APP';

/** A user's recipients by the only one of a channel; fails when there is none or more than one. */
export async function getRecipient(client: Client, { id, channel }: { id: string; channel: RecipientChannel }) {
  const { user } = await client.run(Recipients, { ref: { id } });
  const [recipient, another] = user?.recipients.nodes.filter((node) => node.channel === channel) ?? [];
  if (!recipient || another) throw new Error('There is not one such recipient.');
  return recipient;
}

/** Who said last what `isSubscribed` is, as the database has it. */
export async function consentOf({ db }: Pick<FileApp, 'db'>, recipient: string): Promise<string | null> {
  return (await db.recipient.findUniqueOrThrow({ where: { id: localIdOf(recipient) } })).consentBy;
}
