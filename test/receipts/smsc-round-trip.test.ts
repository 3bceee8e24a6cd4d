import { expect, test } from 'vitest';
import { newPhone } from '../support/addresses.ts';
import { useApp } from '../support/app.ts';
import { type FakeSmsc, startFakeSmsc } from '../support/fakes/fake-smsc.ts';
import { makeNotification, settledDeliveries } from '../support/operations.ts';
import { storyOf } from '../support/receipts.ts';
import { makePerson, toSend } from '../support/send-operations.ts';
import { until } from '../support/until.ts';

const smsc: FakeSmsc = await startFakeSmsc();
const g = useApp({ smpp: { url: smsc.url, from: 'Carillon' } });

test.each([
  ['DELIVRD', 'DELIVERED', null],
  ['EXPIRED', 'BOUNCED', 'SOFT_BOUNCE'],
  ['UNDELIV', 'BOUNCED', 'HARD_BOUNCE'],
] as const)('a receipt of an SMSC (%s) comes over its session and makes the delivery %s, %s', async (state, status, reason) => {
  const person = await makePerson(g.server, { phones: [newPhone()] });
  const notification = await makeNotification(g.server, toSend({ users: [{ id: person.id }] }, { channels: ['SMS'] }));
  const [delivery] = (await settledDeliveries(g.server, notification)).deliveries.nodes;
  const { messageId } = smsc.parts.at(-1) ?? {};
  await smsc.tell('deliver_sm', { esm_class: 0x04, short_message: `id:${messageId} stat:${state} err:000 text:` });
  await until(async () => (await storyOf(g, { delivery: delivery?.id ?? '' })).status === status);
  expect(await storyOf(g, { delivery: delivery?.id ?? '' })).toMatchObject({
    reason,
    story: ['QUEUED', 'SENT', status],
  });
});
