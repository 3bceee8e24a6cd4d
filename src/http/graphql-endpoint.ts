import type { IncomingMessage, ServerResponse } from 'node:http';
import { GraphQLError } from 'graphql';
import type { Door } from '../door/door.ts';
import { maskError } from '../door/mask-error.ts';
import type { Logger } from '../logger.ts';
import { answerOperation, isOperation, sendResult } from './answer-operation.ts';
import type { AddressPrefixOf } from './client-address.ts';
import type { Gateway } from './gateway.ts';
import { allowOrigin, answerPreflight, isAllowedOrigin, isOwnOrigin } from './origin.ts';
import { acceptedForms, refuseRequest } from './request-form.ts';

interface EndpointOptions {
  door: Door;
  gateway: Gateway;
  addressPrefixOf: AddressPrefixOf;
  log: Logger;
}

/** Answers `/graphql` over HTTP: page → caller → operation. */
export function createGraphqlEndpoint({ door, gateway, addressPrefixOf, log }: EndpointOptions) {
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { origin, authorization, host } = request.headers;
    // Of these two yoga makes a URL, and shows its stack where that fails.
    if (!URL.canParse(`http://${host || 'localhost'}${request.url ?? '/'}`)) {
      throw refuseRequest(400, 'The address is no URL.');
    }
    if (origin !== undefined) {
      if (!(await isAllowedOrigin(door.apps, request))) throw refusePage();
      allowOrigin(request, response);
    }
    if (request.method === 'OPTIONS') return answerPreflight(response);
    const remembered = door.callers.recall(authorization ?? null);
    // Without waiting where there is nothing to wait for: a body that is read at once takes half the time.
    const caller =
      remembered === undefined
        ? await door.callers.authenticate(authorization ?? null, () => addressPrefixOf(request))
        : remembered;
    if (origin !== undefined && !isOwnOrigin(request) && !(await door.apps.mayCallFrom(caller, origin))) {
      throw refusePage();
    }
    if (isOperation(request)) return answerOperation(request, response, { door, addressPrefixOf, caller });
    response.setHeader('vary', 'origin');
    await gateway.handle(request, response, { caller, addressPrefix: () => addressPrefixOf(request) });
  }

  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    try {
      await answer(request, response);
    } catch (error) {
      if (response.headersSent) throw error;
      const [form] = acceptedForms(request.headers.accept);
      const isResult = form === 'application/json' || form === 'application/graphql-response+json';
      sendResult(response, { errors: [maskError(error, log)] }, isResult ? form : 'application/json');
    }
  };
}

function refusePage(): GraphQLError {
  return new GraphQLError('Pages of this origin may not call: see allowedOrigins of updateApp.', {
    extensions: { code: 'FORBIDDEN', http: { status: 403 } },
  });
}
