import { createPublicKey, type KeyObject } from 'node:crypto';
import { importSPKI } from 'jose';
import { DomainError } from '../errors.ts';
import type { UserTokenAlgorithm } from '../generated/prisma/enums.ts';
import { newId } from '../ids.ts';
import type { Cipher } from '../storage/cipher.ts';
import { type Database, sql, type Transaction } from '../storage/database.ts';

/** With which tokens that say who a user is are verified. */
export interface UserTokenKey {
  /** `kid` of the tokens. */
  keyId: string;
  algorithm: UserTokenAlgorithm;
  /** ES256, RS256: public key, PEM (SPKI). HS256: the shared secret, base64. */
  key: string;
}

/** @default 10 // keys an app: the present one, the next one, and those of a few back ends */
const keysMax = 10;
/** @default 256 // characters */
const keyIdCharactersMax = 256;
/** @default 8_192 // characters; an RSA key of 16,384 bits has 2,800 */
const keyCharactersMax = 8_192;
// RFC 7518, 3.2 and 3.3: a secret is as long as the hash, an RSA key has 2,048 bits or more.
const secretBytesMin = 32;
const rsaBitsMin = 2_048;

const publicKeyPattern = /^-----BEGIN PUBLIC KEY-----\s[A-Za-z0-9+/=\s]+-----END PUBLIC KEY-----$/;
const base64Pattern = /^[\w+/-]+={0,2}$/;

/**
 * Keys in the form in which they are kept.
 *
 * @throws DomainError `VALUE_INVALID` at the place of the mistake.
 */
export function parseUserTokenKeys(given: readonly UserTokenKey[]): UserTokenKey[] {
  if (given.length > keysMax) throw badKey([String(keysMax)], `At most ${keysMax} keys.`);
  return given.map(({ keyId, algorithm, key }, index) => {
    const place = String(index);
    if (keyId.length === 0 || keyId.length > keyIdCharactersMax) {
      throw badKey([place, 'keyId'], `A key's id has 1 to ${keyIdCharactersMax} characters.`);
    }
    if (given.findIndex((other) => other.keyId === keyId) < index) {
      throw badKey([place, 'keyId'], "Two keys of an app have different ids: a token's `kid` names one.");
    }
    if (key.length > keyCharactersMax) throw badKey([place, 'key'], `At most ${keyCharactersMax} characters.`);
    return { keyId, algorithm, key: parsers[algorithm](key.trim(), [place, 'key']) };
  });
}

type ParseKey = (text: string, place: readonly string[]) => string;

const parsers: Record<UserTokenAlgorithm, ParseKey> = {
  ES256(text, place) {
    const key = parsePublicKey(text, place);
    if (key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1') return toPem(key);
    throw badKey(place, 'ES256 needs an EC key on the curve P-256.');
  },
  RS256(text, place) {
    const key = parsePublicKey(text, place);
    const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
    if (key.asymmetricKeyType === 'rsa' && bits >= rsaBitsMin) return toPem(key);
    throw badKey(place, `RS256 needs an RSA key of at least ${rsaBitsMin} bits.`);
  },
  HS256(text, place) {
    const secret = base64Pattern.test(text) ? Buffer.from(text, 'base64') : null;
    if (secret && secret.length >= secretBytesMin) return secret.toString('base64');
    throw badKey(place, `HS256 needs a secret of at least ${secretBytesMin} bytes, in base64.`);
  },
};

/** Node would read a private key here too, and make the public one of it: it is not to be sent around. */
function parsePublicKey(text: string, place: readonly string[]): KeyObject {
  if (text.includes('PRIVATE KEY')) {
    throw badKey(
      place,
      "This is a private key, which is nobody else's business: give the public one, and replace both.",
    );
  }
  const key = publicKeyPattern.test(text) ? readPublicKey(text) : null;
  if (key) return key;
  throw badKey(place, 'Not a public key in PEM: "-----BEGIN PUBLIC KEY-----" and so on (SPKI).');
}

function readPublicKey(pem: string): KeyObject | null {
  try {
    return createPublicKey(pem);
  } catch {
    // It is bytes, but no key.
    return null;
  }
}

function toPem(key: KeyObject): string {
  return key.export({ type: 'spki', format: 'pem' }).toString();
}

function badKey(place: readonly string[], message: string): DomainError {
  return new DomainError('VALUE_INVALID', message, ['userTokenKeys', ...place]);
}

/** A key is readable only as one of its app. */
const purposeOf = (appId: string) => `user token key of ${appId}`;

/** Gives an app these keys instead of those that it has. The app is locked. */
export async function replaceUserTokenKeys(
  tx: Transaction,
  cipher: Cipher,
  { appId, keys }: { appId: string; keys: readonly UserTokenKey[] },
): Promise<void> {
  await tx.$executeRaw(sql`delete from user_token_keys where app_id = ${appId}::uuid`);
  await tx.$executeRaw(sql`
    insert into user_token_keys (id, app_id, key_id, algorithm, key_cipher)
    select id, ${appId}::uuid, key_id, algorithm, key_cipher
    from unnest(
      ${keys.map(() => newId())}::uuid[],
      ${keys.map(({ keyId }) => keyId)}::text[],
      ${keys.map(({ algorithm }) => algorithm)}::user_token_algorithm[],
      ${keys.map(({ key }) => cipher.encrypt(purposeOf(appId), key))}::bytea[]
    ) as given (id, key_id, algorithm, key_cipher)
  `);
}

/** A key that verifies. */
export interface UserTokenVerifier {
  keyId: string;
  algorithm: UserTokenAlgorithm;
  /** The key as `jose` takes it: good for its algorithm only. */
  toKey(): Promise<CryptoKey | Uint8Array>;
}

/** The keys of an app. */
export async function findUserTokenKeys(
  db: Pick<Database, 'userTokenKey'>,
  cipher: Cipher,
  appId: string,
): Promise<UserTokenVerifier[]> {
  const rows = await db.userTokenKey.findMany({ where: { appId } });
  return rows.map(({ keyId, algorithm, keyCipher }) => ({
    keyId,
    algorithm,
    async toKey() {
      const key = cipher.decrypt(purposeOf(appId), keyCipher);
      return algorithm === 'HS256' ? new Uint8Array(Buffer.from(key, 'base64')) : importSPKI(key, algorithm);
    },
  }));
}
