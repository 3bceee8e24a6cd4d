import { graphql } from '../generated/gql.ts';
import type { ResumeChannelInput } from '../generated/graphql.ts';
import type { Client } from './client.ts';

const Senders = graphql(`
  query SendersOfApp($id: ID) {
    app(id: $id) { id senders { channel provider isPaused pausedSince cause providerCode nextTryAt } }
  }
`);

const Resume = graphql(`
  mutation ResumeChannel($input: ResumeChannelInput!) {
    resumeChannel(input: $input) {
      __typename
      ... on Error { code path }
      ... on ResumeChannelPayload { app { id senders { channel isPaused } } }
    }
  }
`);

/** An app with its senders; without an id the default one. */
export const sendersOf = async (client: Client, id: string | null = null) => (await client.run(Senders, { id })).app;

export const resumeChannel = async (client: Client, input: ResumeChannelInput) =>
  (await client.run(Resume, { input })).resumeChannel;
