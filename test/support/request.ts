import type { Pool } from 'pg';
import { z } from 'zod';

/** Codes that an error outside a payload may have. */
const errorCode = z.enum([
  'UNAUTHENTICATED',
  'FORBIDDEN',
  'THROTTLED',
  'OPERATION_NOT_ALLOWED',
  'OPERATION_TOO_COSTLY',
  'BAD_USER_INPUT',
  'INTERNAL_SERVER_ERROR',
]);

const answerSchema = z.object({
  data: z.unknown().optional(),
  errors: z
    .array(
      z.object({
        message: z.string().min(1),
        path: z.unknown().optional(),
        extensions: z.looseObject({ code: errorCode }),
      }),
    )
    .optional(),
});

/** An answer in GraphQL's form: its errors have codes, and nothing else than codes of the contract. */
export interface Answer extends z.infer<typeof answerSchema> {
  status: number;
  headers: Headers;
}

/** Sends a request as it is given, for what no client would send. JSON is the default of both sides. */
export async function request(url: string, { method = 'POST', headers, ...rest }: RequestInit): Promise<Answer> {
  const response = await fetch(url, {
    method,
    headers: { 'content-type': 'application/json', accept: 'application/json', ...headers },
    ...rest,
  });
  return { ...parseAnswer(await response.text()), status: response.status, headers: response.headers };
}

/** @throws when it is not in GraphQL's form, or an error has no code of the contract. */
export function parseAnswer(text: string) {
  return answerSchema.parse(JSON.parse(text));
}

/** How many rows each of the program's tables has. */
export async function countRows(pool: Pool): Promise<Record<string, number>> {
  const { rows } = await pool.query<{ name: string; count: number }>(`
    select table_name as name,
      (xpath('/row/c/text()', query_to_xml(format('select count(*) as c from %I', table_name), false, true, '')))[1]::text::int as count
    from information_schema.tables where table_schema = 'public'
  `);
  return Object.fromEntries(rows.map(({ name, count }) => [name, count]));
}
