import { parse, validate } from 'graphql';
import { expect, test } from 'vitest';
import { schema } from '../../src/graphql/schema.ts';
import { checkOperation } from '../../src/partners/check-operation.ts';

/** A partner's, that may change things. */
const check = (document: string, pinnedVariables = {}) => {
  expect(validate(schema, parse(document))).toEqual([]);
  return checkOperation(schema, {
    document,
    runBy: 'partner',
    pinnedVariables,
    isScoped: false,
    isMutationGranted: true,
  });
};

const send = (type: string, input: string) =>
  `mutation ($v: ${type}) { sendNotification(input: { target: { everyone: true }, ${input} }) { __typename } }`;

test.each([
  send('NotificationContentInput!', 'content: $v'),
  send('String!', 'content: { body: $v }'),
  send('String', 'content: { body: "a", image: $v }'),
  send('String', 'content: { body: "a", buttons: [{ label: "a", url: $v }] }'),
  send('[NotificationButtonInput!]', 'content: { body: "a", buttons: $v }'),
  send('NotificationButtonInput!', 'content: { body: "a", buttons: [$v] }'),
  send('JSONObject', 'content: { body: "a", data: $v }'),
  send('[NotificationVariationInput!]', 'content: { body: "a", variations: $v }'),
  send('String', 'content: { body: "a", variations: { language: "de", url: $v } }'),
  'mutation ($v: CreateTemplateInput!) { createTemplate(input: $v) { __typename } }',
  'mutation ($v: String!) { ...F } fragment F on Mutation { updateTemplate(input: { template: "a", content: { body: $v } }) { __typename } }',
])('a partner cannot write placeholders into a message by a variable, unless it is pinned: %s', (document) => {
  expect(() => check(document)).toThrow(/^By the variable \$v .+ written into a link: pin it/);
});

test('a variable that is pinned is the operator’s word', () => {
  expect(check(send('String!', 'content: { body: $v }'), { v: 'Hello' })).toMatchObject({ name: 'sendNotification' });
});

test.each([
  send('JSONObject', 'content: { body: "{{ data.text }}" }, data: $v'),
  send('ID', 'template: $v'),
  send('String', 'content: { body: "a", variations: { language: $v, body: "b" } }'),
  send('String', 'content: { body: "a" }, idempotencyKey: $v'),
])('values for a text of the operator’s are the partner’s: %s', (document) => {
  expect(check(document)).toMatchObject({ name: 'sendNotification' });
});
