import { createHash } from 'node:crypto';
import smpp from 'smpp';

/** A text as `submit_sm` carries it: one part or more. */
export interface EncodedText {
  /** 0: the SMSC's default alphabet, which is GSM 03.38. 8: UCS-2 (SMPP 3.4, section 5.2.19). */
  dataCoding: 0 | 8;
  /** 0x40: the parts begin with a user data header (section 5.2.12). */
  esmClass: 0 | 0x40;
  parts: readonly Buffer[];
}

// 140 octets a part (3GPP TS 23.040, section 9.2.3.16), of which the header takes 6 (section 9.2.3.24.1); a septet is an octet here.
const septetsMax = { alone: 160, inParts: 153 };
const octetsMax = { alone: 140, inParts: 134 };

/** More than these nobody wants to get, or to pay for. @default 25 */
const partsMax = 25;

const escapeOctet = 0x1b;

/**
 * The text in the alphabet that it fits, cut where a part is full, but never within a character. Its parts are joined by a
 * reference that is the same whenever this delivery is sent: what is sent again is the same message to the phone. Null: it
 * is too long. Pure.
 */
export function encodeSmppText(text: string, deliveryId: string): EncodedText | null {
  const isGsm = !text.includes('\u001b') && smpp.encodings.ASCII.match(text);
  const whole = isGsm ? smpp.encodings.ASCII.encode(text) : Buffer.from(text, 'utf16le').swap16();
  const max = isGsm ? septetsMax : octetsMax;
  const dataCoding = isGsm ? 0 : 8;
  if (whole.length <= max.alone) return { dataCoding, esmClass: 0, parts: [whole] };
  const pieces = cut(whole, max.inParts, isGsm ? isInsideGsm : isInsideUcs2);
  if (pieces.length > partsMax) return null;
  const reference = createHash('sha256').update(deliveryId).digest().subarray(0, 1);
  const parts = pieces.map((piece, index) =>
    Buffer.concat([Buffer.from([5, 0, 3]), reference, Buffer.from([pieces.length, index + 1]), piece]),
  );
  return { dataCoding, esmClass: 0x40, parts };
}

function cut(whole: Buffer, length: number, isInside: (whole: Buffer, index: number) => boolean): Buffer[] {
  const pieces: Buffer[] = [];
  for (let from = 0; from < whole.length; ) {
    let to = Math.min(from + length, whole.length);
    while (to < whole.length && isInside(whole, to)) to -= 1;
    pieces.push(whole.subarray(from, to));
    from = to;
  }
  return pieces;
}

/** Whether a cut before `index` would part an escape from its character. */
const isInsideGsm = (whole: Buffer, index: number): boolean => whole[index - 1] === escapeOctet;

/** Whether a cut before `index` would part a surrogate pair, or a unit. */
const isInsideUcs2 = (whole: Buffer, index: number): boolean =>
  index % 2 === 1 || ((whole[index] ?? 0) >= 0xdc && (whole[index] ?? 0) <= 0xdf);
