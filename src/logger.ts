import { type DestinationStream, type Logger as PinoLogger, pino } from 'pino';

/** Structured log: fields first, then a fixed sentence. Never an address, a token or a payload. */
export type Logger = Pick<PinoLogger, 'debug' | 'info' | 'warn' | 'error'>;

/**
 * One line of JSON per entry, to standard output or to `stream`. An error is logged under `err`, with its stack and its
 * causes, and without the values that a database puts into it.
 *
 * @param level the least that is logged. @default 'info'
 */
export function createLogger({
  level = 'info',
  stream,
}: {
  level?: string;
  stream?: DestinationStream;
} = {}): PinoLogger {
  const options = { level, base: null, serializers: { err: toEntry } };
  return stream ? pino(options, stream) : pino(options);
}

/**
 * As `createLogger`, as text for people. It is written by this thread: pino would start another one for it, which takes more
 * time and memory than all that a program in development has to say.
 */
export async function createReadableLogger(): Promise<PinoLogger> {
  const { default: pretty } = await import('pino-pretty');
  return createLogger({ stream: pretty({ translateTime: 'SYS:HH:MM:ss', sync: true }) });
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
