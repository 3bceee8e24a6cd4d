import { randomUUID } from 'node:crypto';
import { newEmail, newPhone } from './addresses.ts';
import type { FileApp } from './app.ts';
import { insertDeliveries, insertNotification } from './log-events.ts';
import { makePerson, mergeUsers } from './people.ts';
import type { GeneratedOperation } from './root-operations.ts';
import { localIdOf } from './send-operations.ts';
import { openSocket } from './socket.ts';

/** A person with something of every type that there is. */
export interface Owner {
  token: string;
  /** By each way in which a `UserRef` names the person. */
  references: Record<'id' | 'externalUserId' | 'email' | 'phone' | 'pushRegistrationId', string>;
  /** Global ids of what is the person's, or about the person, by type. */
  ids: Record<string, string>;
}

/** A global id of any type, also of one that there is not. */
export const toGlobalId = (type: string, id: string): string => Buffer.from(`${type}:${id}`).toString('base64');

/** Two people who have a notification, a segment, a topic and an app in common, and nothing else; `otherApp` is neither's. */
export async function makeOwners(g: FileApp): Promise<{ ann: Owner; bob: Owner; otherApp: string }> {
  const notificationId = await insertNotification(g.pool);
  const { id: segmentId } = await g.db.segment.create({ data: { id: randomUUID(), name: 'of both' } });
  const { id: templateId } = await g.db.template.create({ data: { id: randomUUID(), name: 'of both', content: {} } });
  const { id: labelId } = await g.db.label.create({
    data: { id: randomUUID(), name: 'of both', cases: [], defaultValue: '' },
  });
  const { id: topicId } = await g.db.topic.create({ data: { id: randomUUID(), name: 'of both' } });
  const otherApp = await g.db.app.create({ data: { id: randomUUID(), name: 'of neither' } });
  const webhook = await g.db.webhook.create({
    data: {
      ...{ id: randomUUID(), url: 'https://a.example/', secretCipher: Buffer.alloc(0), events: ['SENT'] },
      ...{ cursorEpoch: randomUUID(), cursorPosition: 0n, cursorTag: 0, disabledAt: new Date() },
    },
  });
  const common = {
    App: toGlobalId('App', (await g.db.app.findFirstOrThrow({ where: { name: 'default' } })).id),
    ApiKey: toGlobalId('ApiKey', (await g.db.apiKey.findFirstOrThrow()).id),
    Notification: toGlobalId('Notification', notificationId),
    Segment: toGlobalId('Segment', segmentId),
    Webhook: toGlobalId('Webhook', webhook.id),
    Template: toGlobalId('Template', templateId),
    Label: toGlobalId('Label', labelId),
    Topic: toGlobalId('Topic', topicId),
  };
  const make = async (): Promise<Owner> => {
    const { ids, ...owner } = await makeOwner(g, { notificationId, segmentId, topicId });
    return { ...owner, ids: { ...common, ...ids } };
  };
  return { ann: await make(), bob: await make(), otherApp: toGlobalId('App', otherApp.id) };
}

async function makeOwner(
  g: FileApp,
  { notificationId, segmentId, topicId }: { notificationId: string; segmentId: string; topicId: string },
): Promise<Owner> {
  const [email, phone] = [newEmail(), newPhone()];
  const { id, externalUserId, installation, token } = await makePerson(g, { emails: [email], phones: [phone] });
  const merged = await makePerson(g);
  await mergeUsers(g.server, { survivor: { id }, merged: { id: merged.id }, allowAlias: true });
  const userId = localIdOf(id);
  await g.db.segmentMember.create({ data: { segmentId, userId } });
  await g.db.topicPreference.create({
    data: { id: randomUUID(), userId, topicId, isSubscribed: true, saidAt: new Date(), saidBy: 'test' },
  });
  const [delivery = ''] = await insertDeliveries(g.pool, { notificationId, userId });
  const record = await g.db.mergeRecord.findFirstOrThrow({ where: { survivorId: userId } });
  const recipients = await g.db.recipient.findMany({ where: { userId } });
  const recipientOf = (channel: string) => recipients.find((recipient) => recipient.channel === channel)?.id ?? '';
  return {
    token,
    references: { id, externalUserId, email, phone, pushRegistrationId: installation.pushRegistrationId },
    ids: {
      User: id,
      Installation: installation.id,
      Delivery: toGlobalId('Delivery', delivery),
      MergeRecord: toGlobalId('MergeRecord', record.id),
      PushRecipient: toGlobalId('PushRecipient', recipientOf('PUSH')),
      EmailRecipient: toGlobalId('EmailRecipient', recipientOf('EMAIL')),
      SmsRecipient: toGlobalId('SmsRecipient', recipientOf('SMS')),
      InAppRecipient: toGlobalId('InAppRecipient', recipientOf('IN_APP')),
    },
  };
}

/**
 * What a caller is answered, as text, without what else the caller may still ask: over HTTP, or for a subscription the
 * first that comes over WebSocket.
 */
export async function answerTo(
  g: FileApp,
  secret: string | null,
  { query, variables }: GeneratedOperation,
): Promise<string> {
  if (!query.startsWith('subscription')) {
    return withoutThrottle(await g.server.as(secret).send(query, variables));
  }
  const socket = await openSocket(g.url);
  socket.send({ type: 'connection_init', payload: secret === null ? {} : { authorization: `Bearer ${secret}` } });
  await socket.next();
  socket.send({ id: '1', type: 'subscribe', payload: { query, variables } });
  const { payload } = await socket.next();
  socket.close();
  return withoutThrottle(payload);
}

const withoutThrottle = (told: unknown): string =>
  JSON.stringify(told, (key, value: unknown) => (key === 'throttle' ? undefined : value));
