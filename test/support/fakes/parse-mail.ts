/** What tests ask of a mail: decoded header fields and the text of its parts. */
export interface ParsedMail {
  /** Field names in lower case; of repeated fields all values. */
  headers: Map<string, string[]>;
  subject: string;
  text: string;
  html: string;
}

/** Reads a MIME message (RFC 5322, 2045, 2047) as far as one with a text and an HTML part needs. */
export function parseMail(raw: string): ParsedMail {
  const { headers, body } = splitEntity(raw);
  const parts = listParts(headers, body);
  const partOf = (type: string) => parts.find((part) => (part.headers.get('content-type')?.[0] ?? '').startsWith(type));
  return {
    headers,
    subject: decodeWords(headers.get('subject')?.[0] ?? ''),
    text: decodeBody(partOf('text/plain')),
    html: decodeBody(partOf('text/html')),
  };
}

interface Entity {
  headers: Map<string, string[]>;
  body: string;
}

function splitEntity(raw: string): Entity {
  const end = raw.indexOf('\r\n\r\n');
  const headers = new Map<string, string[]>();
  for (const line of raw
    .slice(0, end)
    .replace(/\r\n[ \t]+/g, ' ')
    .split('\r\n')) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    headers.set(name, [...(headers.get(name) ?? []), line.slice(colon + 1).trim()]);
  }
  return { headers, body: raw.slice(end + 4) };
}

function listParts(headers: Map<string, string[]>, body: string): Entity[] {
  const boundary = /boundary="?([^";]+)"?/.exec(headers.get('content-type')?.[0] ?? '')?.[1];
  if (boundary === undefined) return [{ headers, body }];
  return `\r\n${body}`
    .split(`\r\n--${boundary}`)
    .slice(1, -1)
    .map((part) => splitEntity(part.replace(/^\r\n/, '')));
}

function decodeBody(part: Entity | undefined): string {
  if (!part) return '';
  const encoding = part.headers.get('content-transfer-encoding')?.[0]?.toLowerCase() ?? '7bit';
  const text =
    encoding === 'base64'
      ? Buffer.from(part.body, 'base64').toString('utf8')
      : encoding === 'quoted-printable'
        ? decodeQuotedPrintable(part.body.replace(/=\r\n/g, ''))
        : part.body;
  return text.replaceAll('\r\n', '\n');
}

function decodeQuotedPrintable(text: string): string {
  const bytes = text.replace(/=([0-9A-F]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

/** Encoded words (RFC 2047); the blank between two of them is not part of the text. */
function decodeWords(text: string): string {
  const words = text.replace(/(=\?[^?]+\?[BQ]\?[^?]*\?=)\s+(?==\?)/gi, '$1');
  return words.replace(/=\?utf-8\?([BQ])\?([^?]*)\?=/gi, (_, encoding: string, data: string) =>
    encoding.toUpperCase() === 'B'
      ? Buffer.from(data, 'base64').toString('utf8')
      : decodeQuotedPrintable(data.replaceAll('_', ' ')),
  );
}
