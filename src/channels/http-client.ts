/** One request to a provider. */
export interface HttpRequest {
  /** Below the origin, with its first slash. */
  path: string;
  /** Names in lower case. */
  headers: Record<string, string>;
  body: string;
  /** Gives the request up. */
  signal: AbortSignal;
}

/** What a provider answered. */
export interface HttpReply {
  status: number;
  /** The header's text. */
  retryAfter: string | null;
  /** The body. */
  text: string;
}

/** Posts to one origin, over connections that are kept. */
export interface HttpClient {
  /**
   * Sends a POST request and reads its reply whole; follows no redirect. Rejects when no reply came, with an error that
   * `toFailureCode` can name.
   */
  post(request: HttpRequest): Promise<HttpReply>;
  /** Ends idle connections. What is under way ends by itself, or by its signal, and its connection with it. */
  close(): Promise<void>;
}

/** Largest reply read. Those of push services about one message have less than two kilobytes. */
export const replyBytesMax = 65_536;

/** An error that says why no reply came. `code` is a word for operators, such as `REPLY_TOO_LONG`. */
export function toHttpFailure(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}

/** Over HTTP/1.1, on Node's own pool of connections, which it keeps for seconds and which lets the process end meanwhile. */
export function createHttp1Client(origin: string): HttpClient {
  return {
    async post({ path, headers, body, signal }) {
      const response = await fetch(new URL(path, origin), {
        method: 'POST',
        headers,
        body,
        redirect: 'manual',
        signal,
      });
      return {
        status: response.status,
        retryAfter: response.headers.get('retry-after'),
        text: await readText(response),
      };
    },
    close: () => Promise.resolve(),
  };
}

async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytesRead = 0;
  for await (const chunk of response.body ?? []) {
    bytesRead += chunk.length;
    if (bytesRead > replyBytesMax) throw toHttpFailure('REPLY_TOO_LONG', 'The reply is too long.');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
