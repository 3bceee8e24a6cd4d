import { randomUUID } from 'node:crypto';
import { graphql } from '../generated/gql.ts';
import type {
  CreateTopicInput,
  SetTopicPreferencesInput,
  TrackEventsInput,
  UpdateTopicInput,
  UserRef,
} from '../generated/graphql.ts';
import type { Client } from './client.ts';

const CreateTopic = graphql(`
  mutation CreateTopic($input: CreateTopicInput!) {
    createTopic(input: $input) {
      __typename
      ... on Error { code path }
      ... on CreateTopicPayload { topic { ...TopicFacts } }
    }
  }
`);

graphql(`
  fragment TopicFacts on Topic { id name description isSubscribedByDefault position }
`);

const UpdateTopic = graphql(`
  mutation UpdateTopic($input: UpdateTopicInput!) {
    updateTopic(input: $input) {
      __typename
      ... on Error { code path }
      ... on UpdateTopicPayload { topic { ...TopicFacts } }
    }
  }
`);

const DeleteTopic = graphql(`
  mutation DeleteTopic($topic: ID!) {
    deleteTopic(input: { topic: $topic }) {
      __typename
      ... on Error { code path message }
      ... on DeleteTopicPayload { deletedTopicId }
    }
  }
`);

const Topics = graphql(`
  query Topics { topics { ...TopicFacts } }
`);

const SetPreferences = graphql(`
  mutation SetTopicPreferences($input: SetTopicPreferencesInput!) {
    setTopicPreferences(input: $input) {
      __typename
      ... on Error { code path }
      ... on SetTopicPreferencesPayload {
        user { id topicPreferences { topic { id } channel isSubscribed saidAt } }
      }
    }
  }
`);

const Preferences = graphql(`
  query TopicPreferencesOf($ref: UserRef!) {
    user(ref: $ref) { topicPreferences { topic { id } channel isSubscribed } }
  }
`);

const Track = graphql(`
  mutation Track($input: TrackEventsInput!) {
    trackEvents(input: $input) {
      __typename
      ... on Error { code path }
      ... on TrackEventsPayload {
        accepted
        results {
          __typename
          ... on Error { code path }
          ... on TrackedEvent { place }
        }
      }
    }
  }
`);

export const createTopic = async (client: Client, input: Partial<CreateTopicInput> = {}) =>
  (await client.run(CreateTopic, { input: { name: randomUUID(), isSubscribedByDefault: true, ...input } })).createTopic;

/** Global id of a new topic. */
export async function makeTopic(client: Client, input: Partial<CreateTopicInput> = {}): Promise<string> {
  const made = await createTopic(client, input);
  if (made?.__typename !== 'CreateTopicPayload') throw new Error(`Refused: ${JSON.stringify(made)}`);
  return made.topic.id;
}

export const updateTopic = async (client: Client, input: UpdateTopicInput) =>
  (await client.run(UpdateTopic, { input })).updateTopic;

export const deleteTopic = async (client: Client, topic: string) =>
  (await client.run(DeleteTopic, { topic })).deleteTopic;

export const listTopics = async (client: Client) => (await client.run(Topics)).topics;

export const setTopicPreferences = async (client: Client, input: SetTopicPreferencesInput) =>
  (await client.run(SetPreferences, { input })).setTopicPreferences;

/** As {@link setTopicPreferences} of one topic; fails when it is refused. */
export async function say(
  client: Client,
  user: UserRef | null,
  preference: SetTopicPreferencesInput['preferences'][number],
): Promise<void> {
  const result = await setTopicPreferences(client, { user, preferences: [preference] });
  if (result?.__typename !== 'SetTopicPreferencesPayload') throw new Error(`Refused: ${JSON.stringify(result)}`);
}

/** What a user has said, as `<channel, or ALL> <yes or no>`, of one topic. */
export async function wordsOn(client: Client, ref: UserRef, topic: string): Promise<string[]> {
  const { user } = await client.run(Preferences, { ref });
  return (user?.topicPreferences ?? [])
    .filter((said) => said.topic.id === topic)
    .map(({ channel, isSubscribed }) => `${channel ?? 'ALL'} ${isSubscribed ? 'yes' : 'no'}`);
}

export const trackEvents = async (client: Client, input: TrackEventsInput) =>
  (await client.run(Track, { input })).trackEvents;

/** Tracks an event of a user; fails when it is refused. */
export async function track(
  client: Client,
  user: UserRef,
  name: string,
  rest: { properties?: Record<string, unknown>; at?: string } = {},
): Promise<void> {
  const result = await trackEvents(client, { events: [{ user, name, ...rest }] });
  if (result?.__typename !== 'TrackEventsPayload' || result.accepted !== 1)
    throw new Error(`Refused: ${JSON.stringify(result)}`);
}
