import { type DestinationStream, type Logger as PinoLogger, pino } from 'pino';

/** Structured log: fields first, then a fixed sentence. Never an address, a token or a payload. */
export type Logger = Pick<PinoLogger, 'debug' | 'info' | 'warn' | 'error'>;

/**
 * One line of JSON per entry with `json`, else readable text. Goes to standard output, or JSON to `stream`.
 * An error is logged under `err`, with its stack and its causes, and without the values that a database puts into it.
 */
export function createLogger({
  json,
  level = 'info',
  stream,
}: {
  json: boolean;
  level?: string;
  stream?: DestinationStream;
}): PinoLogger {
  const options = { level, base: null, serializers: { err: toEntry } };
  if (json) return stream ? pino(options, stream) : pino(options);
  return pino({
    ...options,
    transport: { target: 'pino-pretty', options: { translateTime: 'SYS:HH:MM:ss', sync: true } },
  });
}

/** What PostgreSQL and Prisma say of an error beside its text. Their `detail`, `where` and `meta` quote rows and parameters. */
const toldFields = ['code', 'table', 'column', 'constraint'] as const;

function toEntry(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error };
  const { type, message, stack } = pino.stdSerializers.err(error);
  const told = toldFields.map((name) => [name, Reflect.get(error, name)]).filter(([, value]) => value !== undefined);
  return { type, message: withoutValues(message), stack: withoutValues(stack), ...Object.fromEntries(told) };
}

/**
 * PostgreSQL quotes the value that a type refuses (`invalid input syntax for type uuid: "ann@example.com"`), and Prisma
 * the whole argument of a call that does not fit its model.
 */
function withoutValues(text: string): string {
  return text
    .replaceAll(/(\binvalid input [^:"]*: ")(?:[^"\\]|\\.)*"/g, '$1…"')
    .replaceAll(/(invocation:\n+)\{\n.*?\n\}\n/gs, '$1{…}\n');
}
