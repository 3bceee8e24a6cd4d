import { createHmac, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { graphql } from '../generated/gql.ts';
import type { UpdateAppInput, UserTokenAlgorithm, UserTokenKeyInput } from '../generated/graphql.ts';
import type { Client } from './client.ts';
import { makeApiKey } from './keys.ts';
import { localIdOf } from './send-operations.ts';

/** Apps that let their clients say who uses them, and the tokens that their back ends sign. */

const Create = graphql(`
  mutation CreateRegisteringApp($input: CreateAppInput!) {
    createApp(input: $input) { __typename ... on CreateAppPayload { app { id } } }
  }
`);

const Update = graphql(`
  mutation UpdateUserRegistration($input: UpdateAppInput!) {
    updateApp(input: $input) {
      __typename
      ... on Error { code message path }
      ... on UpdateAppPayload { app { id userRegistration userTokenKeys { keyId algorithm createdAt } } }
    }
  }
`);

export const updateApp = async (server: Client, input: UpdateAppInput) =>
  (await server.run(Update, { input })).updateApp;

/** An app with settings of its own. */
export interface RegisteringApp {
  /** Global id. */
  id: string;
  /** As tokens say it in `aud`. */
  uuid: string;
  /** With the app's publishable key. */
  client: Client;
}

/** A new app; fails when its settings are refused. */
export async function makeApp(server: Client, settings: Omit<UpdateAppInput, 'app'>): Promise<RegisteringApp> {
  const { createApp: made } = await server.run(Create, { input: { name: crypto.randomUUID() } });
  if (made?.__typename !== 'CreateAppPayload') throw new Error(`Refused: ${JSON.stringify(made)}`);
  const { id } = made.app;
  const updated = await updateApp(server, { app: id, ...settings });
  if (updated?.__typename !== 'UpdateAppPayload') throw new Error(`Refused: ${JSON.stringify(updated)}`);
  const { secret } = await makeApiKey(server, { kind: 'APP', name: 'clients', app: id });
  return { id, uuid: localIdOf(id), client: server.as(secret) };
}

/** A back end's key. */
export interface Signer {
  /** As `updateApp` takes it. */
  key: UserTokenKeyInput;
  /** Null for a shared secret. */
  privateKey: KeyObject | null;
  /** A token of these claims; `header` replaces what it says by itself. */
  sign(claims: object, header?: object): string;
}

/** A new key, or with `secret` the one of these bytes. */
export function makeSigner(algorithm: UserTokenAlgorithm, { secret = randomBytes(32) } = {}): Signer {
  const keyId = `key-${randomBytes(4).toString('hex')}`;
  const pair =
    algorithm === 'ES256'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('rsa', { modulusLength: 2048 });
  const privateKey = algorithm === 'HS256' ? null : pair.privateKey;
  const signed = (text: string): Buffer =>
    privateKey
      ? sign('sha256', Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' })
      : createHmac('sha256', secret).update(text).digest();
  const key = privateKey
    ? pair.publicKey.export({ type: 'spki', format: 'pem' }).toString()
    : secret.toString('base64');
  return {
    key: { keyId, algorithm, key },
    privateKey,
    sign(claims, header = {}) {
      const text = [{ alg: algorithm, typ: 'JWT', kid: keyId, ...header }, claims].map(encode).join('.');
      return `${text}.${signed(text).toString('base64url')}`;
    },
  };
}

const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');

/** A token that nobody signed, as `alg: none` has it. */
export const unsigned = (claims: object, signature = '') =>
  `${[{ alg: 'none', typ: 'JWT' }, claims].map(encode).join('.')}.${signature}`;

/** Now, and so many seconds later, as tokens tell time. */
export const inSeconds = (seconds: number) => Math.floor(Date.now() / 1000) + seconds;

/** What a good token of an app says of a person. */
export const claimsOf = ({ uuid }: Pick<RegisteringApp, 'uuid'>, sub: string, rest: object = {}) => ({
  sub,
  aud: uuid,
  iat: inSeconds(0),
  exp: inSeconds(300),
  ...rest,
});
