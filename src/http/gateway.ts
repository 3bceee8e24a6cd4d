import { Readable } from 'node:stream';
import { createYoga, type GraphiQLOptions, type Plugin, type YogaServerInstance } from 'graphql-yoga';
import type { Caller } from '../apps/caller.ts';
import type { OperationRequest } from '../door/choose-document.ts';
import type { Door } from '../door/door.ts';
import { schema } from '../graphql/schema.ts';
import { bodyBytesMaxOf } from './answer-operation.ts';
import { readBody } from './read-body.ts';
import { acceptedForms, answerForms, isJson, parseBody, parseSearch, refuseRequest } from './request-form.ts';

/** What is known of a request before its operation is looked at. */
interface Visit {
  caller: Caller | null;
  addressPrefix: () => string;
}

/** Answers what is not a plain request for JSON or a stream: GraphiQL, answers in parts, and what is wrongly asked. */
export type Gateway = YogaServerInstance<Visit, object>;

interface GatewayOptions {
  door: Door;
  /** No GraphiQL. */
  isProduction: boolean;
}

/** Yoga reads requests and writes answers; what is done in between is the door's. */
export function createGateway({ door, isProduction }: GatewayOptions): Gateway {
  return createYoga<Visit, object>({
    schema,
    plugins: [useDoor(door)],
    // The request's form is our own matter.
    maxRequestBodySize: false,
    multipart: false,
    batching: false,
    landingPage: false,
    // The server's own: it answers where yoga is not asked too.
    cors: false,
    // The door has masked.
    maskedErrors: false,
    graphiql: isProduction ? false : { title: 'Carillon', defaultQuery: graphiqlQuery, headers: graphiqlHeaders },
    renderGraphiQL,
    logging: false,
  });
}

/** The page is nine megabytes, which only a browser in development needs: they are loaded for the first one. */
async function renderGraphiQL(options: GraphiQLOptions): Promise<string> {
  const page = await import('@graphql-yoga/render-graphiql');
  return page.renderGraphiQL(options);
}

function useDoor(door: Door): Plugin<object, Visit> {
  // Yoga knows nothing of registered documents: what it checks stands in for what was asked.
  const asked = new WeakMap<Request, OperationRequest>();
  const keep = (request: Request, operation: OperationRequest) => {
    asked.set(request, operation);
    return { query: '{ __typename }' };
  };
  return {
    onRequestParse({ request, setRequestParser, endResponse, fetchAPI, serverContext }) {
      if (acceptedForms(request.headers.get('accept')).length === 0) {
        // Written here: yoga writes no error in a form that was not asked for.
        const { message, extensions } = refuseRequest(406, `Accept one of ${answerForms.join(', ')}.`);
        const body = { errors: [{ message, extensions: { code: extensions.code } }] };
        return endResponse(fetchAPI.Response.json(body, { status: 406 }));
      }
      if (request.method === 'GET') {
        setRequestParser(() => keep(request, parseSearch(new URL(request.url).searchParams)));
      } else if (request.method !== 'POST') {
        throw refuseRequest(405, 'Use POST, or GET for a query.', { Allow: 'GET, POST' });
      } else if (isJson(request.headers.get('content-type'))) {
        const bytesMax = bodyBytesMaxOf(serverContext.caller);
        setRequestParser(async () => keep(request, parseBody(await readBody(toReadable(request), bytesMax))));
      } else {
        throw refuseRequest(415, 'Send JSON, with the content-type application/json.');
      }
    },
    onParams({ setParamsHandler }) {
      setParamsHandler(async ({ request, context }) => {
        return door.run(asked.get(request) ?? {}, {
          caller: context.caller,
          addressPrefix: context.addressPrefix,
          transport: 'http',
          traceparent: request.headers.get('traceparent'),
          canStream: false,
          canMutate: request.method === 'POST',
        });
      });
    },
  };
}

function toReadable({ body }: Request): Readable {
  return Readable.from(body ?? [], { objectMode: false });
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
