import { setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';
import type { NodeType } from '../../src/graphql/global-id.ts';
import { sql } from '../../src/storage/database.ts';
import { graphql } from '../generated/gql.ts';
import type { ReportDeliveryInput, SendNotificationInput } from '../generated/graphql.ts';
import { fcmAddress } from './addresses.ts';
import type { Client } from './client.ts';
import { makeInstallation, makeUser, settledDeliveries } from './operations.ts';

const CreateSegment = graphql(`
  mutation CreateSegmentToSend($name: String!) {
    createSegment(input: { name: $name }) {
      __typename
      ... on CreateSegmentPayload { segment { id } }
    }
  }
`);

const AddToSegment = graphql(`
  mutation AddToSegmentToSend($segment: ID!, $users: [UserRef!]!) {
    addToSegment(input: { segment: $segment, users: $users }) { __typename }
  }
`);

const MergeUsers = graphql(`
  mutation MergeUsersToSend($survivor: UserRef!, $merged: UserRef!) {
    mergeUsers(input: { survivor: $survivor, merged: $merged, allowAlias: true }) { __typename }
  }
`);

const Report = graphql(`
  mutation ReportForTests($input: ReportDeliveryInput!) {
    reportDelivery(input: $input) {
      __typename
      ... on Error { code path }
      ... on ReportDeliveryPayload { delivery { id status updatedAt events { status at } } }
    }
  }
`);

/** Global id of a new static segment with these users, by their ids. */
export async function makeSegment(server: Client, userIds: readonly string[]): Promise<string> {
  const { createSegment } = await server.run(CreateSegment, { name: `Segment ${crypto.randomUUID()}` });
  if (createSegment?.__typename !== 'CreateSegmentPayload') throw new Error('The segment was refused.');
  const segment = createSegment.segment.id;
  const { addToSegment } = await server.run(AddToSegment, { segment, users: userIds.map((id) => ({ id })) });
  if (addToSegment?.__typename !== 'AddToSegmentPayload') throw new Error('The members were refused.');
  return segment;
}

/** Joins two users, by their ids. */
export async function mergeUsers(server: Client, { survivor, merged }: { survivor: string; merged: string }) {
  const result = await server.run(MergeUsers, { survivor: { id: survivor }, merged: { id: merged } });
  if (result.mergeUsers?.__typename !== 'MergeUsersPayload') throw new Error('The merge was refused.');
}

export const reportDelivery = async (client: Client, input: ReportDeliveryInput) =>
  (await client.run(Report, { input })).reportDelivery;

interface Person {
  emails?: string[];
  phones?: string[];
  /** Of the push token, by which the outbox plays an outcome. */
  tokenPrefix?: string;
}

/** A user with one installation that can be pushed to, and these addresses. */
export async function makePerson(server: Client, { emails = [], phones = [], tokenPrefix = '' }: Person = {}) {
  const installation = await makeInstallation(server, { platform: 'ANDROID', address: fcmAddress(tokenPrefix) });
  const user = await makeUser(server, {
    installation: installation.pushRegistrationId,
    userIdentity: { externalUserId: crypto.randomUUID(), emails, phones },
  });
  return { ...user, installation };
}

/** The database's id of what has this global id. */
export const localIdOf = (id: string) => Buffer.from(id, 'base64').toString().split(':')[1] ?? '';

/** The global id of what has this id in the database. */
export const globalIdOf = (type: NodeType, id: string) => Buffer.from(`${type}:${id}`).toString('base64');

/** What to send, to whom; it says "Hello". */
export const toSend = (
  target: SendNotificationInput['target'],
  rest: Partial<SendNotificationInput> = {},
): SendNotificationInput => ({
  content: { body: 'Hello' },
  target,
  ...rest,
});

/** As `settledDeliveries`, but what is to be tried again later is due at once. */
export async function settledInAHurry(g: { server: Client; pool: pg.Pool }, notification: string) {
  let isSettled = false;
  const hurry = async () => {
    while (!isSettled) {
      await g.pool.query(sql`
        update deliveries set next_attempt_at = now()
        where notification_id = ${localIdOf(notification)}::uuid and status = 'QUEUED' and next_attempt_at > now()`);
      await pause(10);
    }
  };
  const hurrying = hurry();
  try {
    return await settledDeliveries(g.server, notification);
  } finally {
    isSettled = true;
    await hurrying;
  }
}
