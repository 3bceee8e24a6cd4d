import { Webhook } from 'standardwebhooks';
import { openReceiptSecrets } from '../../src/receipts/receipt-secrets.ts';
import type { ReceiptChannel } from '../../src/receipts/told.ts';
import { createCipher } from '../../src/storage/cipher.ts';
import { graphql } from '../generated/gql.ts';
import { newEmail, newPhone } from './addresses.ts';
import type { FileApp } from './app.ts';
import { makeNotification, settledDeliveries } from './operations.ts';
import { localIdOf, makePerson, toSend } from './send-operations.ts';

/** Settings of a program to which providers bring receipts. */
export const receiptSettings = {
  dataEncryptionKey: Buffer.alloc(32, 9),
  publicUrl: 'https://carillon.example.com',
  callbackUrl: 'https://carillon.example.com',
  twilioAuthToken: 'twilio-auth-token-of-the-tests',
} as const;

type Sender = Pick<FileApp, 'server'>;

/** A message that was sent and of which nothing more is known, with whom it went to. `id` is the database's. */
export async function makeSent(g: Sender, channel: 'EMAIL' | 'SMS') {
  const [email, phone] = [newEmail(), newPhone()];
  const person = await makePerson(g.server, { emails: [email], phones: [phone] });
  const notification = await makeNotification(
    g.server,
    toSend({ users: [{ id: person.id }] }, { channels: [channel], purpose: 'MARKETING' }),
  );
  const [delivery] = (await settledDeliveries(g.server, notification)).deliveries.nodes;
  if (delivery?.status !== 'SENT' || !delivery.recipient) throw new Error('The message was not sent.');
  const { recipient } = delivery;
  return {
    person,
    email,
    phone,
    notification,
    delivery: delivery.id,
    id: localIdOf(delivery.id),
    recipient: recipient.id,
  };
}

const Story = graphql(`
  query StoryOfDelivery($id: ID!) {
    delivery(id: $id) { status reason providerCode updatedAt events { status reason at } recipient { isSubscribed isReachable retiredAt consentBy } }
  }
`);

/** What has become of a delivery: its global id, or the answer of `makeSent`. */
export async function storyOf(g: Sender, { delivery: id }: { delivery: string }) {
  const { delivery } = await g.server.run(Story, { id });
  if (!delivery) throw new Error('There is no such delivery.');
  return { ...delivery, story: delivery.events.map(({ status }) => status) };
}

/** The secret that a provider of this channel was given. */
export async function receiptSecretOf({ db }: Pick<FileApp, 'db'>, channel: ReceiptChannel): Promise<string> {
  const cipher = createCipher(receiptSettings.dataEncryptionKey);
  return (await openReceiptSecrets({ db, cipher }))(channel);
}

interface Posted {
  body: string | Buffer;
  headers?: Record<string, string>;
  /** @default '' */
  query?: string;
}

/** Posts to `/receipts/<channel>` and answers the status. */
export async function postReceipt(
  g: Pick<FileApp, 'url'>,
  channel: string,
  { body, headers = {}, query = '' }: Posted,
) {
  const response = await fetch(`${g.url}/receipts/${channel}${query}`, {
    method: 'POST',
    body: new Uint8Array(Buffer.from(body)),
    headers,
  });
  await response.arrayBuffer();
  return response.status;
}

export const basic = (secret: string) => `Basic ${Buffer.from(`carillon:${secret}`).toString('base64')}`;

/** As Infobip does, with a profile of type BASIC. */
export async function postInfobip(g: FileApp, results: object[], channel: 'sms' | 'whatsapp' = 'sms') {
  const authorization = basic(await receiptSecretOf(g, channel));
  return postReceipt(g, channel, {
    body: JSON.stringify({ results }),
    headers: { 'content-type': 'application/json', authorization },
  });
}

/** A delivery report in the form of Infobip's documentation. */
export const infobipReport = (
  messageId: string,
  status: { groupName: string; name: string; description?: string },
  error: { name: string; permanent?: boolean } = { name: 'NO_ERROR' },
) => ({
  bulkId: 'BULK-ID-123-xyz',
  messageId,
  to: '41793026727',
  sentAt: '2019-11-09T16:00:00.000+0000',
  doneAt: '2019-11-09T16:00:00.000+0000',
  smsCount: 1,
  price: { pricePerMessage: 0.01, currency: 'EUR' },
  status: { groupId: 3, id: 5, description: 'a', ...status },
  error: { groupId: 0, groupName: 'Ok', id: 0, description: 'a', permanent: false, ...error },
});

/** The headers of Standard Webhooks, made by its own library. */
export function signedHeaders(secret: string, body: string, { at = new Date() } = {}) {
  const id = `msg_${crypto.randomUUID()}`;
  return {
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(at.getTime() / 1_000)),
    'webhook-signature': new Webhook(secret).sign(id, at, body),
  };
}

/** Posts receipts for e-mail in their JSON form, signed. */
export async function postEmailReceipts(g: FileApp, receipts: object[]) {
  const body = JSON.stringify({ receipts });
  const headers = signedHeaders(await receiptSecretOf(g, 'email'), body);
  return postReceipt(g, 'email', { body, headers: { 'content-type': 'application/json', ...headers } });
}
