import { randomUUID } from 'node:crypto';
import { newEmail } from './addresses.ts';
import type { GatewayProcesses } from './gateway-processes.ts';
import { makeInstallation, personalize } from './operations.ts';
import { getProfile } from './people.ts';

/** Lets 50 installations personalize one new identity at once, half of them through either gateway. */
export async function personalizeTogether(g: GatewayProcesses) {
  const installations = await Promise.all(Array.from({ length: 50 }, (_, turn) => makeInstallation(g.server(turn))));
  const userIdentity = { externalUserId: randomUUID(), emails: [newEmail()] };
  const results = await Promise.all(
    installations.map(({ id }, turn) => personalize(g.server(turn), { installation: id, userIdentity })),
  );
  const profile = await getProfile(g.server(), { externalUserId: userIdentity.externalUserId });
  const userIds = results.flatMap((result) => (result?.__typename === 'PersonalizePayload' ? [result.user.id] : []));
  const expected = {
    id: [...new Set(userIds)].join(),
    type: 'CUSTOMER',
    emails: userIdentity.emails,
    installations: installations.map(({ pushRegistrationId }) => pushRegistrationId).sort(),
  };
  return { results, profile, expected };
}
