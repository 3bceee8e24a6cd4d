import { afterEach, beforeEach, expect, test } from 'vitest';
import { sql } from '../../src/storage/database.ts';
import { graphql } from '../generated/gql.ts';
import { newPhone } from '../support/addresses.ts';
import { setAttributes } from '../support/content-operations.ts';
import { type FakeInfobip, startFakeInfobip } from '../support/fakes/fake-infobip.ts';
import { useGatewayAndWorker } from '../support/gateway-and-worker.ts';
import { makeNotification, settledDeliveries } from '../support/operations.ts';
import { localIdOf, makePerson, toSend } from '../support/send-operations.ts';

const g = useGatewayAndWorker();
let infobip: FakeInfobip;

beforeEach(async () => {
  infobip = await startFakeInfobip();
});
afterEach(() => infobip.close());

const ExplainPoisoned = graphql(`
  query ExplainPoisoned($delivery: ID!) {
    explainDelivery(delivery: $delivery) {
      delivery { status reason user { id } }
      origins { code }
      steps { code text providerCode }
      next { code }
    }
  }
`);

const makeSmsPerson = (phoneCount: number) =>
  makePerson(g.server, { phones: Array.from({ length: phoneCount }, () => newPhone()) });

/** The one delivery that was not sent, as `explainDelivery` tells of it. */
async function explainUnsent(notification: string) {
  const { rows } = await g.pool.query<{ id: string }>(sql`
    select id from deliveries where notification_id = ${localIdOf(notification)}::uuid and status <> 'SENT'`);
  expect(rows).toHaveLength(1);
  return (await g.server.run(ExplainPoisoned, { delivery: rows[0]?.id ?? '' })).explainDelivery;
}

test('one in 1,000 whose content comes to no end does not stop the 999, and says why it was not sent', async () => {
  const healthy = await Promise.all([99, ...Array<number>(9).fill(100)].map(makeSmsPerson));
  const poisoned = await makeSmsPerson(1);
  await setAttributes(g.server, poisoned.id, { firstName: '999999999' });
  const notification = await makeNotification(
    g.server,
    toSend(
      { users: [...healthy.slice(0, 5), poisoned, ...healthy.slice(5)].map(({ id }) => ({ id })) },
      { channels: ['SMS'], content: { body: 'Hello{% for i in (1..user.firstName) %}!{% endfor %}' } },
    ),
  );
  await g.startWorker({ infobip: { baseUrl: infobip.baseUrl, apiKey: infobip.apiKey, from: 'Carillon' } });
  const { progress } = await settledDeliveries(g.server, notification);
  expect(progress).toMatchObject({ total: 1_000, sent: 999, failed: 1 });
  expect(infobip.messages).toHaveLength(999);
  expect(await explainUnsent(notification)).toEqual({
    delivery: { status: 'FAILED', reason: 'RENDER_FAILED', user: { id: poisoned.id } },
    origins: [{ code: 'NAMED_USER' }],
    steps: expect.arrayContaining([
      expect.objectContaining({
        code: 'FAILED',
        providerCode: 'TEMPLATE_LIMIT',
        text: expect.stringContaining('could not be made'),
      }),
    ]),
    next: null,
  });
});

test('one in 1,000 whose push key cannot be decrypted does not stop the 999, and says why it was not sent', async () => {
  const people = await Promise.all(Array<number>(10).fill(99).map(makeSmsPerson));
  const poisoned = people[5];
  const where = { id: poisoned?.installation.pushRegistrationId ?? '' };
  await g.db.installation.update({ where, data: { addressCipher: Buffer.alloc(64) } });
  const notification = await makeNotification(
    g.server,
    toSend({ users: people.map(({ id }) => ({ id })) }, { channels: ['SMS', 'PUSH'] }),
  );
  await g.startWorker({ infobip: { baseUrl: infobip.baseUrl, apiKey: infobip.apiKey, from: 'Carillon' } });
  const { progress } = await settledDeliveries(g.server, notification);
  expect(progress).toMatchObject({ total: 1_000, sent: 999, failed: 1 });
  expect(infobip.messages).toHaveLength(990);
  expect(await explainUnsent(notification)).toEqual({
    delivery: { status: 'FAILED', reason: 'RENDER_FAILED', user: { id: poisoned?.id } },
    origins: [{ code: 'NAMED_USER' }],
    steps: expect.arrayContaining([expect.objectContaining({ code: 'FAILED', providerCode: 'ADDRESS_UNREADABLE' })]),
    next: null,
  });
});
