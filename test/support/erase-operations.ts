import type pg from 'pg';
import { graphql } from '../generated/gql.ts';
import type { UserRef } from '../generated/graphql.ts';
import type { Client } from './client.ts';

const Erase = graphql(`
  mutation Erase($user: UserRef!, $idempotencyKey: String) {
    eraseUser(input: { user: $user, idempotencyKey: $idempotencyKey }) {
      __typename
      ... on Error { code path }
      ... on EraseUserPayload { erasedUser }
    }
  }
`);

export const eraseUser = async (client: Client, user: UserRef, idempotencyKey: string | null = null) =>
  (await client.run(Erase, { user, idempotencyKey })).eraseUser;

/** Everything that the database holds, as text. */
export async function dumpDatabase(pool: pg.Pool): Promise<string> {
  const { rows } = await pool.query<{ name: string }>(`
    select format('%I.%I', table_schema, table_name) as name from information_schema.tables
    where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')`);
  const tables = await Promise.all(
    rows.map(async ({ name }) => {
      const table = await pool.query<{ line: string }>(`select t::text as line from ${name} t`);
      return table.rows.map(({ line }) => `${name} ${line}`);
    }),
  );
  return tables.flat().join('\n');
}
