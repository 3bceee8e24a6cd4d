import type { Variation } from './content.ts';

/** Whom a text is for. */
export interface Reader {
  /** BCP 47; null: not known. */
  language: string | null;
  isMember(segmentId: string): boolean;
}

/**
 * A language and those that stand in for it, the closest first: `zh-Hant-TW`, `zh-Hant`, `zh` (RFC 4647, 3.4; a subtag of one
 * character goes with the one before it). In small letters.
 */
export function listLanguages(language: string | null): string[] {
  const subtags = (language ?? '').toLowerCase().split('-');
  return subtags
    .map((_, index) => subtags.slice(0, subtags.length - index))
    .filter((kept) => (kept.at(-1)?.length ?? 0) > 1)
    .map((kept) => kept.join('-'));
}

/**
 * Which variation a reader gets, by its place; null: none fits. Of those that fit, the ones in a language that is not the closest
 * to the reader's are left out, whatever their order; then the first wins. Pure.
 */
export function decideVariation(variations: readonly Variation[], reader: Reader): number | null {
  const languages = listLanguages(reader.language);
  // 0: in any language; else the closer, the smaller.
  const rankOf = ({ language }: Variation) =>
    language === null ? 0 : languages.indexOf(language.toLowerCase()) + 1 || Infinity;
  const fitting = variations.flatMap((variation, place) => {
    const rank = rankOf(variation);
    const fits = rank !== Infinity && (variation.segment === null || reader.isMember(variation.segment));
    return fits ? [{ place, rank }] : [];
  });
  const closest = Math.min(...fitting.filter(({ rank }) => rank > 0).map(({ rank }) => rank));
  return fitting.find(({ rank }) => rank === 0 || rank === closest)?.place ?? null;
}
