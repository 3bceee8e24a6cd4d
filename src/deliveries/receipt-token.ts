import type { Cipher } from '../storage/cipher.ts';

const purpose = 'receipt token';

/** Travels inside a push and lets whoever received it report on that one delivery. Nothing is stored for it. */
export function createReceiptToken(cipher: Cipher, deliveryId: string): string {
  return Buffer.from(cipher.hash(purpose, deliveryId)).toString('base64url');
}

/** Whether `token` is the one of this delivery, in constant time. */
export function isReceiptToken(cipher: Cipher, deliveryId: string, token: string): boolean {
  return cipher.verify(purpose, deliveryId, Buffer.from(token, 'base64url'));
}
