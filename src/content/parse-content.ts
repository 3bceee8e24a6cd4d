import type { MessageButton } from '../channels/channel.ts';
import { findWhatsAppMistake } from '../channels/whatsapp-template.ts';
import { DomainError } from '../errors.ts';
import { isUuid } from '../ids.ts';
import { isHttpUrl, toLanguage } from '../users/user-attributes.ts';
import { listTexts } from './compile-content.ts';
import { type Content, contentSchema, otherFieldsSchema, type Variation } from './content.ts';
import { hasPlaceholders, type ParsedText, parseText } from './liquid.ts';
import { findPathMistake } from './names.ts';

/** A button as a caller writes it. */
export interface ButtonInput {
  label: string;
  url?: string | null | undefined;
  action?: string | null | undefined;
}

/** What can be said to everybody, or to some instead. */
interface FieldsInput {
  title?: string | null | undefined;
  body?: string | null | undefined;
  subtitle?: string | null | undefined;
  icon?: string | null | undefined;
  image?: string | null | undefined;
  url?: string | null | undefined;
  buttons?: readonly ButtonInput[] | null | undefined;
  data?: Record<string, unknown> | null | undefined;
}

/** What some are told instead: what is absent is said as to everybody, null leaves it out. */
export interface VariationInput extends FieldsInput {
  language?: string | null | undefined;
  /** Local id. */
  segment?: string | null | undefined;
}

/** What a caller wants said. */
export interface ContentInput extends FieldsInput {
  body: string;
  variations?: readonly VariationInput[] | null | undefined;
}

/** The content as JSON. @default 65_536 // bytes */
const contentBytesMax = 65_536;
/** As many as the client takes that takes most: see `buttonsMax`. @default 10 */
const buttonCountMax = 10;
/** @default 100 */
export const variationCountMax = 100;

const nothing = { title: null, subtitle: null, icon: null, image: null, url: null, data: null };

/**
 * A content in the form in which it is kept, held against nothing but itself: its placeholders can be read and name what there is
 * to name. Segments and labels are held against what there is by `settleContent`, the time that it takes by `refuseEndlessTexts`.
 *
 * @throws DomainError `VALUE_INVALID`, `LIMIT_EXCEEDED`
 */
export function parseContent(input: ContentInput, path: readonly string[] = ['content']): Content {
  const { variations, ...said } = input;
  const count = variations?.length ?? 0;
  if (count > variationCountMax) {
    throw new DomainError('LIMIT_EXCEEDED', `At most ${variationCountMax} variations.`, [...path, 'variations']);
  }
  const content = contentSchema.parse({
    ...nothing,
    ...parseFields(said, path),
    variations: (variations ?? []).map((each, index) => parseVariation(each, [...path, 'variations', String(index)])),
  });
  if (Buffer.byteLength(JSON.stringify(content)) > contentBytesMax) {
    throw new DomainError('LIMIT_EXCEEDED', `The content has more than ${contentBytesMax} bytes.`, path);
  }
  refuseUnreadableTexts(content, path);
  return content;
}

function parseVariation(input: VariationInput, path: readonly string[]): Variation {
  const { language, segment, ...said } = input;
  if (typeof language !== 'string' && typeof segment !== 'string') {
    throw new DomainError('VALUE_INVALID', 'Say for which language, or for which segment.', path);
  }
  const canonical = typeof language === 'string' ? toLanguage(language) : null;
  if (typeof language === 'string' && canonical === null) {
    throw new DomainError('VALUE_INVALID', 'Not a BCP 47 language tag, such as "en" or "pt-BR".', [
      ...path,
      'language',
    ]);
  }
  if (typeof segment === 'string' && !isUuid(segment)) {
    throw new DomainError('VALUE_INVALID', 'This is not an id.', [...path, 'segment']);
  }
  return { language: canonical, segment: segment?.toLowerCase() ?? null, fields: parseFields(said, path) };
}

/** What is absent stays absent. */
function parseFields({ body, buttons, ...said }: FieldsInput, path: readonly string[]): Variation['fields'] {
  if (typeof body === 'string' && body.trim() === '') {
    throw new DomainError('VALUE_INVALID', 'There is nothing to say: the body is empty.', [...path, 'body']);
  }
  for (const name of ['icon', 'image', 'url'] as const) refuseOtherUrl(said[name], [...path, name]);
  // As for a URL: what holds placeholders is looked at when it is rendered.
  const mistake = findWhatsAppMistake(said.data ?? null, hasPlaceholders);
  if (mistake !== null) {
    const form = 'Not a WhatsApp template: { template, language, parameters }, no parameter empty.';
    throw new DomainError('VALUE_INVALID', form, [...path, 'data', ...mistake]);
  }
  const given = Object.entries(said).filter(([, value]) => value !== undefined);
  return otherFieldsSchema.parse({
    ...Object.fromEntries(given),
    ...(typeof body === 'string' && { body }),
    ...(buttons !== undefined && { buttons: parseButtons(buttons ?? [], [...path, 'buttons']) }),
  });
}

function parseButtons(buttons: readonly ButtonInput[], path: readonly string[]): MessageButton[] {
  if (buttons.length > buttonCountMax) {
    throw new DomainError('LIMIT_EXCEEDED', `At most ${buttonCountMax} buttons.`, path);
  }
  return buttons.map(({ label, url, action }, index) => {
    const at = [...path, String(index)];
    if (label.trim() === '') throw new DomainError('VALUE_INVALID', 'A button has a label.', [...at, 'label']);
    refuseOtherUrl(url, [...at, 'url']);
    return { label, url: url ?? null, action: action ?? null };
  });
}

/** What holds placeholders is looked at when it is rendered. */
function refuseOtherUrl(url: string | null | undefined, path: readonly string[]): void {
  if (typeof url !== 'string' || hasPlaceholders(url) || isHttpUrl(url)) return;
  throw new DomainError('VALUE_INVALID', 'Not an http or https URL.', path);
}

function refuseUnreadableTexts(content: Content, path: readonly string[]): void {
  for (const { text, path: place } of listTexts(content)) {
    const at = [...path, ...place];
    const mistake = readText(text, at)
      .paths.map(findPathMistake)
      .find((found) => found !== null);
    if (mistake !== undefined) throw new DomainError('VALUE_INVALID', mistake, at);
  }
}

function readText(text: string, path: readonly string[]): ParsedText {
  try {
    return parseText(text);
  } catch (error) {
    const mistake = error instanceof Error ? error.message : 'it cannot be read';
    throw new DomainError('VALUE_INVALID', `The placeholders of this text are not right: ${mistake}.`, path);
  }
}
