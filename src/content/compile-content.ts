import { type Filter, readFilter } from '../segments/filter.ts';
import { segmentsNamedBy } from '../segments/known-segments.ts';
import type { Content, Variation } from './content.ts';
import { hasPlaceholders, type ParsedText, parseText } from './liquid.ts';
import { type NamedValues, toNamedValues } from './names.ts';

/** A text of a content, and where it stands. */
interface PlacedText {
  text: string;
  path: readonly string[];
}

/** The texts of a content that may hold placeholders: its own and those of its variations. */
export function listTexts(content: Content): PlacedText[] {
  const { variations, labels: _, ...fields } = content;
  return [
    ...textsOf(fields, []),
    ...variations.flatMap((variation, index) => textsOf(variation.fields, ['variations', String(index)])),
  ];
}

function textsOf(fields: Variation['fields'], path: readonly string[]): PlacedText[] {
  return Object.entries(fields).flatMap(([name, value]) => textsIn(value, [...path, name]));
}

function textsIn(value: unknown, path: readonly string[]): PlacedText[] {
  if (typeof value === 'string') return [{ text: value, path }];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => textsIn(inner, [...path, key]));
}

/** A label whose filters can be asked. */
interface CompiledLabel {
  name: string;
  cases: readonly { filter: Filter; value: string }[];
  defaultValue: string;
}

/** A content that can be rendered again and again. */
export interface CompiledContent {
  content: Content;
  /** What was read of each text with placeholders. */
  texts: ReadonlyMap<string, ParsedText>;
  named: NamedValues;
  labels: readonly CompiledLabel[];
  /** Segments that decide something. */
  segmentIds: readonly string[];
  /** Whether everybody is told the same, word for word. */
  isConstant: boolean;
}

/** Reads all texts of a content. @throws Error for one that cannot be read: those of what was accepted can. */
export function compileContent(content: Content): CompiledContent {
  const wanted = new Set(
    listTexts(content)
      .map(({ text }) => text)
      .filter(hasPlaceholders),
  );
  const texts = new Map([...wanted].map((text) => [text, parseText(text)]));
  const labels = content.labels.map((label) => ({
    ...label,
    cases: label.cases.map(({ filter, value }) => ({ filter: readFilter(filter), value })),
  }));
  return {
    content,
    texts,
    named: toNamedValues([...texts.values()].flatMap(({ paths }) => paths)),
    labels,
    segmentIds: [
      ...content.variations.flatMap(({ segment }) => segment ?? []),
      ...labels.flatMap(({ cases }) => cases.flatMap(({ filter }) => segmentsNamedBy(filter))),
    ],
    isConstant: texts.size === 0 && content.variations.length === 0,
  };
}
