import { expect, test } from 'vitest';
import { useApp } from '../support/app.ts';

const g = useApp({ role: 'gateway' });

const mutation = (field: string, input: string) => `mutation { ${field}(input: ${input}) { __typename } }`;

// An id that may be left out is not left out by an empty text, as a caller has it whose own variable was empty.
test.each([
  mutation('sendNotification', '{ content: { body: "Hi" }, target: { topic: "" } }'),
  mutation('sendNotification', '{ content: { body: "Hi" }, target: { everyone: true }, topic: "" }'),
  mutation('sendNotification', '{ content: { body: "Hi" }, template: "", target: { everyone: true } }'),
  mutation('replayDeliveries', '{ notification: "" }'),
  mutation('createWebhook', '{ url: "https://example.com", events: [SENT], app: "" }'),
  mutation('createApiKey', '{ kind: APP, name: "Key", app: "" }'),
  '{ deliveries(notification: "") { nodes { status } } }',
  '{ outboxMessages(notification: "") { nodes { channel } } }',
  '{ previewAudience(target: { everyone: true }, topic: "") { total } }',
  '{ auditLog(apiKey: "") { nodes { action } } }',
  '{ app(id: "") { name } }',
])('an id that is an empty text is no id, and is not taken for none: %s', async (document) => {
  const { body } = await g.server.send(document);
  const [error] = body.errors ?? [];
  const typename = /"__typename":"(\w+)"/.exec(JSON.stringify(body.data))?.[1];
  expect(error?.extensions.code ?? typename).toMatch(/^(BAD_USER_INPUT|NotFoundError|ValueInvalidError)$/);
});
