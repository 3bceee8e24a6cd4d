import { afterAll, beforeAll, expect, test } from 'vitest';
import { sql } from '../../../src/storage/database.ts';
import { useApp } from '../../support/app.ts';
import { type FakePushService, startFakePushService } from '../../support/fakes/fake-push-service.ts';
import { depersonalize, makeInstallation, makeNotification, makeUser } from '../../support/operations.ts';
import { makePerson } from '../../support/people.ts';
import { until } from '../../support/until.ts';

const g = useApp();
let service: FakePushService;

beforeAll(async () => {
  service = await startFakePushService();
});
afterAll(() => service.close());

/** A browser that pushes arrive at, by what they say. */
interface Browser {
  id: string;
  arrivals(): string[];
}

/** A browser of a person. */
async function makeBrowser(externalUserId: string): Promise<Browser> {
  const webPush = service.subscribe();
  const { pushRegistrationId: id } = await makeInstallation(g.app, { address: { webPush } });
  await makeUser(g.server, { installation: id, userIdentity: { externalUserId } });
  const isHere = ({ endpoint }: { endpoint: string }) => endpoint === webPush.endpoint;
  return { id, arrivals: () => service.pushes.filter(isHere).map(({ payload }) => String(Object(payload).body)) };
}

/** What is known of the person's pushes to a browser, by what they say. */
async function deliveriesTo({ id }: Browser) {
  const { rows } = await g.pool.query<{ body: string; status: string; reason: string | null; attempts: number }>(sql`
    select n.content ->> 'body' as body, d.status, d.reason, d.attempts
    from deliveries d join notifications n on n.id = d.notification_id join recipients r on r.id = d.recipient_id
    where r.installation_id = ${id}::uuid and not d.is_broadcast`);
  return rows;
}

const isSettled = async () => {
  const { rows } = await g.pool.query<{ count: number }>(sql`
    select (select count(*) from notifications where fan_out_finished_at is null)::int
      + (select count(*) from deliveries where status in ('QUEUED', 'SENDING'))::int as count`);
  return rows[0]?.count === 0;
};

test.each([
  1, 2, 3,
])('nothing that is sent to a person reaches an installation once it has left, but what was being handed over (decision 9, round %i)', async (round) => {
  const { externalUserId } = await makePerson(g);
  const [leaves, stays] = [await makeBrowser(externalUserId), await makeBrowser(externalUserId)];
  const target = { users: [{ externalUserId }] };
  const send = (name: string) => makeNotification(g.server, { content: { body: name }, channels: ['PUSH'], target });
  const before = Array.from({ length: 20 }, (_, index) => `before ${round} ${index}`);
  const after = Array.from({ length: 5 }, (_, index) => `after ${round} ${index}`);

  const sends = Promise.all(before.map(send));
  // Some have arrived, some are on their way, some are to be made.
  await until(async () => leaves.arrivals().length > 0);
  expect(await depersonalize(g.server, leaves.id)).toMatchObject({ __typename: 'DepersonalizePayload' });
  const inTime = leaves.arrivals();
  const known = await deliveriesTo(leaves);
  await Promise.all([sends, ...after.map(send)]);
  await until(isSettled);

  // A begun send is counted, and none begins once the installation has left.
  const underWay = known.filter(({ status, attempts }) => status === 'SENT' || (status === 'SENDING' && attempts > 0));
  expect(known.filter(({ status }) => status === 'QUEUED')).toEqual([]);
  const late = leaves.arrivals().slice(inTime.length);
  expect(underWay.map(({ body }) => body)).toEqual(expect.arrayContaining(late));
  // What arrived is what is told to have been sent, each once; the rest was called off, or never made.
  const told = await deliveriesTo(leaves);
  const sent = told.filter(({ status }) => status === 'SENT').map(({ body }) => body);
  expect(leaves.arrivals().sort()).toEqual(sent.sort());
  const ends = told.filter(({ status }) => status !== 'SENT').map(({ status, reason }) => `${status} ${reason}`);
  expect(ends).toEqual(ends.map(() => 'CANCELLED DEPERSONALIZED'));
  expect(leaves.arrivals().filter((body) => after.includes(body))).toEqual([]);
  // The person goes on being reached elsewhere.
  expect(stays.arrivals().sort()).toEqual([...before, ...after].sort());
});
