import { graphql } from '../generated/gql.ts';
import type { PersonalizeInput, RegisterInstallationInput, SendNotificationInput } from '../generated/graphql.ts';
import type { Client } from './client.ts';
import { until } from './until.ts';

/** Operations that many tests need, as a caller writes them. */

const Register = graphql(`
  mutation Register($input: RegisterInstallationInput!) {
    registerInstallation(input: $input) {
      __typename
      ... on Error { code message path }
      ... on RegisterInstallationPayload {
        token
        expiresAt
        installation { id pushRegistrationId pushStatus isPrimaryDevice isPushRegistrationEnabled user { id type } }
      }
    }
  }
`);

const Personalize = graphql(`
  mutation Personalize($input: PersonalizeInput!) {
    personalize(input: $input) {
      __typename
      ... on Error { code message path }
      ... on PersonalizePayload {
        droppedIdentifiers
        user { id type externalUserId firstName tags }
        installation { pushRegistrationId user { id } }
        mergeRecord { id mutation }
      }
    }
  }
`);

const Send = graphql(`
  mutation Send($input: SendNotificationInput!) {
    sendNotification(input: $input) {
      __typename
      ... on Error { code message path }
      ... on SendNotificationPayload { notification { id status createdAt } }
    }
  }
`);

const Depersonalize = graphql(`
  mutation Depersonalize($installation: ID) {
    depersonalize(input: { installation: $installation }) {
      __typename
      ... on Error { code message path }
      ... on DepersonalizePayload { installation { pushRegistrationId isPrimaryDevice user { id type externalUserId } } }
    }
  }
`);

const IsComplete = graphql(`
  query IsComplete($notification: ID!) {
    notification(id: $notification) { progress { isComplete } }
  }
`);

const Deliveries = graphql(`
  query Deliveries($notification: ID!) {
    notification(id: $notification) {
      status
      progress { total queued sending sent delivered opened clicked discarded failed bounced expired cancelled isComplete reached { sent delivered opened clicked } }
      deliveries(first: 100) { totalCount nodes { id channel status reason providerCode attempts user { id } recipient { id channel } events { status reason } } }
    }
  }
`);

export const registerInstallation = async (client: Client, input: Partial<RegisterInstallationInput> = {}) =>
  (await client.run(Register, { input: { platform: 'WEB', ...input } })).registerInstallation;

/** A registered installation; fails when it is refused. */
export async function makeInstallation(client: Client, input: Partial<RegisterInstallationInput> = {}) {
  const result = await registerInstallation(client, input);
  if (result?.__typename !== 'RegisterInstallationPayload') throw new Error(`Refused: ${JSON.stringify(result)}`);
  return { ...result.installation, token: result.token };
}

export const personalize = async (client: Client, input: PersonalizeInput) =>
  (await client.run(Personalize, { input })).personalize;

/** The user that comes out; fails when it is refused. */
export async function makeUser(client: Client, input: PersonalizeInput) {
  const result = await personalize(client, input);
  if (result?.__typename !== 'PersonalizePayload') throw new Error(`Refused: ${JSON.stringify(result)}`);
  return result.user;
}

export const sendNotification = async (client: Client, input: SendNotificationInput) =>
  (await client.run(Send, { input })).sendNotification;

/** Id of a sent notification; fails when it is refused. */
export async function makeNotification(client: Client, input: SendNotificationInput): Promise<string> {
  const result = await sendNotification(client, input);
  if (result?.__typename !== 'SendNotificationPayload' || !result.notification)
    throw new Error(`Refused: ${JSON.stringify(result)}`);
  return result.notification.id;
}

export const depersonalize = async (client: Client, installation: string | null = null) =>
  (await client.run(Depersonalize, { installation })).depersonalize;

/** A notification's deliveries once nothing is left to send. */
export async function settledDeliveries(client: Client, notification: string) {
  const found = <Found>(answer: { notification: Found | null }): Found => {
    if (!answer.notification) throw new Error('There is no such notification.');
    return answer.notification;
  };
  // The totals alone are asked for again and again: who asks for all of it keeps the worker from its work.
  await until(async () => found(await client.run(IsComplete, { notification })).progress.isComplete);
  return found(await client.run(Deliveries, { notification }));
}
