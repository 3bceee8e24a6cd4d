import { createDecipheriv, type ECDH, hkdfSync } from 'node:crypto';

/** What a browser keeps of its push subscription. */
export interface SubscriptionSecrets {
  /** Its P-256 key pair. */
  keys: ECDH;
  /** 16 bytes. */
  auth: Buffer;
}

/**
 * The plaintext of a push: `aes128gcm` (RFC 8188) with the keys of RFC 8291. Written from the two texts, on node:crypto
 * alone, so that it can tell whether what the gateway sends is right. Throws when it is not.
 */
export function decryptPush(body: Buffer, { keys, auth }: SubscriptionSecrets): Buffer {
  // RFC 8188, section 2.1: salt (16), record size (4), key id length (1), key id.
  const salt = body.subarray(0, 16);
  const recordSize = body.readUInt32BE(16);
  const senderKey = body.subarray(21, 21 + body.readUInt8(20));
  const record = body.subarray(21 + senderKey.length);
  if (record.length > recordSize) throw new Error('A push has one record (RFC 8291, section 4).');

  // RFC 8291, section 3.4.
  const keyInfo = Buffer.concat([Buffer.from('WebPush: info\0'), keys.getPublicKey(), senderKey]);
  const inputKey = Buffer.from(hkdfSync('sha256', keys.computeSecret(senderKey), auth, keyInfo, 32));
  const contentKey = hkdfSync('sha256', inputKey, salt, 'Content-Encoding: aes128gcm\0', 16);
  const nonce = hkdfSync('sha256', inputKey, salt, 'Content-Encoding: nonce\0', 12);

  const decipher = createDecipheriv('aes-128-gcm', Buffer.from(contentKey), Buffer.from(nonce));
  decipher.setAuthTag(record.subarray(-16));
  const padded = Buffer.concat([decipher.update(record.subarray(0, -16)), decipher.final()]);
  // RFC 8188, section 2: the delimiter of the last record is 2, zeros follow.
  const end = padded.findLastIndex((byte) => byte !== 0);
  if (padded[end] !== 2) throw new Error('The last record has no delimiter.');
  return padded.subarray(0, end);
}
