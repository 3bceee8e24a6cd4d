import { newId } from '../ids.ts';
import { sql, type Transaction } from '../storage/database.ts';

/** Makes an empty user for an installation that is nobody's yet (rule U1), with the in-app inbox that every user has. */
export async function createLead(tx: Transaction): Promise<string> {
  const id = newId();
  await tx.$executeRaw(sql`
    with lead as (insert into users (id, type) values (${id}::uuid, 'LEAD'))
    insert into recipients (id, channel, user_id) values (${newId()}::uuid, 'IN_APP', ${id}::uuid)
  `);
  return id;
}
