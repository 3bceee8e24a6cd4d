import { graphql } from '../generated/gql.ts';
import type { AppChannelsInput } from '../generated/graphql.ts';
import type { Client } from './client.ts';

/** By what apps send by themselves. */

const SetChannels = graphql(`
  mutation SetAppChannels($input: UpdateAppInput!) {
    updateApp(input: $input) {
      __typename
      ... on Error { code message path }
      ... on UpdateAppPayload { app { channels { provider account updatedAt } } }
    }
  }
`);

/** Changes an app's own credentials; what it then has. */
export const setChannels = async (client: Client, app: string, channels: AppChannelsInput, idempotencyKey?: string) =>
  (await client.run(SetChannels, { input: { app, channels, ...(idempotencyKey !== undefined && { idempotencyKey }) } }))
    .updateApp;

const DefaultApp = graphql(`query DefaultApp { app { id } }`);

/** Global id of the app that was first. */
export async function getDefaultApp(server: Client): Promise<string> {
  const { app } = await server.run(DefaultApp);
  if (!app) throw new Error('There is no app.');
  return app.id;
}
