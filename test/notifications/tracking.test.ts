import { expect, test } from 'vitest';
import { useApp } from '../support/app.ts';
import { sendNotification } from '../support/operations.ts';
import { makePerson, toSend } from '../support/send-operations.ts';

// Nobody has said where it is reached.
const g = useApp({ role: 'gateway' });

test.each(['trackLinks', 'trackOpens'] as const)('%s is refused where nobody has set PUBLIC_URL', async (field) => {
  const { id } = await makePerson(g.server);
  expect(await sendNotification(g.server, toSend({ users: [{ id }] }, { [field]: true }))).toMatchObject({
    code: 'VALUE_INVALID',
    path: [field],
  });
});
