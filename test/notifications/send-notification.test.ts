import { describe, expect, test } from 'vitest';
import { fcmAddress, newEmail, newPhone } from '../support/addresses.ts';
import { useApp } from '../support/app.ts';
import {
  depersonalize,
  makeInstallation,
  makeNotification,
  registerInstallation,
  sendNotification,
  settledDeliveries,
} from '../support/operations.ts';
import { makePerson, makeSegment, toSend } from '../support/send-operations.ts';

const g = useApp();

/** Sends, and answers each delivery once nothing is left to send: `<channel> <status> <reason>`, sorted. */
async function fatesOf(...send: Parameters<typeof toSend>): Promise<string[]> {
  const { deliveries } = await settledDeliveries(g.server, await makeNotification(g.server, toSend(...send)));
  return deliveries.nodes.map(({ channel, status, reason }) => [channel, status, reason].join(' ').trim()).sort();
}

describe('a target', () => {
  test('of a user is every address that the user has', async () => {
    const user = await makePerson(g.server, { emails: [newEmail(), newEmail()], phones: [newPhone()] });
    expect(await fatesOf({ users: [{ id: user.id }] })).toEqual([
      'EMAIL SENT',
      'EMAIL SENT',
      'IN_APP SENT',
      'PUSH SENT',
      'SMS SENT',
    ]);
  });

  test('of an installation is that installation only', async () => {
    const user = await makePerson(g.server, { emails: [newEmail()] });
    const notification = await makeNotification(
      g.server,
      toSend({ installations: [user.installation.pushRegistrationId] }),
    );
    const { deliveries } = await settledDeliveries(g.server, notification);
    expect(deliveries.nodes).toMatchObject([{ channel: 'PUSH', status: 'SENT', user: { id: user.id } }]);
  });

  test('of segments is everybody in any of them', async () => {
    const [first, second, outsider] = [
      await makePerson(g.server),
      await makePerson(g.server),
      await makePerson(g.server),
    ];
    const segments = [await makeSegment(g.server, [first.id]), await makeSegment(g.server, [first.id, second.id])];
    const notification = await makeNotification(g.server, toSend({ segments }, { channels: ['PUSH'] }));
    const { deliveries } = await settledDeliveries(g.server, notification);
    expect(deliveries.nodes.map(({ user }) => user?.id).sort()).toEqual([first.id, second.id].sort());
    expect(outsider.id).not.toBe(first.id);
  });

  test('that names one person in every way reaches each address once', async () => {
    const email = newEmail();
    const user = await makePerson(g.server, { emails: [email] });
    const { pushRegistrationId } = user.installation;
    const segments = [await makeSegment(g.server, [user.id])];
    const target = {
      users: [{ id: user.id }, { email }, { externalUserId: user.externalUserId ?? '' }, { pushRegistrationId }],
      installations: [pushRegistrationId, user.installation.id, pushRegistrationId.toUpperCase()],
      segments: [...segments, ...segments],
    };
    expect(await fatesOf(target)).toEqual(['EMAIL SENT', 'IN_APP SENT', 'PUSH SENT']);
  });

  test('may be named by any id of a UUID’s form, also one that no standard makes', async () => {
    const pushRegistrationId = `${crypto.randomUUID().slice(0, 24)}beefdeadbeef`.replace(/-4...-....-/, '-dead-beef-');
    const id = '11111111-1111-1111-1111-111111111111';
    await makeInstallation(g.server, { pushRegistrationId, platform: 'ANDROID', address: fcmAddress() });
    const content = { body: '{{ user.type }}' };
    expect(await fatesOf({ installations: [pushRegistrationId] }, { content })).toEqual(['PUSH SENT']);
    expect(await fatesOf({ users: [{ pushRegistrationId }] }, { content, channels: ['PUSH'] })).toEqual(['PUSH SENT']);
    expect(await fatesOf({ users: [{ id }, { pushRegistrationId: id }] })).toEqual([
      'DISCARDED UNKNOWN_USER',
      'DISCARDED UNKNOWN_USER',
    ]);
    expect(await fatesOf({ installations: [id] })).toEqual(['PUSH DISCARDED NO_ADDRESS']);
  });

  test('of a user that nobody knows is one delivery that says so, however often the user is named (rule M2)', async () => {
    const externalUserId = crypto.randomUUID();
    const notification = await makeNotification(g.server, toSend({ users: [{ externalUserId }, { externalUserId }] }));
    const { deliveries } = await settledDeliveries(g.server, notification);
    expect(deliveries.nodes).toMatchObject([
      {
        channel: null,
        status: 'DISCARDED',
        reason: 'UNKNOWN_USER',
        user: null,
        recipient: null,
        events: [{ status: 'DISCARDED' }],
      },
    ]);
  });

  test('of an installation that is not registered is one delivery that says so', async () => {
    expect(await fatesOf({ installations: [crypto.randomUUID()] })).toEqual(['PUSH DISCARDED NO_ADDRESS']);
  });

  test('of a segment without members is nobody, and done', async () => {
    expect(await fatesOf({ segments: [await makeSegment(g.server, [])] })).toEqual([]);
  });
});

describe('channels', () => {
  test('that are asked for are used, and no others', async () => {
    const user = await makePerson(g.server, { emails: [newEmail()], phones: [newPhone()] });
    expect(await fatesOf({ users: [{ id: user.id }] }, { channels: ['SMS', 'PUSH', 'SMS'] })).toEqual([
      'PUSH SENT',
      'SMS SENT',
    ]);
  });

  test('that are asked for and have no address are told of', async () => {
    const user = await makePerson(g.server);
    expect(await fatesOf({ users: [{ id: user.id }] }, { channels: ['SMS', 'EMAIL', 'PUSH'] })).toEqual([
      'EMAIL DISCARDED NO_ADDRESS',
      'PUSH SENT',
      'SMS DISCARDED NO_ADDRESS',
    ]);
  });

  test('of an empty list are refused', async () => {
    const user = await makePerson(g.server);
    expect(await sendNotification(g.server, toSend({ users: [{ id: user.id }] }, { channels: [] }))).toMatchObject({
      code: 'VALUE_INVALID',
      path: ['channels'],
    });
  });
});

describe('what is not sent says why', () => {
  async function pushFate(prepare: (pushRegistrationId: string, userId: string) => Promise<unknown>, rest = {}) {
    const user = await makePerson(g.server);
    await prepare(user.installation.pushRegistrationId, user.id);
    return fatesOf({ users: [{ id: user.id }] }, { channels: ['PUSH'], ...rest });
  }
  const setInstallation = (data: object) => (id: string) => g.db.installation.update({ where: { id }, data });

  test('PUSH_DISABLED: push is switched off for the installation', async () => {
    expect(await pushFate(setInstallation({ isPushRegistrationEnabled: false }))).toEqual([
      'PUSH DISCARDED PUSH_DISABLED',
    ]);
  });

  test('PERMISSION_ASK: nobody was asked yet', async () => {
    expect(await pushFate(setInstallation({ pushStatus: 'ASK' }))).toEqual(['PUSH DISCARDED PERMISSION_ASK']);
  });

  test('PERMISSION_BLOCKED: the person refused', async () => {
    expect(await pushFate(setInstallation({ pushStatus: 'BLOCKED' }))).toEqual(['PUSH DISCARDED PERMISSION_BLOCKED']);
  });

  test('NO_ADDRESS: the device cannot receive pushes', async () => {
    expect(await pushFate(setInstallation({ pushStatus: 'UNSUPPORTED' }))).toEqual(['PUSH DISCARDED NO_ADDRESS']);
  });

  test('NOT_PRIMARY: only primary devices were meant', async () => {
    expect(await pushFate(async () => undefined, { targetOnlyPrimaryDevices: true })).toEqual([
      'PUSH DISCARDED NOT_PRIMARY',
    ]);
    expect(await pushFate(setInstallation({ isPrimaryDevice: true }), { targetOnlyPrimaryDevices: true })).toEqual([
      'PUSH SENT',
    ]);
  });

  test('NOT_PRIMARY: also for an installation that is named itself', async () => {
    const user = await makePerson(g.server);
    const target = { installations: [user.installation.pushRegistrationId] };
    expect(await fatesOf(target, { targetOnlyPrimaryDevices: true })).toEqual(['PUSH DISCARDED NOT_PRIMARY']);
  });

  test('primary devices matter to pushes only', async () => {
    const user = await makePerson(g.server, { emails: [newEmail()] });
    const rest = { targetOnlyPrimaryDevices: true, channels: ['EMAIL' as const] };
    expect(await fatesOf({ users: [{ id: user.id }] }, rest)).toEqual(['EMAIL SENT']);
  });

  test('OPTED_OUT: the address does not want any, transactional or not', async () => {
    const email = newEmail();
    const user = await makePerson(g.server, { emails: [email] });
    await g.db.recipient.updateMany({ where: { address: email }, data: { isSubscribed: false } });
    const rest = { channels: ['EMAIL' as const], purpose: 'TRANSACTIONAL' as const };
    expect(await fatesOf({ users: [{ id: user.id }] }, rest)).toEqual(['EMAIL DISCARDED OPTED_OUT']);
  });

  test('ADDRESS_GONE: another installation took the address over', async () => {
    const address = fcmAddress();
    const first = await makeInstallation(g.server, { platform: 'ANDROID', address });
    await registerInstallation(g.server, { platform: 'ANDROID', address });
    expect(await fatesOf({ installations: [first.pushRegistrationId] })).toEqual(['PUSH DISCARDED ADDRESS_GONE']);
  });

  test('a person is not reached at an installation that was depersonalized before the send', async () => {
    const user = await makePerson(g.server);
    await depersonalize(g.server, user.installation.pushRegistrationId);
    expect(await fatesOf({ users: [{ id: user.id }] }, { channels: ['PUSH'] })).toEqual(['PUSH DISCARDED NO_ADDRESS']);
  });
});

describe('a send is refused, and nothing is written,', () => {
  async function refusalOf(...send: Parameters<typeof toSend>) {
    const before = await g.db.notification.count();
    const refusal = await sendNotification(g.server, toSend(...send));
    expect(await g.db.notification.count()).toBe(before);
    return refusal;
  }
  const someone = { users: [{ externalUserId: 'someone' }] };
  const tooLarge = { content: { body: 'x'.repeat(65_536) } };
  const unknownId = crypto.randomUUID();

  test.each([
    ['that names nobody', 'TARGET_EMPTY', ['target'], {}, {}],
    ['that names nobody in lists', 'TARGET_EMPTY', ['target'], { users: [], installations: [], segments: [] }, {}],
    ['with a time to live under 30 seconds', 'VALUE_INVALID', ['ttlSeconds'], someone, { ttlSeconds: 29 }],
    ['with a time to live over 72 hours', 'VALUE_INVALID', ['ttlSeconds'], someone, { ttlSeconds: 259_201 }],
    ['without a text', 'VALUE_INVALID', ['content', 'body'], someone, { content: { body: ' \n' } }],
    [
      'by a WhatsApp template without a name',
      'VALUE_INVALID',
      ['content', 'data', 'whatsApp', 'template'],
      someone,
      { content: { body: 'Hello', data: { whatsApp: { parameters: ['Ada'] } } } },
    ],
    [
      'with a link that is no web page',
      'VALUE_INVALID',
      ['content', 'url'],
      someone,
      { content: { body: 'x', url: 'javascript:x' } },
    ],
    ['with more than 64 KiB of content', 'LIMIT_EXCEEDED', ['content'], someone, tooLarge],
    [
      'to more than 1,000 users and installations',
      'LIMIT_EXCEEDED',
      ['target'],
      { users: Array(1_000).fill({ externalUserId: 'x' }), installations: [unknownId] },
      {},
    ],
    ['to more than 100 segments', 'LIMIT_EXCEEDED', ['target'], { segments: Array(101).fill(unknownId) }, {}],
    ['to a segment that does not exist', 'NOT_FOUND', ['target', 'segments', '0'], { segments: [unknownId] }, {}],
    [
      'to what is no e-mail address',
      'EMAIL_INVALID',
      ['target', 'users', '1', 'email'],
      { users: [{ externalUserId: 'x' }, { email: 'x' }] },
      {},
    ],
    [
      'to what is no phone number',
      'PHONE_INVALID',
      ['target', 'users', '0', 'phone'],
      { users: [{ phone: '12' }] },
      {},
    ],
    ['to what is no id', 'NOT_FOUND', ['target', 'installations', '0'], { installations: ['x'] }, {}],
  ])('%s: %s', async (_, code, path, target, rest) => {
    expect(await refusalOf(target, rest)).toMatchObject({ code, path });
  });

  test('by anybody without a server key', async () => {
    for (const client of [g.app, g.nobody, g.app.as((await makeInstallation(g.app)).token)]) {
      const { body } = await client.send(
        'mutation { sendNotification(input: { content: { body: "x" }, target: {} }) { __typename } }',
      );
      expect(body.errors?.[0]?.extensions.code).toMatch(/FORBIDDEN|UNAUTHENTICATED/);
    }
  });
});

describe('an idempotency key', () => {
  test('makes one notification of a call and its repeats, also when they come at once', async () => {
    const send = toSend({ users: [{ externalUserId: 'x' }] }, { idempotencyKey: crypto.randomUUID() });
    const ids = await Promise.all(Array.from({ length: 10 }, () => makeNotification(g.server, send)));
    ids.push(await makeNotification(g.server, send));
    expect(new Set(ids).size).toBe(1);
  });

  test('with another body is refused', async () => {
    const send = toSend({ users: [{ externalUserId: 'x' }] }, { idempotencyKey: crypto.randomUUID() });
    await makeNotification(g.server, send);
    for (const other of [
      { content: { body: 'Other' } },
      { target: { users: [{ externalUserId: 'y' }] } },
      { ttlSeconds: 60 },
    ]) {
      expect(await sendNotification(g.server, { ...send, ...other })).toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
    }
  });

  test('of a refused call may be used again', async () => {
    const idempotencyKey = crypto.randomUUID();
    const refused = toSend({ segments: [crypto.randomUUID()] }, { idempotencyKey });
    expect(await sendNotification(g.server, refused)).toMatchObject({ code: 'NOT_FOUND' });
    await makeNotification(g.server, toSend({ users: [{ externalUserId: 'x' }] }, { idempotencyKey }));
  });
});

test('installations are not sent to by another channel than push', async () => {
  const { installation } = await makePerson(g.server);
  const target = { installations: [installation.pushRegistrationId] };
  expect(await sendNotification(g.server, toSend(target, { channels: ['EMAIL'] }))).toMatchObject({
    code: 'VALUE_INVALID',
    path: ['channels'],
  });
});

test('what an event tells stands in the text, and is tracked (rule M5)', async () => {
  const [email, order, name] = [newEmail(), crypto.randomUUID(), crypto.randomUUID()];
  const { id } = await makePerson(g.server, { emails: [email] });
  const input = {
    content: { body: 'Order {{ event.order }} is on its way' },
    event: { name, properties: { order } },
    channels: ['EMAIL' as const],
  };
  const notification = await makeNotification(g.server, toSend({ users: [{ id }] }, input));
  await settledDeliveries(g.server, notification);
  const { body } = await g.server.send('query($id: ID!) { outboxMessages(notification: $id) { nodes { rendered } } }', {
    id: notification,
  });
  expect(JSON.stringify(body.data)).toContain(`Order ${order} is on its way`);
  expect(await g.db.trackedEvent.findMany({ where: { name } })).toMatchObject([{ properties: { order } }]);
});
