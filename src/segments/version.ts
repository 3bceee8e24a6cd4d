// As `version_key` has it (migration dynamic_segments): a property test holds the two together.
const versionPattern =
  /^v?([0-9]{1,18})(?:[.]([0-9]{1,18}))?(?:[.]([0-9]{1,18}))?(?:-([0-9A-Za-z-]+(?:[.][0-9A-Za-z-]+)*))?(?:[+][0-9A-Za-z.-]+)?$/;

/**
 * A text that sorts (by code point) as versions do by Semantic Versioning 2.0.0, 11; null for what is no version. "1.2" is
 * "1.2.0", and "v1.2.0" too.
 */
export function toVersionKey(version: string): string | null {
  const match = versionPattern.exec(version);
  if (!match) return null;
  const [, major = '', minor = '', patch = '', preRelease] = match;
  const core = [major, minor, patch].map((part) => part.padStart(18, '0')).join('');
  // A release comes after each of its pre-releases.
  return preRelease === undefined ? `${core}~` : core + preRelease.split('.').map(toKeyPart).join('');
}

/** Numbers come before words, a shorter number before a longer one, and the end before what goes on. */
function toKeyPart(part: string): string {
  if (!/^[0-9]+$/.test(part)) return `1${part} `;
  const digits = part.replace(/^0+/, '');
  return `0${String(digits.length).padStart(3, '0')}${digits} `;
}
