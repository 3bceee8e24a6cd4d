import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto';

/** Encrypts what must not be readable in the database, and makes keyed hashes of what must be found again. */
export interface Cipher {
  /** AES-256-GCM: 12 bytes of nonce, the ciphertext, 16 bytes of tag. `purpose` is authenticated: a value is only readable where it was written. */
  encrypt(purpose: string, plaintext: string): Uint8Array<ArrayBuffer>;
  /** Throws when the value was changed, or written with another key or purpose. */
  decrypt(purpose: string, ciphertext: Uint8Array): string;
  /** HMAC-SHA-256 under a key of its own for each purpose. */
  hash(purpose: string, text: string): Uint8Array<ArrayBuffer>;
  /** Whether `hash` is the one of `text`, in constant time. */
  verify(purpose: string, text: string, hash: Uint8Array): boolean;
  /** Names the key without revealing it. */
  readonly fingerprint: string;
}

const nonceBytes = 12;
const tagBytes = 16;

/** A cipher over `DATA_ENCRYPTION_KEY` (32 bytes). Every use derives a key of its own from it (HKDF-SHA-256, RFC 5869). */
export function createCipher(key: Uint8Array): Cipher {
  const derive = (info: string) => Buffer.from(hkdfSync('sha256', key, new Uint8Array(), `carillon ${info}`, 32));
  const encryptionKey = derive('encryption');
  // Of bytes Node would make such an object at each use, which takes twice as long as the hash.
  const hashKeys = new Map<string, KeyObject>();
  const hashKey = (purpose: string) => {
    const known = hashKeys.get(purpose) ?? createSecretKey(derive(`hash ${purpose}`));
    hashKeys.set(purpose, known);
    return known;
  };
  const hash = (purpose: string, text: string) =>
    new Uint8Array(createHmac('sha256', hashKey(purpose)).update(text).digest());
  return {
    encrypt(purpose, plaintext) {
      const nonce = randomBytes(nonceBytes);
      const cipher = createCipheriv('aes-256-gcm', encryptionKey, nonce);
      cipher.setAAD(Buffer.from(purpose));
      const body = Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final()]);
      return new Uint8Array(Buffer.concat([nonce, body, cipher.getAuthTag()]));
    },
    decrypt(purpose, ciphertext) {
      const bytes = Buffer.from(ciphertext);
      const decipher = createDecipheriv('aes-256-gcm', encryptionKey, bytes.subarray(0, nonceBytes));
      decipher.setAAD(Buffer.from(purpose));
      decipher.setAuthTag(bytes.subarray(-tagBytes));
      const body = decipher.update(bytes.subarray(nonceBytes, -tagBytes));
      return Buffer.concat([body, decipher.final()]).toString('utf8');
    },
    hash,
    verify(purpose, text, given) {
      const expected = hash(purpose, text);
      return expected.length === given.length && timingSafeEqual(expected, given);
    },
    fingerprint: derive('fingerprint').toString('hex').slice(0, 32),
  };
}
