import { expect, test } from 'vitest';
import { createCallers } from '../../src/door/callers.ts';
import { createInProcessThrottle } from '../../src/door/throttle/in-process-throttle.ts';
import { useDoor } from '../support/door.ts';
import { makeServerKey } from '../support/topic.ts';

const g = useDoor();

test('who tries one unknown key after another is slowed down, and nobody at another address is', async () => {
  const throttle = createInProcessThrottle(() => 0);
  const callers = createCallers(g.db, throttle);
  const { secret } = await makeServerKey(g);
  const authorization = `Bearer ${secret}`;
  const guesser = () => '203.0.113.0/24';
  // As many as may be at once.
  throttle.take({ name: `guesses ${guesser()}`, limit: 5_000, drainPerSecond: 100 }, 4_999);
  await expect(callers.authenticate('Bearer unknown', guesser)).rejects.toMatchObject({
    extensions: { code: 'UNAUTHENTICATED' },
  });
  await expect(callers.authenticate('Bearer another-unknown', guesser)).rejects.toMatchObject({
    extensions: { code: 'THROTTLED', http: { status: 429 } },
  });
  expect(await callers.authenticate(authorization, () => '198.51.100.0/24')).toMatchObject({ kind: 'SERVER' });
  // And who is known is not looked up.
  expect(await callers.authenticate(authorization, guesser)).toMatchObject({ kind: 'SERVER' });
  await throttle.close();
});
