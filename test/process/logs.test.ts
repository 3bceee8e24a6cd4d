import { expect, onTestFinished, test } from 'vitest';
import { openStorage } from '../../src/storage/database.ts';
import { createTestDatabase } from '../support/database.ts';
import { startFakeSmtp } from '../support/fakes/fake-smtp.ts';
import { type ReadyProgram, startProgram } from '../support/program.ts';
import { connectSocket, openSocket } from '../support/socket.ts';
import { until } from '../support/until.ts';

/** Values that stand nowhere else. What the program makes of them, such as "+" before a phone, is among them. */
const personal = {
  externalUserId: 'quixote-1605',
  email: 'quixote@mancha.example',
  otherEmail: 'dulcinea@toboso.example',
  phone: '31612398765',
  firstName: 'Quijana',
  lastName: 'Rocinantez',
  tag: 'windmill-fighter',
  fcmToken: 'fcm-token-of-quixote',
  title: 'Giants ahead',
  body: 'They are thirty or more',
  idempotencyKey: 'sally-forth-1',
  segment: 'Knights errant',
  userAgent: 'Rocinante/1.0',
  address: '203.0.113.77',
  wrongKey: 'car_server_sancho-was-here-0123456789',
  serverKey: 'server-key-of-the-log-test',
  appKey: 'app-key-of-the-log-test',
  smtpPassword: 'smtp-password-of-the-log-test',
  mailFrom: 'cervantes@alcala.example',
  variable: 'barber-basin',
} as const;

interface Sent {
  query: string;
  variables?: object;
}

/** Sends an operation as somebody whom everything gives away, and answers what came back. */
async function send(
  url: string,
  secret: string | null,
  { query, variables }: Sent | { query: string; variables?: object },
  accept = 'application/json',
) {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: {
      accept,
      'content-type': 'application/json',
      'user-agent': personal.userAgent,
      'x-forwarded-for': personal.address,
      ...(secret === null ? {} : { authorization: `Bearer ${secret}` }),
    },
    body: JSON.stringify({ query, variables }),
  });
  return response;
}

const personalize = `mutation ($input: PersonalizeInput!) { personalize(input: $input) {
  ... on Error { code message } ... on PersonalizePayload { user { id } } } }`;

/** What people do, and what they do wrong. @returns secrets that were made on the way */
async function journey(url: string): Promise<string[]> {
  const server = (query: string, variables?: object) =>
    send(url, personal.serverKey, { query, variables: variables ?? {} });
  const registered = await send(url, personal.appKey, {
    query: `mutation { registerInstallation(input: { platform: ANDROID, address: { fcm: { token: "${personal.fcmToken}" } } }) {
      ... on RegisterInstallationPayload { token installation { pushRegistrationId } } } }`,
  });
  const { token, installation } = Object((await registered.json()).data).registerInstallation;
  const input = {
    installation: installation.pushRegistrationId,
    userIdentity: { externalUserId: personal.externalUserId, emails: [personal.email], phones: [personal.phone] },
    userAttributes: { firstName: personal.firstName, lastName: personal.lastName, tags: [personal.tag] },
  };
  const named = await server(personalize, { input });
  expect(await named.json()).toMatchObject({ data: { personalize: { user: {} } } });
  await server(`mutation { createSegment(input: { name: "${personal.segment}" }) { __typename } }`);
  const sent = await server(
    'mutation ($input: SendNotificationInput!) { sendNotification(input: $input) { ... on SendNotificationPayload { notification { id } } } }',
    {
      input: {
        idempotencyKey: personal.idempotencyKey,
        content: { title: personal.title, body: personal.body },
        target: { users: [{ externalUserId: personal.externalUserId }] },
      },
    },
  );
  expect(await sent.json()).toMatchObject({ data: { sendNotification: { notification: {} } } });
  // What is refused, and what cannot be read.
  await server(personalize, { input: { ...input, userIdentity: { emails: [`${personal.email} and more`] } } });
  await server(personalize, { input: { ...input, userIdentity: { externalUserId: `${personal.externalUserId}-2` } } });
  await server(`{ user(ref: { id: "${personal.variable}" }) { id } }`);
  await server(`{ ${personal.firstName} }`);
  await server(`{ user(ref: { email: "${personal.email}" `);
  await server('query ($first: Int!) { users(first: $first) { totalCount } }', { first: personal.variable });
  await send(url, personal.wrongKey, { query: '{ __typename }' });
  await send(url, token, { query: `{ users(first: 1) { nodes { firstName } } }` });
  await fetch(`${url}/graphql?query={user(ref:{email:"${personal.email}"}){${personal.firstName}}}`);
  await fetch(`${url}/${personal.email}`);
  await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${personal.serverKey}` },
    body: `{ "query": "${personal.email}`,
  });
  return [token];
}

const subscription =
  'subscription ($user: UserRef, $after: String) { deliveryEvents(user: $user, after: $after) { __typename } }';

/** The same over what stays open. */
async function subscribe(url: string): Promise<void> {
  const variables = { user: { externalUserId: personal.externalUserId }, after: '' };
  const stream = await send(url, personal.serverKey, { query: subscription, variables }, 'text/event-stream');
  const reader = stream.body?.getReader();
  await reader?.read();
  await reader?.cancel();
  const socket = await connectSocket(url, personal.serverKey);
  socket.send({ id: personal.variable, type: 'subscribe', payload: { query: subscription, variables } });
  await socket.next();
  socket.send({ id: 'b', type: 'subscribe', payload: { query: `{ ${personal.firstName} }` } });
  socket.send({
    id: 'c',
    type: 'subscribe',
    payload: { query: subscription, variables: { after: personal.variable } },
  });
  await socket.next();
  socket.send(`no JSON, says ${personal.email}`);
  await socket.closed;
  const stranger = await openSocket(url);
  stranger.send({ type: 'connection_init', payload: { authorization: `Bearer ${personal.wrongKey}` } });
  await stranger.closed;
}

/** The same while the database refuses rows, and quotes them in its errors. */
async function failInDatabase(url: string, pool: ReturnType<typeof openStorage>['pool']): Promise<void> {
  await pool.query(
    `alter table recipients add constraint nobody_from_toboso check (address not like '%toboso%') not valid`,
  );
  const userIdentity = { externalUserId: 'aldonza', emails: [personal.otherEmail] };
  const named = await send(url, personal.serverKey, { query: personalize, variables: { input: { userIdentity } } });
  await named.json();
  const installation = await send(url, personal.appKey, {
    query: `mutation { registerInstallation(input: { platform: WEB }) {
      ... on RegisterInstallationPayload { installation { pushRegistrationId } } } }`,
  });
  const { pushRegistrationId } = Object((await installation.json()).data).registerInstallation.installation;
  const failed = await send(url, personal.serverKey, {
    query: personalize,
    variables: { input: { installation: pushRegistrationId, userIdentity } },
  });
  expect(await failed.json()).toMatchObject({ errors: [{ extensions: { code: 'INTERNAL_SERVER_ERROR' } }] });
  await pool.query('alter table identifiers rename column value to hidden');
  const hidden = await send(url, personal.serverKey, {
    query: `{ user(ref: { email: "${personal.email}" }) { firstName } }`,
  });
  expect(await hidden.json()).toMatchObject({ errors: [{ extensions: { code: 'INTERNAL_SERVER_ERROR' } }] });
  await pool.query('alter table identifiers rename column hidden to value');
}

async function startLoggedProgram(): Promise<{ program: ReadyProgram; pool: ReturnType<typeof openStorage>['pool'] }> {
  const opened = new AsyncDisposableStack();
  onTestFinished(() => opened.disposeAsync());
  const database = await createTestDatabase();
  opened.defer(database.drop);
  const storage = openStorage(database.url);
  opened.defer(storage.close);
  const mailServer = await startFakeSmtp({ login: { user: 'quixote', password: 'right' } });
  opened.defer(mailServer.close);
  const program = await startProgram({
    NODE_ENV: 'production',
    ALLOW_OUTBOX: '1',
    DATABASE_URL: database.url,
    DATA_ENCRYPTION_KEY: Buffer.alloc(32, 6).toString('base64'),
    SERVER_KEY: personal.serverKey,
    APP_KEY: personal.appKey,
    TRUSTED_PROXIES: '127.0.0.1',
    SMTP_URL: mailServer.url.replace('right', personal.smtpPassword),
    MAIL_FROM: personal.mailFrom,
  });
  opened.use(program);
  return { program, pool: storage.pool };
}

test('what a program logs in production is JSON line by line, and has nothing of what people are, say, hold or come from', async () => {
  const { program, pool } = await startLoggedProgram();
  const secrets = await journey(program.url);
  await subscribe(program.url);
  await failInDatabase(program.url, pool);
  // Its password is wrong.
  await until(async () => program.stdout().includes('A channel is down'));
  expect(await program.stop()).toEqual({ exitCode: 0, signal: null });
  const lines = program.stdout().trimEnd().split('\n');
  for (const line of lines) expect(JSON.parse(line)).toHaveProperty('msg');
  // What went wrong on the server was logged.
  expect(program.stdout()).toContain('nobody_from_toboso');
  expect(program.stderr()).toBe('');
  for (const value of [...Object.values(personal), ...secrets]) expect(program.stdout()).not.toContain(value);
});
