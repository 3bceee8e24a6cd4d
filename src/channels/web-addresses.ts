// A web address in a text ends where characters end that people write one with: what follows may be a sentence in a script that writes
// no blanks, a quotation mark, or an emoji.

/** All letters but those of scripts without blanks between words, or that join words to what stands before them. */
const letter = String.raw`[[\p{L}\p{M}\p{N}_]--[\p{scx=Hani}\p{scx=Hira}\p{scx=Kana}\p{scx=Hang}\p{scx=Thai}\p{scx=Laoo}\p{scx=Khmr}\p{scx=Mymr}]]`;
/** A host in ASCII, and then what RFC 3986 has, with letters that programs encode. */
const webAddress = new RegExp(
  String.raw`https?:\/\/[a-z0-9_][\-.a-z0-9_]*(?::[0-9]+)?(?:[\/?#](?:[\-.~%:\/?#\[\]@!$&'\(\)*+,;=]|${letter})*)?`,
  'giv',
);
/** A host of which what was found is only the beginning, or no host but a name: a part leads elsewhere. */
const goesOn = new RegExp(String.raw`^(?:[@:]\w|\.[^\x00-\x7f]|[\{\|\^\\]|${letter})`, 'v');
/** After which another word of any script belongs to it. */
const isOpen = /[/=&?#_-]$/;

/** How long an address is without what ends a sentence, or closes a bracket that was opened before it. */
function lengthOfAddress(found: string): number {
  const brackets = { ')': countOf(found, ')') - countOf(found, '('), ']': countOf(found, ']') - countOf(found, '[') };
  for (let length = found.length; length > 0; length -= 1) {
    const last = found.charAt(length - 1);
    if (last === ')' || last === ']') {
      if (brackets[last] <= 0) return length;
      brackets[last] -= 1;
    } else if (!".,;:!?'".includes(last)) return length;
  }
  return 0;
}

const countOf = (text: string, character: string): number => text.split(character).length - 1;

/** A piece of a text. */
export interface TextPiece {
  text: string;
  /** Whether it is a whole address, http or https, with a host in ASCII. */
  isAddress: boolean;
}

/** Cuts a text at its web addresses. One with another host than in ASCII is text. Side by side the pieces are the text. */
export function cutAtWebAddresses(text: string): TextPiece[] {
  const pieces: TextPiece[] = [];
  let end = 0;
  for (const { 0: found, index } of text.matchAll(webAddress)) {
    const address = found.slice(0, lengthOfAddress(found));
    const behind = text.slice(index + address.length, index + address.length + 3);
    if (goesOn.test(behind) || (isOpen.test(address) && /^\p{L}/u.test(behind))) continue;
    pieces.push({ text: text.slice(end, index), isAddress: false }, { text: address, isAddress: true });
    end = index + address.length;
  }
  return [...pieces, { text: text.slice(end), isAddress: false }];
}

/** The host of an address that is written out: none that a placeholder makes longer. */
const writtenHosts = [
  /https?:\/\/([^\s<>"'\\/?#{}|]+)(?=[\s<>"'\\/?#]|$)/gi,
  // Where no blank follows.
  new RegExp(String.raw`https?:\/\/(\w[\w.\-]*(?::\d+)?)(?![\w.\-%@\{\}\|]|:[\w\{]|${letter})`, 'giv'),
];

/** Hosts of the web addresses in `written`, JSON, as URLs have them. */
export function hostsIn(written: string): ReadonlySet<string> {
  const found = writtenHosts.flatMap((pattern) => [...written.matchAll(pattern)]);
  const hosts = found.map(([, host = '']) => host.slice(0, lengthOfAddress(host)));
  return new Set(hosts.flatMap((host) => URL.parse(`https://${host}`)?.host ?? []));
}
