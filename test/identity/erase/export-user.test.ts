import { expect, test } from 'vitest';
import { fcmAddress, newEmail, newPhone } from '../../support/addresses.ts';
import { useApp } from '../../support/app.ts';
import { makeApiKey } from '../../support/keys.ts';
import { makeInstallation, makeNotification, personalize, settledDeliveries } from '../../support/operations.ts';
import { makeMerge, makePerson, mergeUsers, unmergeUsers } from '../../support/people.ts';
import { getRecipient, updateRecipient } from '../../support/recipients.ts';
import { localIdOf, makeSegment, toSend } from '../../support/send-operations.ts';

const g = useApp();

const document = 'query($user: UserRef!) { exportUser(user: $user) }';

test('an export is everything that is known of a person, of before a merge too (decision 10)', async () => {
  const [email, phone, address] = [newEmail(), newPhone(), fcmAddress()];
  const person = await makePerson(g, { emails: [email], phones: [phone] });
  await makeInstallation(g.app.as(person.token), { platform: 'ANDROID', address, deviceModel: 'a model' });
  await personalize(g.server, {
    installation: person.installation.pushRegistrationId,
    userIdentity: { externalUserId: person.externalUserId },
    userAttributes: { firstName: 'Ada', birthday: '1815-12-10', tags: ['promotions'] },
  });
  const merged = await makePerson(g);
  const notification = await makeNotification(g.server, toSend({ users: [{ id: merged.id }, { email }] }));
  const { deliveries } = await settledDeliveries(g.server, notification);
  await mergeUsers(g.server, { survivor: { id: person.id }, merged: { id: merged.id }, allowAlias: true });
  const { id: recipient } = await getRecipient(g.server, { id: person.id, channel: 'EMAIL' });
  await updateRecipient(g.server, { recipient, isSubscribed: false, language: 'en' });
  const segment = await makeSegment(g.server, [person.id]);

  const { body } = await g.server.send(document, { user: { id: merged.id } });
  const { exportUser: told } = Object(body.data);
  const [userId, mergedId] = [localIdOf(person.id), localIdOf(merged.id)];
  expect(told).toMatchObject({
    user: { id: userId, firstName: 'Ada', birthday: '1815-12-10', tags: ['promotions'], type: 'CUSTOMER' },
    identifiers: expect.arrayContaining([
      expect.objectContaining({ kind: 'EXTERNAL_USER_ID', value: person.externalUserId, isAlias: false }),
      expect.objectContaining({ kind: 'EXTERNAL_USER_ID', value: merged.externalUserId, isAlias: true }),
      expect.objectContaining({ kind: 'EMAIL', value: email }),
      expect.objectContaining({ kind: 'PHONE', value: phone }),
    ]),
    claims: [],
    recipients: expect.arrayContaining([
      expect.objectContaining({
        ...{ id: localIdOf(recipient), channel: 'EMAIL', address: email, language: 'en', isSubscribed: false },
        ...{ consentAt: expect.any(String), consentBy: expect.stringMatching(/^key:/) },
      }),
    ]),
    installations: expect.arrayContaining([
      expect.objectContaining({
        ...{
          id: person.installation.pushRegistrationId,
          deviceModel: 'a model',
          app: expect.objectContaining({ name: 'default' }),
        },
        address: { kind: 'fcm', ...address.fcm },
        tokens: [expect.anything(), expect.anything()],
      }),
    ]),
    segments: [{ id: localIdOf(segment) }],
    mergeRecords: expect.arrayContaining([expect.objectContaining({ survivorId: userId, mergedId })]),
    notifications: [{ id: localIdOf(notification), content: { body: 'Hello' } }],
  });
  expect(told.mergedUsers.map(({ id }: { id: string }) => id)).toContain(mergedId);
  expect(told.deliveries.map(({ id }: { id: string }) => id)).toEqual(
    deliveries.nodes.map(({ id }) => localIdOf(id)).sort(),
  );
  // What reaches nobody is discarded from its first event on.
  const firstEvents = told.deliveries.map(({ events }: { events: unknown[] }) => events[0]);
  expect(firstEvents).toContainEqual(expect.objectContaining({ status: 'QUEUED', at: expect.any(String) }));
  expect(told.renderedMessages.map((message: { address: string }) => message.address)).toContain(email);
});

test('an export tells no secret of a token, and of others nothing', async () => {
  const [person, other] = [await makePerson(g), await makePerson(g)];
  await mergeUsers(g.server, {
    survivor: { id: person.id },
    merged: { id: (await makePerson(g)).id },
    allowAlias: true,
  });
  const told = JSON.stringify((await g.server.send(document, { user: { id: person.id } })).body);
  for (const text of [person.token, other.externalUserId, localIdOf(other.id), 'secretHash', 'addressHash', 'Cipher']) {
    expect(told).not.toContain(text);
  }
});

test('of who was merged by mistake an export tells nothing once that is undone', async () => {
  const [person, stranger] = [await makePerson(g), await makePerson(g, { emails: [newEmail()] })];
  const mark = `mark-${crypto.randomUUID()}`;
  await personalize(g.server, {
    installation: stranger.installation.pushRegistrationId,
    userIdentity: { externalUserId: stranger.externalUserId },
    userAttributes: { firstName: mark },
  });
  const record = await makeMerge(g.server, { survivor: { id: person.id }, merged: { id: stranger.id } });
  await unmergeUsers(g.server, record);
  const told = JSON.stringify((await g.server.send(document, { user: { id: person.id } })).body);
  expect(told).toContain(localIdOf(record));
  for (const text of [mark, stranger.externalUserId]) expect(told).not.toContain(text);
});

test('an export is in the audit log once, by the id of who was exported; of nobody it is null and leaves no entry', async () => {
  const { id, secret } = await makeApiKey(g.server, { kind: 'SERVER', name: 'exports' });
  const person = await makePerson(g);
  const client = g.server.as(secret);
  await client.send(document, { user: { externalUserId: person.externalUserId } });
  expect((await client.send(document, { user: { externalUserId: crypto.randomUUID() } })).body.data).toEqual({
    exportUser: null,
  });
  const entries = await g.db.auditEntry.findMany({ where: { apiKeyId: localIdOf(id) } });
  expect(entries).toMatchObject([{ action: 'exportUser', subject: { userId: localIdOf(person.id) } }]);
});
