import { timingSafeEqual } from 'node:crypto';
import { isUuid } from '../ids.ts';
import type { Cipher } from '../storage/cipher.ts';

// Links of ours in messages. All that they say is in them, under a signature, so that nothing is stored for them, nobody makes
// one up, and none leads where the sender did not want it to.

/** How many bytes of the signature (HMAC-SHA-256) a link carries. */
const macBytes = 16;
const idBytes = 16;
/** Of a link's last part. A target is at most as long as an address may be. @default 8_192 // characters */
const tokenCharactersMax = 8_192;

/** For what an address is encrypted: links are passed on, and stand in logs. */
const linkAddress = 'address in a link';

type LinkKind = 'unsubscribe' | 'click' | 'open';

/** Where a tracked link leads, and from which delivery. */
export interface ClickLink {
  deliveryId: string;
  /** http or https, as the sender wrote it. */
  target: string;
}

/** What a link to unsubscribe is about. */
export interface UnsubscribeLink {
  recipientId: string;
  /** To which address the message went, in normal form: it may be another recipient's by now. Null: an older link, without it. */
  email: string | null;
  /** What the message was about, which the link takes the person off; null: off all messages to the recipient. */
  topicId: string | null;
}

/** Makes links below `publicUrl`. */
export interface LinkMaker {
  /** Leads to the page that takes a person off a topic, or opts a recipient out. */
  unsubscribe(link: UnsubscribeLink): string;
  /** Leads to `target`, and counts. */
  click(link: ClickLink): string;
  /** An image that counts. */
  open(deliveryId: string): string;
}

/** @param publicUrl without a slash at the end. */
export function createLinkMaker(cipher: Cipher, publicUrl: string): LinkMaker {
  const sign = (kind: LinkKind, id: string, text = '') => signToken(cipher, { kind, id, text });
  return {
    unsubscribe: ({ recipientId, email, topicId }) => {
      const sealed = email === null ? '' : `.${Buffer.from(cipher.encrypt(linkAddress, email)).toString('base64url')}`;
      return `${publicUrl}/unsubscribe/${sign('unsubscribe', recipientId, `${topicId ?? ''}${sealed}`)}`;
    },
    click: ({ deliveryId, target }) => `${publicUrl}/l/${sign('click', deliveryId, target)}`,
    open: (deliveryId) => `${publicUrl}/o/${sign('open', deliveryId)}.gif`,
  };
}

/** Null: the link is none of ours. */
export function readUnsubscribeToken(cipher: Cipher, token: string): UnsubscribeLink | null {
  const read = readToken(cipher, 'unsubscribe', token);
  if (read === null) return null;
  const [topicId = '', sealed] = read.text.split('.');
  const email = sealed === undefined ? null : cipher.decrypt(linkAddress, Buffer.from(sealed, 'base64url'));
  return { recipientId: read.id, email, topicId: topicId || null };
}

/** Null: the link is none of ours. */
export function readClickToken(cipher: Cipher, token: string): ClickLink | null {
  const read = readToken(cipher, 'click', token);
  return read && { deliveryId: read.id, target: read.text };
}

/** The delivery that an image names; null: the link is none of ours. */
export function readOpenToken(cipher: Cipher, token: string): string | null {
  return readToken(cipher, 'open', token)?.id ?? null;
}

interface Signed {
  kind: LinkKind;
  id: string;
  text: string;
}

/** base64url of the id, the signature, and the text. */
function signToken(cipher: Cipher, signed: Signed): string {
  const id = Buffer.from(signed.id.replaceAll('-', ''), 'hex');
  return Buffer.concat([id, macOf(cipher, signed), Buffer.from(signed.text)]).toString('base64url');
}

function macOf(cipher: Cipher, { kind, id, text }: Signed): Uint8Array {
  return cipher.hash(`link ${kind}`, `${id.toLowerCase()} ${text}`).subarray(0, macBytes);
}

function readToken(cipher: Cipher, kind: LinkKind, token: string): Signed | null {
  if (token.length > tokenCharactersMax || !/^[A-Za-z0-9_-]+$/.test(token)) return null;
  const bytes = Buffer.from(token, 'base64url');
  const hex = bytes.toString('hex', 0, idBytes);
  const id = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
  const mac = bytes.subarray(idBytes, idBytes + macBytes);
  if (mac.length !== macBytes || !isUuid(id)) return null;
  const signed = { kind, id, text: bytes.toString('utf8', idBytes + macBytes) };
  return timingSafeEqual(mac, macOf(cipher, signed)) ? signed : null;
}
