import { toFailureCode } from './failure-code.ts';

/** One request to a provider, and how long it may take. */
export interface HttpRequest {
  url: URL;
  headers: Record<string, string>;
  body: string;
  signal: AbortSignal;
  /** From resolving the host to the end of the reply. */
  timeoutMs: number;
}

/** What came back: a reply, or why there was none. */
export type HttpResult =
  | {
      isReply: true;
      status: number;
      /** The header's text. */
      retryAfter: string | null;
      /** The body; empty when it is longer than any of a provider's own. */
      text: string;
    }
  | { isReply: false; failureCode: string };

/** Most of a reply that is read. One about one message has less than a kilobyte. */
const replyBytesMax = 65_536;

/** Posts to a provider's API. A redirect is a reply like any other, and never followed. Never throws. */
export async function postToProvider({ url, headers, body, signal, timeoutMs }: HttpRequest): Promise<HttpResult> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers,
      body,
      redirect: 'manual',
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    });
    const retryAfter = response.headers.get('retry-after');
    return { isReply: true, status: response.status, retryAfter, text: await readText(response) };
  } catch (error) {
    return { isReply: false, failureCode: toFailureCode(error) };
  }
}

async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytesRead = 0;
  // Leaving the loop cancels what is left.
  for await (const chunk of response.body ?? []) {
    bytesRead += chunk.length;
    if (bytesRead > replyBytesMax) return '';
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Where `path` is below a base URL that may have a path of its own. */
export function below(baseUrl: string, path: string): URL {
  return new URL(path, baseUrl.endsWith('/') ? baseUrl : `${baseUrl}/`);
}
