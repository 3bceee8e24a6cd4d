import fc from 'fast-check';
import { sql } from '../../src/storage/database.ts';
import type { UserRef } from '../generated/graphql.ts';
import type { GatewayProcesses } from './gateway-processes.ts';
import {
  type Answer,
  type Beginning,
  beginWorld,
  type Description,
  describePerson,
  describeWorld,
  type Operation,
  perform,
  type Who,
  type World,
} from './identity-model.ts';
import { depersonalize, makeInstallation, personalize } from './operations.ts';
import { mergeUsers, unmergeUsers } from './people.ts';
import { localIdOf } from './send-operations.ts';

const devicesCount = 6;
const names = ['n0', 'n1', 'n2', 'n3'];
const emails = ['e0@example.com', 'e1@example.com', 'e2@example.com'];

const device = fc.nat(devicesCount - 1);
const name = fc.constantFrom(...names);
const email = fc.constantFrom(...emails);
const who: fc.Arbitrary<Who> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ name }) },
  fc.record({ email }),
  fc.record({ device }),
  { weight: 2, arbitrary: fc.record({ lead: device }) },
);

/** An operation; which record is undone is chosen among those that there are then. */
type Planned = Exclude<Operation, { kind: 'unmerge' }> | { kind: 'unmerge'; choice: number };

const identity = fc.constantFrom('name', 'email', 'both').chain((given) =>
  fc.record({
    name: given === 'email' ? fc.constant(null) : name,
    email: given === 'name' ? fc.constant(null) : email,
  }),
);
const planned: fc.Arbitrary<Planned> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .tuple(device, identity, fc.boolean())
      .map(([on, given, force]) => ({ kind: 'personalize' as const, device: on, ...given, force })),
  },
  fc.record({ kind: fc.constant('depersonalize' as const), device }),
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('merge' as const), survivor: who, merged: who, allowAlias: fc.boolean() }),
  },
  // The newest are the ones that can be undone.
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('unmerge' as const), choice: fc.nat(3) }) },
);

/** What people have in the beginning, and what is asked of them: each batch at once, one batch after the other. */
export const graphs = fc.record({
  beginnings: fc.array(
    fc.record({
      isPrimary: fc.boolean(),
      hasOptedOut: fc.boolean(),
      tags: fc.uniqueArray(fc.constantFrom('a', 'b', 'c'), { maxLength: 2 }),
      displayName: fc.option(fc.constantFrom('Ann', 'Bob')),
    }),
    { minLength: devicesCount, maxLength: devicesCount },
  ),
  batches: fc.array(fc.array(planned, { minLength: 3, maxLength: 5 }), { minLength: 3, maxLength: 4 }),
});
type Graph = typeof graphs extends fc.Arbitrary<infer Value> ? Value : never;

/** The graph's people in a database: identifiers have its mark, so that graphs have nothing in common. */
interface Town {
  g: GatewayProcesses;
  mark: string;
  /** Push registration ids and first leads' local ids, by installation. */
  devices: string[];
  leads: string[];
  /** Ids of the merge records that there are, oldest first. */
  records: string[];
}

/**
 * Lets a graph happen through two gateways and answers what is wrong, in words, or null. What happens at once may have
 * happened in any order; but there has to be one in which the model gives the same answers and ends in the same world.
 */
export async function findMistake(
  g: GatewayProcesses,
  { beginnings, batches }: Graph,
  onAnswer: (answer: string) => void = () => undefined,
): Promise<string | null> {
  const town = await settle(g, beginnings);
  let worlds = [beginWorld(beginnings)];
  for (const batch of batches) {
    const operations = batch.flatMap((one) => toOperation(town, one));
    const done = await Promise.all(
      operations.map(async (operation, turn) => ({ operation, answer: await ask(town, operation, turn) })),
    );
    for (const { operation, answer } of done) onAnswer(`${operation.kind} ${answer.code}`);
    town.records.push(...done.flatMap(({ answer }) => answer.record ?? []));
    const broken = await findBroken(town);
    if (broken) return broken;
    const found = await describeTown(town);
    const outcomes = worlds.flatMap((world) => [...listOutcomes(world, done)]);
    const fitting = outcomes.filter((world) => JSON.stringify(describeWorld(world)) === JSON.stringify(found));
    const [outcome] = outcomes;
    if (fitting.length === 0) {
      return JSON.stringify({ done, found, possible: outcome ? describeWorld(outcome) : 'nothing' }, null, 1);
    }
    worlds = [...new Map(fitting.map((world) => [JSON.stringify(toKey(world)), world])).values()];
  }
  return null;
}

/** Maps are no JSON. */
const toKey = ({ people }: World) =>
  people.map(({ identifiers, devices, members, ...rest }) => ({
    ...rest,
    identifiers: [...identifiers],
    devices: [...devices],
    members: members.map(({ record, person }) => ({ record, person })),
  }));

interface Done {
  operation: Operation;
  answer: Answer;
}

/** The worlds in which some order ends in which each operation is answered as it was. */
function* listOutcomes(world: World, done: readonly Done[]): Generator<World> {
  if (done.length === 0) yield world;
  for (const one of done) {
    const { world: next, answer } = perform(world, one.operation, one.answer.record);
    const isSame = answer.code === one.answer.code && answer.record === one.answer.record;
    if (isSame) {
      yield* listOutcomes(
        next,
        done.filter((other) => other !== one),
      );
    }
  }
}

async function settle(g: GatewayProcesses, beginnings: readonly Beginning[]): Promise<Town> {
  const registered = await Promise.all(beginnings.map((_, turn) => makeInstallation(g.server(turn))));
  const devices = registered.map(({ pushRegistrationId }) => pushRegistrationId);
  const leads = registered.map(({ user }) => localIdOf(user.id));
  await g.pool.query(sql`
    with lead as (
      select * from jsonb_to_recordset(${JSON.stringify(
        beginnings.map((beginning, index) => ({ ...beginning, id: leads[index], device: devices[index] })),
      )}::jsonb) as lead (
        id uuid, device uuid, "isPrimary" boolean, "hasOptedOut" boolean, tags text[], "displayName" text
      )
    ),
    inbox as (
      update recipients r set is_subscribed = not "hasOptedOut" from lead where r.user_id = lead.id and channel = 'IN_APP'
    ),
    device as (update installations i set is_primary_device = "isPrimary" from lead where i.id = lead.device)
    update users u set tags = lead.tags, display_name = "displayName" from lead where u.id = lead.id`);
  return { g, mark: crypto.randomUUID(), devices, leads, records: [] };
}

function toOperation({ records }: Town, one: Planned): Operation[] {
  if (one.kind !== 'unmerge') return [one];
  const record = records.at(-1 - (one.choice % Math.max(records.length, 1)));
  return record === undefined ? [] : [{ kind: 'unmerge', record }];
}

async function ask(town: Town, operation: Operation, turn: number): Promise<Answer> {
  const server = town.g.server(turn);
  switch (operation.kind) {
    case 'personalize': {
      const { name: externalUserId, email: address } = operation;
      const told = await personalize(server, {
        installation: town.devices[operation.device] ?? '',
        userIdentity: {
          ...(externalUserId !== null && { externalUserId: markName(town, externalUserId) }),
          ...(address !== null && { emails: [markEmail(town, address)] }),
        },
        forceDepersonalize: operation.force,
      });
      return told?.__typename === 'PersonalizePayload' ? toOk(told.mergeRecord?.id) : toRefusal(told);
    }
    case 'depersonalize': {
      const told = await depersonalize(server, town.devices[operation.device] ?? '');
      return told?.__typename === 'DepersonalizePayload' ? toOk() : toRefusal(told);
    }
    case 'merge': {
      const { survivor, merged, allowAlias } = operation;
      const input = { survivor: toRef(town, survivor), merged: toRef(town, merged), allowAlias };
      const told = await mergeUsers(server, input);
      return told?.__typename === 'MergeUsersPayload' ? toOk(told.mergeRecord?.id) : toRefusal(told);
    }
    case 'unmerge': {
      const told = await unmergeUsers(server, operation.record);
      return told?.__typename === 'UnmergeUsersPayload' ? toOk() : toRefusal(told);
    }
  }
}

const toOk = (record: string | null = null): Answer => ({ code: 'ok', record });
const toRefusal = (told: object | null | undefined): Answer => ({
  code: told && 'code' in told ? String(told.code) : 'nothing',
  record: null,
});

const markName = ({ mark }: Town, text: string) => `${text} ${mark}`;
const markEmail = ({ mark }: Town, text: string) => text.replace('@', `-${mark}@`);
const unmark = ({ mark }: Town, text: string) => text.replace(` ${mark}`, '').replace(`-${mark}@`, '@');

function toRef(town: Town, one: Who): UserRef {
  if ('name' in one) return { externalUserId: markName(town, one.name) };
  if ('email' in one) return { email: markEmail(town, one.email) };
  if ('device' in one) return { pushRegistrationId: town.devices[one.device] ?? '' };
  return { id: town.leads[one.lead] ?? '' };
}

/** The ids of all users of the graph: whoever has, or had, something of it. */
const ofTown = ({ devices, leads, mark }: Town) => sql`
  select id from users where id = any(${leads}::uuid[])
  union select merged_into_id from users where id = any(${leads}::uuid[]) and merged_into_id is not null
  union select user_id from installations where id = any(${devices}::uuid[])
  union select user_id from identifiers where value like ${`%${mark}%`}`;

/** What must never be, whatever the order. */
async function findBroken(town: Town): Promise<string | null> {
  const { rows } = await town.g.pool.query<{ broken: string }>(sql`
    with town as (${ofTown(town)}),
    dead as (select id, merged_into_id from users where merged_into_id is not null)
    select 'a chain or a cycle' as broken from dead one join dead other on other.id = one.merged_into_id
    union all select 'an orphaned installation' from installations join dead on dead.id = user_id
    union all select 'an orphaned identifier' from identifiers join dead on dead.id = user_id
    union all select 'an orphaned recipient' from recipients join dead on dead.id = user_id where channel <> 'IN_APP'
    union all select 'a recipient that is not with its installation' from recipients r join installations i on i.id = r.installation_id where r.user_id <> i.user_id
    union all select 'an address that is not with its identifier' from recipients r join identifiers i on i.kind = 'EMAIL' and r.address = i.value where r.user_id <> i.user_id
    union all select 'two primary installations' from installations where is_primary_device group by user_id, app_id having count(*) > 1
    union all select 'a user without an inbox' from town where not exists (select from recipients where user_id = town.id and channel = 'IN_APP')`);
  return rows[0]?.broken ?? null;
}

/** The living users of the graph, as the model describes them. */
async function describeTown(town: Town): Promise<string[]> {
  const { devices, leads } = town;
  const { rows } = await town.g.pool.query<Description>(sql`
    with town as (${ofTown(town)})
    select
      type = 'CUSTOMER' as "isCustomer", tags, display_name as "displayName",
      array(
        select (place - 1)::int from unnest(${leads}::uuid[]) with ordinality as lead (id, place) join users l using (id)
        where coalesce(l.merged_into_id, l.id) = u.id
      ) as leads,
      array(
        select value || case when is_alias then ' (alias)' else '' end from identifiers where user_id = u.id
      ) as identifiers,
      array(
        select (place - 1)::text || case when is_primary_device then ' (primary)' else '' end
        from unnest(${devices}::uuid[]) with ordinality as device (id, place) join installations using (id) where user_id = u.id
      ) as devices,
      not (select is_subscribed from recipients where user_id = u.id and channel = 'IN_APP') as "hasOptedOut"
    from users u where id in (select id from town) and merged_into_id is null`);
  return rows
    .map((row) => describePerson({ ...row, identifiers: row.identifiers.map((value) => unmark(town, value)) }))
    .filter((line) => line !== null)
    .sort();
}
