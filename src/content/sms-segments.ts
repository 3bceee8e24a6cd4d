/** How a text goes out as SMS. */
export interface SmsSegments {
  /** GSM-7 has 160 characters in a message, UCS-2 (as soon as one character is not in GSM-7) has 70. */
  encoding: 'GSM_7' | 'UCS_2';
  /** Messages that it takes, each of which is paid for. */
  count: number;
}

// 3GPP TS 23.038, 6.2.1: the default alphabet, and its extension, whose characters take two septets.
const basic = new Set(
  '@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !"#¤%&\'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà',
);
const extended = new Set('\f^{}\\[~]|€');

/**
 * How many messages a text takes. A message holds 140 bytes; one of several 134, as six tell its place (3GPP TS 23.040, 9.2.3.24.1).
 * No character is cut in two. Pure.
 */
export function countSmsSegments(text: string): SmsSegments {
  const characters = [...text];
  const isGsm = characters.every((character) => basic.has(character) || extended.has(character));
  const sizeOf = (character: string) => (isGsm ? (extended.has(character) ? 2 : 1) : character.length);
  const [alone, together] = isGsm ? [160, 153] : [70, 67];
  const size = characters.reduce((sum, character) => sum + sizeOf(character), 0);
  const encoding = isGsm ? 'GSM_7' : 'UCS_2';
  if (size <= alone) return { encoding, count: 1 };
  let [count, free] = [1, together];
  for (const character of characters) {
    if (sizeOf(character) > free) [count, free] = [count + 1, together];
    free -= sizeOf(character);
  }
  return { encoding, count };
}
