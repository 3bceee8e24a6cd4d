import { graphql } from '../generated/gql.ts';
import type {
  NotificationContentInput,
  PreviewNotificationForTestsQueryVariables,
  SaveLabelInput,
  SendNotificationInput,
  UpdateTemplateInput,
  UserAttributesInput,
} from '../generated/graphql.ts';
import type { Client } from './client.ts';

/** Templates, labels and what is rendered of them, as a back end calls them. */

const Create = graphql(`
  mutation CreateTemplateForTests($input: CreateTemplateInput!) {
    createTemplate(input: $input) {
      __typename
      ... on Error { code message path }
      ... on CreateTemplatePayload { template { id name content { title body variations { language body segment { id } } } } }
    }
  }
`);

const Update = graphql(`
  mutation UpdateTemplateForTests($input: UpdateTemplateInput!) {
    updateTemplate(input: $input) {
      __typename
      ... on Error { code message path }
      ... on UpdateTemplatePayload { template { id name content { body } } }
    }
  }
`);

const Delete = graphql(`
  mutation DeleteTemplateForTests($template: ID!) {
    deleteTemplate(input: { template: $template }) {
      __typename
      ... on Error { code message path }
      ... on DeleteTemplatePayload { deletedTemplateId }
    }
  }
`);

const Save = graphql(`
  mutation SaveLabelForTests($input: SaveLabelInput!) {
    saveLabel(input: $input) {
      __typename
      ... on Error { code message path }
      ... on SaveLabelPayload { created label { id name defaultValue cases { filter value } } }
    }
  }
`);

const DeleteLabel = graphql(`
  mutation DeleteLabelForTests($name: String!) {
    deleteLabel(input: { name: $name }) {
      __typename
      ... on Error { code message path }
      ... on DeleteLabelPayload { deletedLabelId }
    }
  }
`);

const SendWithWarnings = graphql(`
  mutation SendWithWarnings($input: SendNotificationInput!) {
    sendNotification(input: $input) {
      __typename
      ... on Error { code message path }
      ... on SendNotificationPayload {
        notification { id content { body variations { language segment { id } } } }
        warnings { channel platform field effect message }
      }
    }
  }
`);

const Rendered = graphql(`
  query RenderedForTests($notification: ID!) {
    outboxMessages(notification: $notification, first: 100) { nodes { channel address rendered } }
  }
`);

const Preview = graphql(`
  query PreviewNotificationForTests(
    $content: NotificationContentInput, $template: ID, $user: UserRef!, $channels: [Channel!], $platform: Platform,
    $data: JSONObject, $event: NotificationEventInput
  ) {
    previewNotification(
      content: $content, template: $template, user: $user, channels: $channels, platform: $platform, data: $data, event: $event
    ) {
      messages {
        channel platform variation failure rendered
        content { title body url buttons { label url } data }
        sms { encoding count }
      }
      warnings { channel platform field effect }
    }
  }
`);

const Attributes = graphql(`
  mutation AttributesForContent($user: UserRef!, $userAttributes: UserAttributesInput!) {
    saveUser(input: { user: $user, userAttributes: $userAttributes }) { __typename ... on Error { code message path } }
  }
`);

export const createTemplate = async (client: Client, name: string, content: NotificationContentInput) =>
  (await client.run(Create, { input: { name, content } })).createTemplate;

export const updateTemplate = async (client: Client, input: UpdateTemplateInput) =>
  (await client.run(Update, { input })).updateTemplate;

export const deleteTemplate = async (client: Client, template: string) =>
  (await client.run(Delete, { template })).deleteTemplate;

export const saveLabel = async (client: Client, input: SaveLabelInput) => (await client.run(Save, { input })).saveLabel;

export const deleteLabel = async (client: Client, name: string) =>
  (await client.run(DeleteLabel, { name })).deleteLabel;

export const sendWithWarnings = async (client: Client, input: SendNotificationInput) =>
  (await client.run(SendWithWarnings, { input })).sendNotification;

/** What went to the outbox of a notification, oldest first. */
export const listRendered = async (client: Client, notification: string) =>
  (await client.run(Rendered, { notification })).outboxMessages.nodes;

export const previewNotification = async (client: Client, variables: PreviewNotificationForTestsQueryVariables) =>
  (await client.run(Preview, variables)).previewNotification;

/** Writes attributes of a user; fails when they are refused. */
export async function setAttributes(client: Client, id: string, userAttributes: UserAttributesInput): Promise<void> {
  const { saveUser } = await client.run(Attributes, { user: { id }, userAttributes });
  if (saveUser?.__typename !== 'SaveUserPayload') throw new Error(`Refused: ${JSON.stringify(saveUser)}`);
}
