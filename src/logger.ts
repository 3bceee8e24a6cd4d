import { type Logger as PinoLogger, pino } from 'pino';

/** Structured log: fields first, then a fixed sentence. Never an address, a token or a payload. */
export type Logger = Pick<PinoLogger, 'debug' | 'info' | 'warn' | 'error'>;

/**
 * One line of JSON per entry with `json`, else readable text. Goes to standard output.
 * An error is logged under `err`, with its stack and its causes.
 */
export function createLogger({ json, level = 'info' }: { json: boolean; level?: string }): PinoLogger {
  if (json) return pino({ level, base: null });
  return pino({
    level,
    base: null,
    transport: { target: 'pino-pretty', options: { translateTime: 'SYS:HH:MM:ss', sync: true } },
  });
}
