import { randomUUID } from 'node:crypto';
import { graphql } from '../generated/gql.ts';
import type { MergeUsersInput, UserRef } from '../generated/graphql.ts';
import type { FileApp } from './app.ts';
import type { Client } from './client.ts';
import { makeInstallation, makeUser } from './operations.ts';

const Profile = graphql(`
  query Profile($ref: UserRef!) {
    user(ref: $ref) {
      id type externalUserId displayName firstName lastName birthday tags
      installations(first: 100) { nodes { pushRegistrationId isPrimaryDevice } }
      recipients(first: 100) {
        nodes {
          __typename id isSubscribed
          ... on EmailRecipient { email }
          ... on SmsRecipient { phone }
        }
      }
    }
  }
`);

/** What a caller sees of the user that a reference names; null: nothing. Addresses and installations are sorted. */
export async function findProfile(client: Client, ref: UserRef) {
  const { user } = await client.run(Profile, { ref });
  if (!user) return null;
  const { installations, recipients, ...rest } = user;
  const { nodes } = recipients;
  return {
    ...rest,
    installations: installations.nodes.map(({ pushRegistrationId }) => pushRegistrationId).sort(),
    primaryInstallations: installations.nodes
      .filter(({ isPrimaryDevice }) => isPrimaryDevice)
      .map(({ pushRegistrationId }) => pushRegistrationId),
    emails: nodes.flatMap((node) => (node.__typename === 'EmailRecipient' ? [node.email] : [])).sort(),
    phones: nodes.flatMap((node) => (node.__typename === 'SmsRecipient' ? [node.phone] : [])).sort(),
    recipients: nodes,
  };
}

/** As {@link findProfile}; fails when there is nobody. */
export async function getProfile(client: Client, ref: UserRef) {
  const profile = await findProfile(client, ref);
  if (!profile) throw new Error('There is no such user.');
  return profile;
}

const Merge = graphql(`
  mutation Merge($input: MergeUsersInput!) {
    mergeUsers(input: $input) {
      __typename
      ... on Error { code message path }
      ... on MergeUsersPayload { user { id type externalUserId tags } mergeRecord { id } }
    }
  }
`);

export const mergeUsers = async (client: Client, input: MergeUsersInput) =>
  (await client.run(Merge, { input })).mergeUsers;

/** As {@link mergeUsers}; the record's global id. Fails when it is refused. */
export async function makeMerge(client: Client, input: MergeUsersInput): Promise<string> {
  const result = await mergeUsers(client, { allowAlias: true, ...input });
  if (result?.__typename !== 'MergeUsersPayload' || !result.mergeRecord)
    throw new Error(`Refused: ${JSON.stringify(result)}`);
  return result.mergeRecord.id;
}

const Unmerge = graphql(`
  mutation Unmerge($input: UnmergeUsersInput!) {
    unmergeUsers(input: $input) {
      __typename
      ... on Error { code message path }
      ... on UnmergeUsersPayload {
        survivor { id wasMerged }
        restored { id externalUserId wasMerged }
        mergeRecord { id undoneAt undoneBy }
        leftBehind { kind name reason }
      }
    }
  }
`);

export const unmergeUsers = async (client: Client, mergeRecord: string, idempotencyKey: string | null = null) =>
  (await client.run(Unmerge, { input: { mergeRecord, idempotencyKey } })).unmergeUsers;

/** A person with an installation; `externalUserId` is one that nobody else has. */
export async function makePerson(
  { server, app }: Pick<FileApp, 'server' | 'app'>,
  { emails = [], phones = [], keepAsLead = false }: { emails?: string[]; phones?: string[]; keepAsLead?: boolean } = {},
) {
  const externalUserId = `person-${randomUUID()}`;
  const installation = await makeInstallation(app);
  const user = await makeUser(server, {
    installation: installation.pushRegistrationId,
    userIdentity: { externalUserId, emails, phones },
    keepAsLead,
  });
  return { ...user, externalUserId, installation, token: installation.token };
}

/** How many rows there are of what identity writes: equal before and after what must write nothing. */
export async function countRows({ pool }: Pick<FileApp, 'pool'>): Promise<Record<string, number>> {
  const { rows } = await pool.query(`
    select
      (select count(*)::int from users) as users,
      (select count(*)::int from identifiers) as identifiers,
      (select count(*)::int from recipients) as recipients,
      (select count(*)::int from installations) as installations,
      (select count(*)::int from merge_records) as merges,
      (select count(*)::int from idempotency_keys) as keys
  `);
  return rows[0];
}

/** Opts every recipient of a user on a channel out, as the person would. */
export async function optOut(
  { pool }: Pick<FileApp, 'pool'>,
  { externalUserId, channel }: { externalUserId: string; channel: 'EMAIL' | 'SMS' | 'IN_APP' | 'PUSH' },
): Promise<void> {
  const { rowCount } = await pool.query(
    `update recipients set is_subscribed = false where channel = $2::channel
     and user_id = (select user_id from identifiers where kind = 'EXTERNAL_USER_ID' and value = $1)`,
    [externalUserId, channel],
  );
  if (rowCount === 0) throw new Error('There is no such recipient.');
}

/** Makes an installation its user's primary one. */
export async function makePrimary({ pool }: Pick<FileApp, 'pool'>, installationId: string): Promise<void> {
  await pool.query('update installations set is_primary_device = true where id = $1', [installationId]);
}
