import { parse, validate } from 'graphql';
import { expect, test } from 'vitest';
import { schema } from '../../src/graphql/schema.ts';
import { checkOperation } from '../../src/partners/check-operation.ts';
import { listVariablesOfPeople } from '../../src/partners/variables-of-people.ts';

const variablesOf = (document: string): string[] => {
  expect(validate(schema, parse(document))).toEqual([]);
  return [...listVariablesOfPeople(schema, parse(document))];
};

test.each([
  'query ($v: ID!) { node(id: $v) { id } }',
  'query ($v: [ID!]!) { nodes(ids: $v) { id } }',
  'query ($v: ID!) { nodes(ids: [$v]) { id } }',
  'query ($v: ID!) { installation(id: $v) { id } }',
  'query ($v: ID!) { delivery(id: $v) { id } }',
  'query ($v: UserRef!) { user(ref: $v) { id } }',
  'query ($v: ID!) { user(ref: { id: $v }) { id } }',
  'query ($v: String!) { user(ref: { externalUserId: $v }) { id } }',
  'query ($v: String!) { user(ref: { email: $v }) { id } }',
  'query ($v: String!) { user(ref: { phone: $v }) { id } }',
  'query ($v: String!) { user(ref: { pushRegistrationId: $v }) { id } }',
  'query ($v: ID!) { ...F } fragment F on Query { node(id: $v) { id } }',
  'query ($v: FilterValue!) { previewSegment(filter: { attribute: { name: "no", eq: $v } }) { sample { id } } }',
  'query ($v: String!) { previewSegment(filter: { standardAttribute: { name: LAST_NAME, startsWith: $v } }) { count } }',
  'query ($v: AudienceFilter!) { previewSegment(filter: $v) { count } }',
  'mutation ($v: AudienceFilter!) { createSegment(input: { name: "a", filter: $v }) { __typename } }',
  'mutation ($v: String!) { sendNotification(input: { content: { body: "a" }, target: { filter: { tag: $v } } }) { __typename } }',
  'query ($v: UserRef) { deliveries(user: $v) { totalCount } }',
  'subscription ($v: UserRef) { deliveryEvents(user: $v) { __typename } }',
  'mutation ($v: [ID!]) { sendNotification(input: { content: { body: "a" }, target: { segments: $v } }) { __typename } }',
  'mutation ($v: ID!) { addToSegment(input: { segment: $v, users: [] }) { __typename } }',
  'mutation ($v: InstallationAddressInput) { registerInstallation(input: { platform: WEB, address: $v }) { __typename } }',
  'mutation ($v: SendNotificationInput!) { sendNotification(input: $v) { __typename } }',
  'mutation ($v: NotificationTargetInput!) { sendNotification(input: { content: { body: "a" }, target: $v }) { __typename } }',
  'mutation ($v: [ID!]) { sendNotification(input: { content: { body: "a" }, target: { installations: $v } }) { __typename } }',
  'mutation ($v: [UserRef!]!) { addToSegment(input: { segment: "a", users: $v }) { __typename } }',
  'mutation ($v: PersonalizeInput!) { personalize(input: $v) { __typename } }',
  'mutation ($v: [String!]) { personalize(input: { userIdentity: { emails: $v } }) { __typename } }',
  'mutation ($v: ID!) { reportDelivery(input: { delivery: $v, status: OPENED }) { __typename } }',
  'mutation ($v: MergeUsersInput!) { mergeUsers(input: $v) { __typename } }',
])('by its variable a person could be named: %s', (document) => {
  expect(variablesOf(document)).toEqual(['v']);
  const asked = { document, runBy: 'partner', pinnedVariables: {}, isScoped: false, isMutationGranted: true } as const;
  expect(() => checkOperation(schema, asked)).toThrow('By the variable $v whoever runs it could name any person');
});

test.each([
  'query ($v: ID!) { segment(id: $v) { name } }',
  'query ($v: ID!) { notification(id: $v) { id } }',
  'query ($v: ID!) { deliveries(notification: $v) { totalCount } }',
  'query ($v: String!) { previewSegment(filter: { tag: $v }) { count } }',
  'query ($v: ID!) { previewSegment(filter: { inSegment: $v }) { count } }',
  'query ($v: [String!]!) { previewSegment(filter: { country: $v }) { count } }',
  'query ($v: Int!) { users(first: $v) { totalCount } }',
  'query ($v: String!) { users(after: $v) { totalCount } }',
  'query ($v: Boolean!) { users { totalCount @include(if: $v) } }',
  'mutation ($v: NotificationContentInput!) { sendNotification(input: { content: $v, target: {} }) { __typename } }',
  'mutation ($v: ID!) { sendNotification(input: { template: $v, target: {} }) { __typename } }',
  'mutation ($v: ID!) { sendNotification(input: { content: { body: "a", variations: [{ segment: $v }] }, target: {} }) { __typename } }',
])('by its variable nobody could be named: %s', (document) => {
  expect(variablesOf(document)).toEqual([]);
});

test('a scope is no leave to name people in a mutation', () => {
  const document = 'mutation ($v: [UserRef!]!) { addToSegment(input: { segment: "a", users: $v }) { __typename } }';
  const asked = { document, runBy: 'partner', pinnedVariables: {}, isScoped: true, isMutationGranted: true } as const;
  expect(() => checkOperation(schema, asked)).toThrow('a scope limits what is read');
  expect(checkOperation(schema, { ...asked, pinnedVariables: { v: [] } })).toMatchObject({ name: 'addToSegment' });
});
