import dns from 'node:dns';
import http from 'node:http';
import https from 'node:https';
import type { LookupFunction } from 'node:net';
import { publicOnly } from './public-endpoint.ts';
import { toHost } from './web-push-address.ts';

/** Bytes read of a reply, which says nothing that its status does not. A longer one costs the sender its connection. */
const replyBytesMax = 16_384;

/** How endpoints are reached that somebody else has named. */
export interface EndpointClientOptions {
  /** Also connects to addresses that are not public. For tests. */
  arePrivateEndpointsAllowed: boolean;
  /** Resolves names. @default the system's resolver */
  lookup?: LookupFunction | undefined;
}

/** What is posted. */
export interface EndpointCall {
  headers: http.OutgoingHttpHeaders;
  body: Buffer;
  signal: AbortSignal;
}

/** A reply, as far as it is of interest. */
export interface EndpointReply {
  status: number;
  retryAfter: string | undefined;
}

/** Posts to endpoints that somebody else has named, and follows nothing. */
export interface EndpointClient {
  /** Sends one request and reads its reply to the end, so that the connection can be used again. Rejects without a reply. */
  post(url: URL, call: EndpointCall): Promise<EndpointReply>;
  /** Ends kept-alive connections. */
  close(): void;
}

/**
 * A connection goes to the very address that was checked: see `publicOnly`. What the URL alone tells is for the caller to
 * check: `isEndpointAllowed`.
 */
export function createEndpointClient({
  arePrivateEndpointsAllowed,
  lookup = dns.lookup,
}: EndpointClientOptions): EndpointClient {
  const agentOptions = {
    keepAlive: true,
    // Idle connections: at most so many to one host, for so long.
    maxFreeSockets: 16,
    timeout: 30_000,
    lookup: arePrivateEndpointsAllowed ? lookup : publicOnly(lookup),
  };
  const agents = { http: new http.Agent(agentOptions), https: new https.Agent(agentOptions) };
  return {
    post: (url, call) => post(url, call, agents),
    close() {
      agents.http.destroy();
      agents.https.destroy();
    },
  };
}

function post(
  url: URL,
  { headers, body, signal }: EndpointCall,
  agents: { http: http.Agent; https: https.Agent },
): Promise<EndpointReply> {
  const { promise, resolve, reject } = Promise.withResolvers<EndpointReply>();
  const isSecure = url.protocol === 'https:';
  const request = (isSecure ? https : http).request({
    method: 'POST',
    hostname: toHost(url),
    port: url.port,
    path: `${url.pathname}${url.search}`,
    headers,
    agent: isSecure ? agents.https : agents.http,
    maxHeaderSize: replyBytesMax,
    signal,
  });
  let isAnswered = false;
  request.on('error', reject);
  // A reply that is none, such as 101 Switching Protocols, closes the request without an error.
  request.on('close', () => {
    if (!isAnswered) reject(new Error('The connection was closed without a reply.'));
  });
  request.on('response', (response) => {
    isAnswered = true;
    let bytesRead = 0;
    response.on('data', (chunk: Buffer) => {
      bytesRead += chunk.length;
      if (bytesRead > replyBytesMax) response.destroy();
    });
    // The status is the answer. Once it is there, a reply that breaks off changes nothing.
    const finish = () => resolve({ status: response.statusCode ?? 0, retryAfter: response.headers['retry-after'] });
    response.on('error', finish);
    response.on('close', finish);
  });
  request.end(body);
  return promise;
}
