import { expect, test } from 'vitest';
import { useDoor } from '../support/door.ts';
import { insertDeliveries, insertNotification, mergeUser } from '../support/log-events.ts';
import { makePerson } from '../support/people.ts';
import { itemOf, useRawSockets } from '../support/raw-sockets.ts';
import { inTransaction, moveInstallation } from '../support/readers.ts';
import { globalIdOf, localIdOf } from '../support/send-operations.ts';
import { until } from '../support/until.ts';

const door = useDoor({ pollMs: 20 });
const connect = useRawSockets(door);

async function isInstallationsAwaited(): Promise<boolean> {
  const { rows } = await door.pool.query(
    `select from pg_locks where relation = 'installations'::regclass and not granted`,
  );
  return rows.length > 0;
}

test('what is looked at whether it may be seen while its user is merged may be seen', async () => {
  const [survivor, merged] = [await makePerson(door), await makePerson(door)];
  const [survivorId, userId] = [localIdOf(survivor.id), localIdOf(merged.id)];
  const socket = await connect(merged.token);
  socket.subscribe('a', {
    query: 'subscription { deliveryEvents { ... on DeliveryEvent { delivery { id user { id } } } } }',
  });
  await until(async () => socket.frames.length === 1);
  const notificationId = await insertNotification(door.pool);
  const deliveryId = await inTransaction(door.pool, async (transaction) => {
    // Whose installations are cannot be read now, everything else can.
    await transaction.query('lock table installations in access exclusive mode');
    const [id = ''] = await insertDeliveries(door.pool, { notificationId, userId });
    await until(isInstallationsAwaited);
    await mergeUser(transaction, { merged: userId, survivor: survivorId });
    await moveInstallation(transaction, merged.installation.pushRegistrationId, survivorId);
    return id;
  });
  await until(async () => socket.frames.length > 1);
  expect(itemOf(socket.frames[1] ?? '')).toMatchObject({
    delivery: { id: globalIdOf('Delivery', deliveryId) },
  });
});
