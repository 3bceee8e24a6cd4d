import { randomUUID } from 'node:crypto';
import { isInterfaceType } from 'graphql';
import { beforeAll, describe, expect, test } from 'vitest';
import { hashSecret } from '../../src/apps/api-key.ts';
import { schema } from '../../src/graphql/schema.ts';
import { newEmail, newPhone } from '../support/addresses.ts';
import { testKeys, useApp } from '../support/app.ts';
import { makeApiKey } from '../support/keys.ts';
import { makeInstallation, personalize } from '../support/operations.ts';
import { answerTo, makeOwners, type Owner, toGlobalId } from '../support/owners.ts';
import { makePerson } from '../support/people.ts';
import {
  argumentsOf,
  type GeneratedOperation,
  listGuardedFields,
  listRootFields,
  pathsFrom,
  type RootField,
  toOperation,
} from '../support/root-operations.ts';
import { localIdOf } from '../support/send-operations.ts';

const g = useApp({ role: 'gateway' });

const callers = ['nobody', 'expired', 'app', 'installation', 'partner', 'dashboard', 'server'] as const;
type CallerName = (typeof callers)[number];

/** But a partner, who runs nothing but what is registered for it. */
const everyone = callers.filter((caller) => caller !== 'partner');
const server = ['server'] as const;
const readers = ['dashboard', 'server'] as const;
const people = ['installation', 'dashboard', 'server'] as const;

/** Who may call a root field. One that is not here is a mistake: decide who may. */
const mayCall: Record<string, readonly CallerName[]> = {
  'Query.node': everyone,
  'Query.nodes': everyone,
  'Query.viewer': ['app', ...people],
  'Query.app': ['app', ...people],
  'Query.apps': readers,
  'Query.apiKeys': server,
  'Query.auditLog': server,
  'Query.partnerOperations': server,
  'Query.user': people,
  'Query.users': readers,
  'Query.installation': people,
  'Query.segment': readers,
  'Query.segments': readers,
  'Query.previewSegment': readers,
  'Query.explainSegmentMembership': readers,
  'Query.topics': ['app', ...people],
  'Query.attributeDefinitions': readers,
  'Query.template': readers,
  'Query.templates': readers,
  'Query.labels': readers,
  'Query.previewNotification': server,
  'Query.notification': readers,
  'Query.notifications': readers,
  'Query.delivery': people,
  'Query.deliveries': readers,
  'Query.outboxMessages': server,
  'Query.exportUser': server,
  'Query.mergeRecord': readers,
  'Query.previewMerge': readers,
  'Mutation.registerInstallation': ['app', 'installation', 'expired', 'server'],
  'Mutation.refreshInstallationToken': ['installation'],
  'Mutation.updateInstallation': ['installation', 'server'],
  'Mutation.setPrimaryInstallation': ['installation', 'server'],
  'Mutation.deleteInstallation': ['installation', 'server'],
  'Mutation.importInstallations': server,
  'Mutation.personalize': ['installation', 'server'],
  'Mutation.depersonalize': ['installation', 'server'],
  'Mutation.depersonalizeInstallation': ['installation', 'server'],
  'Mutation.saveUser': ['installation', 'server'],
  'Mutation.saveUsers': server,
  'Mutation.tagUsers': server,
  'Mutation.untagUsers': server,
  'Mutation.mergeUsers': server,
  'Mutation.addRecipient': server,
  'Mutation.updateRecipient': ['installation', 'server'],
  'Mutation.removeRecipient': server,
  'Mutation.eraseUser': server,
  'Mutation.defineAttribute': server,
  'Mutation.removeAttributeDefinition': server,
  'Mutation.unmergeUsers': server,
  'Mutation.createSegment': server,
  'Mutation.updateSegment': server,
  'Mutation.deleteSegment': server,
  'Mutation.addToSegment': server,
  'Mutation.removeFromSegment': server,
  'Mutation.createTemplate': server,
  'Mutation.updateTemplate': server,
  'Mutation.deleteTemplate': server,
  'Mutation.saveLabel': server,
  'Mutation.deleteLabel': server,
  'Mutation.createTopic': server,
  'Mutation.updateTopic': server,
  'Mutation.deleteTopic': server,
  'Mutation.setTopicPreferences': ['installation', 'server'],
  'Mutation.trackEvents': ['installation', 'server'],
  'Mutation.sendNotification': server,
  'Mutation.reportDelivery': everyone,
  'Mutation.markInboxRead': ['installation'],
  'Mutation.createApp': server,
  'Mutation.updateApp': server,
  'Mutation.resumeChannel': server,
  'Mutation.createApiKey': server,
  'Mutation.rotateApiKey': server,
  'Mutation.revokeApiKey': server,
  'Mutation.registerPartnerOperations': server,
  'Subscription.deliveryEvents': people,
  'Subscription.inbox': ['installation'],
  'Subscription.notificationProgress': readers,
};

/** Who may see an object of a type through `node`; an installation: one that is its own. */
const maySee: Record<string, readonly CallerName[]> = {
  User: people,
  Installation: people,
  PushRecipient: people,
  EmailRecipient: people,
  SmsRecipient: people,
  InAppRecipient: people,
  Delivery: people,
  App: ['app', ...people],
  Notification: readers,
  Segment: readers,
  Template: readers,
  Label: readers,
  Topic: ['app', ...people],
  MergeRecord: readers,
  ApiKey: server,
};

const secrets = new Map<CallerName, string | null>([
  ['nobody', null],
  ['app', testKeys.appKey],
  ['server', testKeys.serverKey],
]);
let ann: Owner;
let bob: Owner;
/** An app that is neither's. */
let otherApp: string;

const secretOf = (caller: CallerName): string | null => {
  const secret = secrets.get(caller);
  if (secret === undefined) throw new Error('It is made before all tests.');
  return secret;
};

beforeAll(async () => {
  ({ ann, bob, otherApp } = await makeOwners(g));
  const make = async (kind: 'PARTNER' | 'DASHBOARD', partner: string | null = null) =>
    (await makeApiKey(g.server, { kind, name: kind, partner })).secret;
  secrets.set('partner', await make('PARTNER', 'acme'));
  secrets.set('dashboard', await make('DASHBOARD'));
  // Not Ann's: what they call changes them.
  secrets.set('installation', (await makePerson(g)).token);
  const { token } = await makePerson(g);
  await g.pool.query('update installation_tokens set expires_at = now() where secret_hash = $1', [hashSecret(token)]);
  secrets.set('expired', token);
});

/** What a call names by which nothing is lost, where a call that names nothing would end the caller. */
const harmless: Record<string, Record<string, unknown>> = {
  'Mutation.deleteInstallation': { 'input.installation': randomUUID() },
};

const refusalOf = (told: string): string | null =>
  /"code":"(UNAUTHENTICATED|FORBIDDEN|OPERATION_NOT_ALLOWED)"/.exec(told)?.[1] ?? null;

const rootFields = listRootFields();

/** What a caller is told who may not. */
const refusalsOf: Record<CallerName, string> = {
  nobody: 'UNAUTHENTICATED',
  expired: 'UNAUTHENTICATED',
  app: 'FORBIDDEN',
  installation: 'FORBIDDEN',
  partner: 'OPERATION_NOT_ALLOWED',
  dashboard: 'FORBIDDEN',
  server: 'FORBIDDEN',
};

test('it is decided of every root field who may call it, and of every type who may see it', () => {
  expect(rootFields.map(({ place }) => place).sort()).toEqual(Object.keys(mayCall).sort());
  const node = schema.getType('Node');
  if (!isInterfaceType(node)) throw new Error('There is such an interface.');
  const types = schema.getPossibleTypes(node).map(({ name }) => name);
  expect(types.sort()).toEqual(Object.keys(maySee).sort());
});

test.each(
  rootFields.map((root) => [root.place, root] as const),
)('%s is for those who may, and nobody else', async (place, root) => {
  const told = await Promise.all(
    callers.map(async (caller) => {
      const told = await answerTo(g, secretOf(caller), toOperation(root, harmless[place]));
      return [caller, refusalOf(told)] as const;
    }),
  );
  const expected = callers.map((caller) => [caller, mayCall[place]?.includes(caller) ? null : refusalsOf[caller]]);
  expect(told).toEqual(expected);
});

/** The id of an object of that type that there is not. */
const missing = (type: string): string => toGlobalId(type, randomUUID());

/** What a caller, if it is an installation Ann's, is told of an object. */
async function nodeOf(caller: CallerName, id: string): Promise<unknown> {
  const client = g.server.as(caller === 'installation' ? ann.token : secretOf(caller));
  const { body } = await client.send('query($id: ID!) { node(id: $id) { __typename id } nodes(ids: [$id]) { id } }', {
    id,
  });
  return body.errors ?? body.data;
}

const unseen = { node: null, nodes: [null] };

test.each(
  Object.keys(maySee),
)('a %s is seen by its id by those who may, and for all others there is none', async (type) => {
  const id = ann.ids[type] ?? '';
  const seen = { node: { __typename: type, id }, nodes: [{ id }] };
  for (const caller of everyone) {
    expect([caller, await nodeOf(caller, id)]).toEqual([caller, maySee[type]?.includes(caller) ? seen : unseen]);
    expect(await nodeOf(caller, missing(type))).toEqual(unseen);
  }
});

/** An operation about something of Bob's, and the same about something that there is not. */
type Pair = readonly [GeneratedOperation, GeneratedOperation];

/** For each way in which a root field can be told what it is about. */
function aboutBob(root: RootField): Pair[] {
  const byId = argumentsOf(root, 'ID').flatMap(({ path, isList }) => {
    const given = (id: string) => toOperation(root, { [path]: isList ? [id] : id });
    // Topics are for everybody's eyes.
    const { Topic: _, ...ids } = bob.ids;
    return Object.entries({ ...ids, App: otherApp }).flatMap(([type, id]): Pair[] => [
      [given(id), given(missing(type))],
      [given(localIdOf(id)), given(randomUUID())],
    ]);
  });
  const unknown = {
    id: missing('User'),
    externalUserId: randomUUID(),
    email: newEmail(),
    phone: newPhone(),
    pushRegistrationId: randomUUID(),
  };
  const byReference = argumentsOf(root, 'UserRef').flatMap(({ path, isList }) => {
    const given = (reference: object) => toOperation(root, { [path]: isList ? [reference] : reference });
    return Object.entries(bob.references).map(
      ([by, value]): Pair => [given({ [by]: value }), given({ [by]: Reflect.get(unknown, by) })],
    );
  });
  return [...byId, ...byReference];
}

const openToStrangers = (['nobody', 'app', 'installation'] as const).flatMap((caller) =>
  rootFields.filter(({ place }) => mayCall[place]?.includes(caller)).map((root) => [root.place, caller, root] as const),
);

test.each(
  openToStrangers,
)('by %s no caller of kind %s can tell what is somebody else’s from what is missing', async (_, caller, root) => {
  for (const [theirs, none] of aboutBob(root)) {
    const told = await answerTo(g, secretOf(caller), theirs);
    expect({ theirs, told }).toEqual({ theirs, told: await answerTo(g, secretOf(caller), none) });
  }
});

/** Fields that not everybody may see who may see their object, and what leads an installation to its own object. */
const guardedFields: Record<string, string> = {
  'App.allowedOrigins': '{ viewer { app { allowedOrigins } } }',
  'App.isLimitedToOperations': '{ viewer { app { isLimitedToOperations } } }',
  'App.senders': '{ viewer { app { senders { __typename } } } }',
  'App.userTokenKeys': '{ viewer { app { userTokenKeys { __typename } } } }',
  'Delivery.notification': '{ viewer { user { deliveries { nodes { notification { id } } } } } }',
  'Delivery.recipient': '{ viewer { user { deliveries { nodes { recipient { id } } } } } }',
  'EmailRecipient.consentBy': '{ viewer { user { recipients { nodes { ... on EmailRecipient { consentBy } } } } } }',
  'InAppRecipient.consentBy': '{ viewer { user { recipients { nodes { ... on InAppRecipient { consentBy } } } } } }',
  'PushRecipient.consentBy': '{ viewer { user { recipients { nodes { ... on PushRecipient { consentBy } } } } } }',
  'SmsRecipient.consentBy': '{ viewer { user { recipients { nodes { ... on SmsRecipient { consentBy } } } } } }',
  'User.externalUserIdAliases': '{ viewer { user { externalUserIdAliases } } }',
  'User.mergeRecords': '{ viewer { user { mergeRecords { totalCount } } } }',
  'User.segments': '{ viewer { user { segments { totalCount } } } }',
};

test('it is decided of every guarded field of an object what leads to it', () => {
  expect(listGuardedFields().sort()).toEqual(Object.keys(guardedFields).sort());
});

describe('an installation', () => {
  test.each(Object.entries(guardedFields))('is refused %s of its own object, also a count of it', async (_, query) => {
    expect(refusalOf(await answerTo(g, ann.token, { query, variables: {} }))).toBe('FORBIDDEN');
  });

  /** Whatever names Bob or what is his. */
  const marksOfBob = () => [
    ...Object.values(bob.references),
    ...Object.entries(bob.ids).flatMap(([type, id]) => (ann.ids[type] === id ? [] : [id, localIdOf(id)])),
  ];

  /** From everything that Ann's installation can name, as far as the schema goes. */
  const waysOf = (owner: Owner): GeneratedOperation[] =>
    rootFields
      .filter(
        ({ kind, place }) =>
          kind === 'query' && !place.startsWith('Query.node') && mayCall[place]?.includes('installation'),
      )
      .flatMap(({ field }) => {
        const [argument] = field.args;
        const own =
          argument?.name === 'ref'
            ? { id: owner.ids.User }
            : owner.ids[field.name.charAt(0).toUpperCase() + field.name.slice(1)];
        const passed = argument ? `(${argument.name}: $own)` : '';
        const declared = argument ? `($own: ${argument.type})` : '';
        return pathsFrom(field.type, 3).map((selection) => ({
          query: `query${declared} { ${field.name}${passed} ${selection} }`,
          variables: { own },
        }));
      });

  /** The token of one more installation of somebody. */
  const makeInstallationOf = async ({ references: { externalUserId } }: Owner) => {
    const { id, token } = await makeInstallation(g.app);
    await personalize(g.server, { installation: id, userIdentity: { externalUserId } });
    return token;
  };

  test('comes to nobody else from what is its own, however far the schema goes', async () => {
    const marks = marksOfBob();
    const ways = waysOf(ann);
    expect(ways.length).toBeGreaterThan(50);
    // So many that one installation would be throttled.
    const tokens = await Promise.all(Array.from({ length: 5 }, () => makeInstallationOf(ann)));
    for (const [index, way] of ways.entries()) {
      const told = await answerTo(g, tokens[index % tokens.length] ?? null, way);
      expect({ way, found: marks.filter((mark) => told.includes(mark)) }).toEqual({ way, found: [] });
      expect([way, /"code":"(?!FORBIDDEN)[A-Z_]+"/.exec(told)]).toEqual([way, null]);
    }
  });

  test('counts nothing that is somebody else’s', async () => {
    const { body } = await g.server.as(ann.token).send(`{
      viewer { user { installations { totalCount } recipients { totalCount } deliveries { totalCount } } }
    }`);
    const userId = localIdOf(ann.ids.User ?? '');
    expect(body.data).toEqual({
      viewer: {
        user: {
          installations: { totalCount: await g.db.installation.count({ where: { userId } }) },
          recipients: { totalCount: await g.db.recipient.count({ where: { userId } }) },
          deliveries: { totalCount: 1 },
        },
      },
    });
    expect(await g.db.delivery.count()).toBe(2);
  });
});

test('the ways that lead an installation to nobody lead a server key to everybody', async () => {
  const { body } = await g.server.send(
    '{ notifications { nodes { deliveries { nodes { user { id externalUserId } } } } } }',
  );
  for (const { references } of [ann, bob]) expect(JSON.stringify(body)).toContain(references.externalUserId);
});
