import type pg from 'pg';
import { newId } from '../../src/ids.ts';
import { camelCaseKeys } from '../../src/storage/database.ts';

/**
 * The measure: the rows that our verbs write, written by hand: one prepared statement after the other on one connection, in a
 * transaction, with the look-ups and the lock without which nobody could write them, and no question beyond.
 */
export interface Chains {
  personalizeNew(installationId: string, name: string): Promise<void>;
  personalizeKnown(installationId: string, name: string): Promise<void>;
  saveNew(name: string): Promise<void>;
  saveKnown(name: string, firstName: string): Promise<void>;
}

const prepared = {
  owner: 'select user_id from installations where id = $1 for no key update',
  lock: 'select id from users where id = $1 for no key update',
  pair: 'select * from users where id in ($1, $2) order by id for no key update',
  holders: `select user_id from identifiers
    where (kind, value) in (('EXTERNAL_USER_ID', $1), ('EMAIL', $2))`,
  name: `insert into identifiers (kind, value, user_id) values ('EXTERNAL_USER_ID', $1, $3), ('EMAIL', $2, $3)`,
  reach: `insert into recipients (id, channel, user_id, address) values ($1, 'EMAIL', $2, $3)`,
  inbox: `insert into recipients (id, channel, user_id) values ($1, 'IN_APP', $2)`,
  promote: `update users set type = 'CUSTOMER', first_name = $2 where id = $1`,
  user: `insert into users (id, type, first_name) values ($1, 'CUSTOMER', $2)`,
  attach: 'update installations set user_id = $2, is_primary_device = false where id = $1',
  follow: 'update recipients set user_id = $2 where installation_id = $1 returning id',
  bury: 'update users set merged_into_id = $2 where id = $1',
  record: `insert into merge_records (id, survivor_id, merged_id, actor, reason, before, moved)
    values ($1, $2, $3, $4, 'personalize', $5, $6)`,
  audit: `insert into audit_entries (id, api_key_id, action, subject) values ($1, $2, $3, $4)`,
};

/** @param apiKeyId who is said to have done it. */
export function createChains(pool: pg.Pool, apiKeyId: string): Chains {
  async function inTransaction(body: (run: Run) => Promise<void>) {
    const client = await pool.connect();
    const run: Run = async (name, ...values) => (await client.query({ name, text: prepared[name], values })).rows;
    try {
      await client.query('begin');
      await body(run);
      await client.query('commit');
    } finally {
      client.release();
    }
  }

  const audit = (run: Run, action: string, subject: object) =>
    run('audit', newId(), apiKeyId, action, JSON.stringify(subject));
  const emailOf = (name: string) => `${name}@example.com`;

  return {
    personalizeNew: (installationId, name) =>
      inTransaction(async (run) => {
        await run('holders', name, emailOf(name));
        const [owner] = await run('owner', installationId);
        await run('lock', owner?.user_id);
        await run('name', name, emailOf(name), owner?.user_id);
        await run('reach', newId(), owner?.user_id, emailOf(name));
        await run('promote', owner?.user_id, 'Ada');
        await audit(run, 'personalize', toResult(owner?.user_id, installationId));
      }),
    personalizeKnown: (installationId, name) =>
      inTransaction(async (run) => {
        const [holder] = await run('holders', name, emailOf(name));
        const [owner] = await run('owner', installationId);
        const users = await run('pair', holder?.user_id, owner?.user_id);
        await run('attach', installationId, holder?.user_id);
        const [recipient] = await run('follow', installationId, holder?.user_id);
        await run('bury', owner?.user_id, holder?.user_id);
        const recordId = newId();
        const [survivor, merged] = [holder, owner].map((one) => users.find(({ id }) => id === one?.user_id));
        await run(
          'record',
          ...[recordId, survivor?.id, merged?.id, `key:${apiKeyId}`],
          JSON.stringify({ survivor: toSnapshot(survivor), merged: toSnapshot(merged) }),
          JSON.stringify({
            ...{ identifiers: [], claims: [], endedClaims: [], attributes: [], customAttributes: [], tags: [] },
            installations: [{ id: installationId, wasPrimary: false, isPrimary: false }],
            ...{ recipients: [recipient?.id], segments: [], tombstones: [], inboxes: null },
          }),
        );
        await run('promote', survivor?.id, 'Ada');
        await audit(run, 'personalize', toResult(survivor?.id, installationId, recordId));
      }),
    saveNew: (name) =>
      inTransaction(async (run) => {
        await run('holders', name, emailOf(name));
        const userId = newId();
        await run('user', userId, 'Ada');
        await run('inbox', newId(), userId);
        await run('name', name, emailOf(name), userId);
        await run('reach', newId(), userId, emailOf(name));
        await audit(run, 'saveUser', { userId, created: true });
      }),
    saveKnown: (name, firstName) =>
      inTransaction(async (run) => {
        const [holder] = await run('holders', name, emailOf(name));
        await run('lock', holder?.user_id);
        await run('promote', holder?.user_id, firstName);
        await audit(run, 'saveUser', { userId: holder?.user_id, created: false });
      }),
  };
}

interface Row extends Record<string, unknown> {
  id?: string;
  user_id?: string;
}
type Run = (name: keyof typeof prepared, ...values: unknown[]) => Promise<Row[]>;

/** A user as a merge record keeps it. */
const toSnapshot = (row: Row = {}) => camelCaseKeys<object>(row);

const toResult = (userId: unknown, installationId: string, mergeRecordId: string | null = null) => ({
  userId,
  installationId,
  mergeRecordId,
  droppedIdentifiers: [],
});
