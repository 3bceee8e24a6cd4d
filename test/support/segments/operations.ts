import { randomUUID } from 'node:crypto';
import { sql } from '../../../src/storage/database.ts';
import { graphql } from '../../generated/gql.ts';
import type { AudienceFilter, CreateSegmentInput, UpdateSegmentInput, UserRef } from '../../generated/graphql.ts';
import type { FileApp } from '../app.ts';
import type { Client } from '../client.ts';

const CreateDynamicSegment = graphql(`
  mutation CreateDynamicSegment($input: CreateSegmentInput!) {
    createSegment(input: $input) {
      __typename
      ... on Error { code message path }
      ... on CreateSegmentPayload { segment { id kind filter memberCount memberCountedAt } }
    }
  }
`);

const UpdateSegment = graphql(`
  mutation UpdateSegment($input: UpdateSegmentInput!) {
    updateSegment(input: $input) {
      __typename
      ... on Error { code message path }
      ... on UpdateSegmentPayload { segment { id name description filter memberCount } }
    }
  }
`);

const DeleteSegment = graphql(`
  mutation DeleteSegment($segment: ID!, $idempotencyKey: String) {
    deleteSegment(input: { segment: $segment, idempotencyKey: $idempotencyKey }) {
      __typename
      ... on Error { code message path }
      ... on DeleteSegmentPayload { deletedSegmentId }
    }
  }
`);

const Members = graphql(`
  query Members($id: ID!, $first: Int, $after: String) {
    segment(id: $id) {
      memberCount
      members(first: $first, after: $after) { totalCount nodes { id } pageInfo { hasNextPage endCursor } }
    }
  }
`);

const Preview = graphql(`
  query Preview($filter: AudienceFilter!, $first: Int) {
    previewSegment(filter: $filter, first: $first) { count countedAt sample { id } }
  }
`);

const Explain = graphql(`
  query Explain($segment: ID!, $user: UserRef!) {
    explainSegmentMembership(segment: $segment, user: $user) {
      isMember
      segment { id }
      user { id }
      reasons { path condition holds value }
    }
  }
`);

const SegmentsOf = graphql(`
  query SegmentsOf($ref: UserRef!, $first: Int, $after: String) {
    user(ref: $ref) { segments(first: $first, after: $after) { totalCount nodes { id } pageInfo { hasNextPage endCursor } } }
  }
`);

export const createSegment = async (client: Client, input: Partial<CreateSegmentInput>) =>
  (await client.run(CreateDynamicSegment, { input: { name: randomUUID(), ...input } })).createSegment;

/** Global id of a new dynamic segment. */
export async function makeDynamicSegment(client: Client, filter: AudienceFilter): Promise<string> {
  const made = await createSegment(client, { filter });
  if (made?.__typename !== 'CreateSegmentPayload') throw new Error(`Refused: ${JSON.stringify(made)}`);
  return made.segment.id;
}

export const updateSegment = async (client: Client, input: UpdateSegmentInput) =>
  (await client.run(UpdateSegment, { input })).updateSegment;

export const deleteSegment = async (client: Client, segment: string, idempotencyKey?: string) =>
  (await client.run(DeleteSegment, { segment, idempotencyKey: idempotencyKey ?? null })).deleteSegment;

/** One page of a segment's members. */
export const findMembers = async (client: Client, id: string, page: { first?: number; after?: string | null } = {}) =>
  (await client.run(Members, { id, ...page })).segment;

/** Ids of the members of a segment of 100 at most, sorted. */
export const listMembers = async (client: Client, id: string): Promise<string[]> =>
  ((await findMembers(client, id, { first: 100 }))?.members.nodes ?? []).map((node) => node.id).sort();

export const previewSegment = async (client: Client, filter: AudienceFilter, first?: number) =>
  (await client.run(Preview, { filter, first: first ?? null })).previewSegment;

export const explainMembership = async (client: Client, segment: string, user: UserRef) =>
  (await client.run(Explain, { segment, user })).explainSegmentMembership;

export const findSegmentsOf = async (
  client: Client,
  ref: UserRef,
  page: { first?: number; after?: string | null } = {},
) => (await client.run(SegmentsOf, { ref, ...page })).user?.segments;

/** Defines an attribute of users without the mutation that does so. */
export async function defineAttribute(
  { pool }: Pick<FileApp, 'pool'>,
  {
    name,
    type,
    owner = 'USER',
    fields = null,
  }: { name: string; type: string; owner?: string; fields?: object[] | null },
): Promise<void> {
  await pool.query(sql`
    insert into attribute_definitions (id, owner, name, type, fields)
    values (uuid_v7(), ${owner}::attribute_owner, ${name}, ${type}::attribute_type, ${fields === null ? null : JSON.stringify(fields)}::jsonb)`);
}
