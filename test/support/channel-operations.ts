import { graphql } from '../generated/gql.ts';
import type { ResumeChannelInput } from '../generated/graphql.ts';
import type { Client } from './client.ts';

const Channels = graphql(`
  query ChannelsOfApp($id: ID) {
    app(id: $id) { id channels { channel provider isPaused pausedSince cause providerCode nextTryAt } }
  }
`);

const Resume = graphql(`
  mutation ResumeChannel($input: ResumeChannelInput!) {
    resumeChannel(input: $input) {
      __typename
      ... on Error { code path }
      ... on ResumeChannelPayload { app { id channels { channel isPaused } } }
    }
  }
`);

/** An app with its channels; without an id the default one. */
export const channelsOf = async (client: Client, id: string | null = null) => (await client.run(Channels, { id })).app;

export const resumeChannel = async (client: Client, input: ResumeChannelInput) =>
  (await client.run(Resume, { input })).resumeChannel;
