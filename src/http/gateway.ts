import { renderGraphiQL } from '@graphql-yoga/render-graphiql';
import { createYoga, type Plugin, type YogaServerInstance } from 'graphql-yoga';
import type { Caller } from '../apps/caller.ts';
import type { Context } from '../graphql/context.ts';
import { Loaders } from '../graphql/loaders.ts';
import { schema } from '../graphql/schema.ts';
import type { Sink } from '../stream/hub/relay.ts';
import { useSubscriptions } from './execute-subscriptions.ts';
import { useInputLimits } from './input-limits.ts';
import { maskError, useMaskedValidation } from './mask-error.ts';
import { useRequestForm } from './request-form.ts';
import { useSchemaPrivacy } from './schema-privacy.ts';

/** What a transport has found out before an operation is looked at. */
export interface Transport {
  /** Null: nobody, who may not do much. A caller with a wrong key has not come this far. */
  caller: Caller | null;
  /** Where a subscription's answers go by themselves. Absent: who asked iterates over them. */
  sink?: Sink;
}

/** Request bodies and WebSocket messages. @default 1_048_576 // 1 MiB */
export const messageBytesMax = 1024 * 1024;

/** The one pipeline that every operation goes through, whatever its transport. */
export type Gateway = YogaServerInstance<Transport, Context>;

interface GatewayOptions
  extends Pick<Context, 'db' | 'bus' | 'cipher' | 'log' | 'hub' | 'arePrivateEndpointsAllowed' | 'webPushPublicKey'> {
  /** No GraphiQL, and the schema is told to server keys only. */
  isProduction: boolean;
}

/**
 * Builds the pipeline: caller → document (size, syntax, validation) → execution → mask. HTTP and SSE go through
 * `handle`; the WebSocket transport takes the same steps from `getEnveloped`.
 */
export function createGateway({ isProduction, ...deployment }: GatewayOptions): Gateway {
  const plugins: Plugin<Context>[] = [
    useRequestForm({ bodyBytesMax: messageBytesMax }),
    useInputLimits(),
    useSchemaPrivacy({ isProduction }),
    useMaskedValidation(deployment.log),
    useSubscriptions(deployment.log),
  ];
  return createYoga<Transport, Context>({
    schema,
    plugins,
    context: ({ caller }) => ({
      ...deployment,
      caller,
      operation: null,
      registeredInstallationIds: new Set(),
      reportedDeliveryIds: new Set(),
      loaders: new Loaders(deployment.db),
    }),
    maskedErrors: { maskError: (error) => maskError(error, deployment.log) },
    // The request's form is our own matter.
    maxRequestBodySize: false,
    multipart: false,
    batching: false,
    landingPage: false,
    // The server's own: it answers where yoga is not asked too.
    cors: false,
    graphiql: isProduction ? false : { title: 'Carillon', defaultQuery: graphiqlQuery, headers: graphiqlHeaders },
    renderGraphiQL,
    logging: false,
  });
}

// A comment, as a wrong key would keep GraphiQL from reading the schema.
const graphiqlHeaders = `{
  // "authorization": "Bearer <server key>"
}`;

const graphiqlQuery = `# Put your server key into the headers below.
query Outbox {
  outboxMessages(last: 10) {
    nodes { channel address rendered at }
  }
}
`;
