import { expect, test } from 'vitest';
import { fcmAddress } from '../support/addresses.ts';
import { testKeys, useApp } from '../support/app.ts';
import { makeInstallation, makeNotification } from '../support/operations.ts';
import { parseAnswer } from '../support/request.ts';

const g = useApp();

/** The answer to an operation as a stream of events: the type and the data of each. */
async function* follow(query: string, signal?: AbortSignal) {
  const response = await fetch(`${g.url}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'text/event-stream',
      authorization: `Bearer ${testKeys.serverKey}`,
    },
    body: JSON.stringify({ query }),
    ...(signal && { signal }),
  });
  expect(response.headers.get('content-type')).toContain('text/event-stream');
  let rest = '';
  for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    const blocks = `${rest}${chunk}`.split('\n\n');
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const [, event, data = ''] = /^event: (.*)\ndata:(.*)$/.exec(block) ?? [];
      // The rest are pings.
      if (event) yield { event, answer: event === 'next' ? parseAnswer(data) : null };
    }
  }
}

test('a subscription over SSE streams what happens, until the client goes', async () => {
  const leaving = new AbortController();
  const { pushRegistrationId } = await makeInstallation(g.app, { address: fcmAddress() });
  const query = `subscription { deliveryEvents { __typename ... on DeliveryEvent { status } ... on StreamPosition { state } } }`;
  const stream = follow(query, leaving.signal);

  const live = await stream.next();
  await makeNotification(g.server, { content: { body: 'a' }, target: { installations: [pushRegistrationId] } });
  const events = [await stream.next(), await stream.next()];
  leaving.abort();

  expect(live.value?.answer?.data).toEqual({ deliveryEvents: { __typename: 'StreamPosition', state: 'LIVE' } });
  expect(events.map(({ value }) => value?.answer?.data)).toEqual([
    { deliveryEvents: { __typename: 'DeliveryEvent', status: 'QUEUED' } },
    { deliveryEvents: { __typename: 'DeliveryEvent', status: 'SENT' } },
  ]);
  await expect(stream.next()).rejects.toThrow(/abort/i);
});

test.each([
  ['malformed', 'subscription {'],
  ['unknown', 'subscription { nothing }'],
  ['with a bad cursor', 'subscription { deliveryEvents(after: "garbage") { __typename } }'],
  ['of a notification that is none', 'subscription { notificationProgress(notification: "garbage") { total } }'],
  ['20,000 braces', `subscription ${'{ a'.repeat(20_000)}${' }'.repeat(20_000)}`],
])('a subscription over SSE that is %s gets its typed error as an event, and ends', async (_, query) => {
  const events = [];
  for await (const event of follow(query)) events.push(event);
  expect(events).toMatchObject([
    { event: 'next', answer: { errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] } },
    { event: 'complete' },
  ]);
});
