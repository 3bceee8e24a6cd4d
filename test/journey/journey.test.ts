import { randomBytes, randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { graphql } from '../generated/gql.ts';
import { testKeys } from '../support/app.ts';
import { type Client, createClient } from '../support/client.ts';
import { createTestDatabase } from '../support/database.ts';
import { type FakeInfobip, startFakeInfobip } from '../support/fakes/fake-infobip.ts';
import { type FakePushService, startFakePushService } from '../support/fakes/fake-push-service.ts';
import { type FakeSmtp, startFakeSmtp } from '../support/fakes/fake-smtp.ts';
import { makeInstallation, makeNotification, makeUser } from '../support/operations.ts';
import { startProgram, startWorker } from '../support/program.ts';
import { redisUrl } from '../support/redis.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

// The main job, end to end, against the started program: what a browser, a back end and a dashboard do.

const AppKey = graphql(`query WebPushKey { app { webPushPublicKey } }`);

const Report = graphql(`
  mutation Report($delivery: ID!, $receiptToken: String) {
    reportDelivery(input: { delivery: $delivery, status: DELIVERED, receiptToken: $receiptToken }) {
      __typename
      ... on Error { code message }
      ... on ReportDeliveryPayload { delivery { status } }
    }
  }
`);

const Follow = graphql(`
  subscription Follow($notification: ID!, $after: String) {
    deliveryEvents(notification: $notification, after: $after) {
      __typename
      ... on DeliveryEvent { cursor status delivery { id channel } }
      ... on StreamPosition { cursor state }
    }
  }
`);

const ChannelsOf = graphql(`
  query ChannelsOf($notification: ID!) {
    notification(id: $notification) { deliveries { nodes { id channel status } } }
  }
`);

interface World {
  url: string;
  push: FakePushService;
  smtp: FakeSmtp;
  infobip: FakeInfobip;
}

/** What happens to the three deliveries, from the registration of a browser to the last receipt. */
async function takeJourney({ url, push, smtp, infobip }: World): Promise<void> {
  const server = createClient(url, testKeys.serverKey);
  const browser = createClient(url, testKeys.appKey);

  const { app } = await browser.run(AppKey);
  const subscription = push.subscribe(app.webPushPublicKey);
  const installation = await makeInstallation(browser, { platform: 'WEB', address: { webPush: subscription } });
  expect(installation).toMatchObject({ pushStatus: 'ALLOWED', user: { type: 'LEAD' } });

  const customer = randomUUID();
  const user = await makeUser(server, {
    installation: installation.pushRegistrationId,
    userIdentity: { externalUserId: customer, emails: [`${customer}@example.com`], phones: ['38516419710'] },
    userAttributes: { firstName: 'Ada' },
  });
  expect(user).toMatchObject({ type: 'CUSTOMER', externalUserId: customer });

  const notification = await makeNotification(server, {
    content: {
      title: 'Your parcel',
      body: 'It arrives today.',
      url: 'https://example.com/parcel',
      data: { parcel: 7 },
    },
    target: { users: [{ externalUserId: customer }] },
    channels: ['PUSH', 'EMAIL', 'SMS'],
  });
  const events = server.subscribe(Follow, { notification, after: '' });

  const [pushed] = await push.received(1);
  expect(pushed).toMatchObject({ endpoint: subscription.endpoint });
  const payload = toPayload(pushed?.payload);
  expect(payload).toMatchObject({ title: 'Your parcel', body: 'It arrives today.', data: { parcel: 7 } });
  const [mail] = await smtp.received(1);
  expect(mail).toMatchObject({ to: [`${customer}@example.com`], subject: 'Your parcel' });
  expect(mail?.text).toContain('It arrives today.');
  const [sms] = await infobip.received(1);
  expect(sms).toMatchObject({ to: '38516419710' });
  expect(sms?.text).toContain('It arrives today.');

  // The browser reports by the token in its push; the other two by the back end, as a provider's webhook would.
  await report(createClient(url, null), payload.deliveryId, payload.receiptToken);
  for (const delivery of await deliveriesExcept(server, notification, 'PUSH')) await report(server, delivery);

  // QUEUED, SENT and DELIVERED of three deliveries, and the word that the past is told.
  const items = (await events.take(10)).map((item) => item.deliveryEvents);
  await events.close();
  const told = items.filter((item) => item.__typename === 'DeliveryEvent');
  expect(items.filter((item) => item.__typename === 'StreamPosition').map((item) => item.state)).toEqual(['RECOVERED']);
  for (const channel of ['PUSH', 'EMAIL', 'SMS']) {
    const statuses = told.filter((item) => item.delivery.channel === channel).map((item) => item.status);
    expect(statuses, channel).toEqual(['QUEUED', 'SENT', 'DELIVERED']);
  }
  await expectReplays(server, notification, told);
}

/** Coming back with any cursor repeats nothing of what came up to it, and misses nothing of what came after. */
async function expectReplays(server: Client, notification: string, told: readonly { cursor: string }[]): Promise<void> {
  for (const [index, { cursor }] of told.entries()) {
    const again = server.subscribe(Follow, { notification, after: cursor });
    const items = await again.take(told.length - index);
    await again.close();
    expect(items.map((item) => item.deliveryEvents.__typename).at(-1)).toBe('StreamPosition');
    expect(items.slice(0, -1).map((item) => item.deliveryEvents.cursor)).toEqual(
      told.slice(index + 1).map((item) => item.cursor),
    );
  }
}

async function report(client: Client, delivery: string, receiptToken: string | null = null): Promise<void> {
  const { reportDelivery } = await client.run(Report, { delivery, receiptToken });
  expect(reportDelivery).toEqual({ __typename: 'ReportDeliveryPayload', delivery: { status: 'DELIVERED' } });
}

/** Ids of the deliveries of the other channels, once they are sent. */
async function deliveriesExcept(server: Client, notification: string, channel: string): Promise<string[]> {
  for (;;) {
    const { notification: found } = await server.run(ChannelsOf, { notification });
    const others = found?.deliveries.nodes.filter((delivery) => delivery.channel !== channel) ?? [];
    if (others.length === 2 && others.every((delivery) => delivery.status === 'SENT'))
      return others.map(({ id }) => id);
  }
}

function toPayload(payload: unknown): { deliveryId: string; receiptToken: string } {
  const isPayload =
    typeof payload === 'object' && payload !== null && 'deliveryId' in payload && 'receiptToken' in payload;
  if (!isPayload) throw new Error('The push holds no delivery.');
  return { ...payload, deliveryId: String(payload.deliveryId), receiptToken: String(payload.receiptToken) };
}

/** The three providers, and the settings by which the program finds them. */
async function openWorld() {
  const [push, smtp, infobip] = await Promise.all([startFakePushService(), startFakeSmtp(), startFakeInfobip()]);
  const settings = {
    SERVER_KEY: testKeys.serverKey,
    APP_KEY: testKeys.appKey,
    SMTP_URL: smtp.url,
    MAIL_FROM: 'Carillon <carillon@example.com>',
    SMS_PROVIDER: 'infobip',
    SMS_BASE_URL: infobip.baseUrl,
    SMS_FROM: 'Carillon',
    INFOBIP_API_KEY: infobip.apiKey,
    ALLOW_PRIVATE_ENDPOINTS: '1',
  };
  return {
    ...{ push, smtp, infobip, settings },
    async [Symbol.asyncDispose]() {
      await Promise.all([push.close(), smtp.close(), infobip.close()]);
    },
  };
}

const redis = await redisUrl();

describe('a browser registers, its person is named, and a notification reaches it on three channels', () => {
  test('with one process on its embedded database', async () => {
    await using world = await openWorld();
    const directory = await makeTemporaryDirectory();
    await using program = await startProgram({ ...world.settings, DATA_DIR: directory.path });
    await takeJourney({ ...world, url: program.url });
    expect(await program.stop()).toMatchObject({ exitCode: 0 });
    await directory.remove();
  });

  test.skipIf(redis === null)('with a gateway and a worker that share PostgreSQL and Redis', async () => {
    await using world = await openWorld();
    const database = await createTestDatabase();
    const settings = {
      ...world.settings,
      DATABASE_URL: database.url,
      REDIS_URL: redis ?? '',
      DATA_ENCRYPTION_KEY: randomBytes(32).toString('base64'),
    };
    await using gateway = await startProgram({ ...settings, ROLE: 'gateway' });
    await using worker = await startWorker(settings);
    await takeJourney({ ...world, url: gateway.url });
    expect(await worker.stop()).toMatchObject({ exitCode: 0 });
    expect(await gateway.stop()).toMatchObject({ exitCode: 0 });
    await database.drop();
  });
});
