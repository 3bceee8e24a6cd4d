import { isCalendarDay } from '../attributes/moment.ts';
import { DomainError, type ErrorCode } from '../errors.ts';
import { Channel, Gender } from '../generated/prisma/enums.ts';
import { findVariablesMistake } from '../operations/text-mistake.ts';
import { isJsonObject } from './csv-records.ts';
import { type LineDraft, type OptOutChannel, type TextAttribute, textAttributes } from './line-draft.ts';

/** Puts a value of a file, a text of CSV or whatever JSON holds, but never null or an empty text, into a draft. */
export type FieldWriter = (draft: LineDraft, value: unknown) => void;

/** Types of custom attributes that a text in a file has to be converted for. All others are read from texts as they are. */
export type ConvertedTypes = ReadonlyMap<string, 'BOOLEAN' | 'OBJECT_LIST'>;

/** What stands between the items of a list in one cell. @default '|' */
const defaultSeparator = '|';

const customPrefix = 'customAttributes.';

/** Names of the fields, all but those of custom attributes, `customAttributes.<name>`. */
export const fieldNames: readonly string[] = [
  'externalUserId',
  'email',
  'emails',
  'phone',
  'phones',
  ...textAttributes,
  'gender',
  'birthday',
  'preferredChannel',
  'tags',
  'customAttributes',
  'emailIsSubscribed',
  'smsIsSubscribed',
];

/** How cells are read. */
export interface FieldOptions {
  separator?: string | undefined;
  types: ConvertedTypes;
}

/** What writes a field; null: there is none of this name. The writer throws DomainError `VALUE_INVALID`, `ATTRIBUTE_INVALID`. */
export function findFieldWriter(
  name: string,
  { separator = defaultSeparator, types }: FieldOptions,
): FieldWriter | null {
  if (name.startsWith(customPrefix)) return customAttribute(name.slice(customPrefix.length), types);
  const text = textAttributes.find((known) => known === name);
  if (text) return textAttribute(text);
  switch (name) {
    case 'externalUserId':
      return (draft, value) => {
        draft.externalUserId = toText(value, ['externalUserId']);
      };
    case 'email':
      return (draft, value) => void draft.emails.push(toText(value, ['emails']));
    case 'phone':
      return (draft, value) => void draft.phones.push(toText(value, ['phones']));
    case 'emails':
      return (draft, value) => void draft.emails.push(...toTexts(value, separator, ['emails']));
    case 'phones':
      return (draft, value) => void draft.phones.push(...toTexts(value, separator, ['phones']));
    case 'tags':
      return (draft, value) => {
        draft.tags = [...(draft.tags ?? []), ...toTexts(value, separator, ['userAttributes', 'tags'])];
      };
    case 'gender':
      return (draft, value) => {
        draft.gender = toEnum(value, Gender, ['userAttributes', 'gender']);
      };
    case 'preferredChannel':
      return (draft, value) => {
        draft.preferredChannel = toEnum(value, Channel, ['userAttributes', 'preferredChannel']);
      };
    case 'birthday':
      return (draft, value) => {
        draft.birthday = toDay(value, ['userAttributes', 'birthday']);
      };
    case 'customAttributes':
      return customAttributes(types);
    case 'emailIsSubscribed':
      return optOut('EMAIL', name);
    case 'smsIsSubscribed':
      return optOut('SMS', name);
    default:
      return null;
  }
}

function textAttribute(name: TextAttribute): FieldWriter {
  return (draft, value) => {
    draft.texts[name] = toText(value, ['userAttributes', name]);
  };
}

function customAttribute(name: string, types: ConvertedTypes): FieldWriter {
  const path = ['userAttributes', 'customAttributes', name];
  const type = types.get(name.normalize('NFC'));
  return (draft, value) => void draft.customAttributes.set(name, convert(value, type, path));
}

function customAttributes(types: ConvertedTypes): FieldWriter {
  const path = ['userAttributes', 'customAttributes'];
  return (draft, value) => {
    const object = typeof value === 'string' ? parseJson(value, path) : value;
    if (!isJsonObject(object)) throw invalid('ATTRIBUTE_INVALID', 'This is no JSON object.', path);
    for (const [name, inner] of Object.entries(object)) {
      if (inner === null || inner === '') continue;
      draft.customAttributes.set(name, convert(inner, types.get(name.normalize('NFC')), [...path, name]));
    }
  };
}

/** What is no text, the engine reads as it is; so it does texts of all other types. */
function convert(value: unknown, type: 'BOOLEAN' | 'OBJECT_LIST' | undefined, path: readonly string[]): unknown {
  if (type === undefined || typeof value !== 'string') return value;
  return type === 'BOOLEAN' ? toBoolean(value, 'ATTRIBUTE_INVALID', path) : parseJson(value, path);
}

/** True says nothing: who has opted out here stays so, and who has not is subscribed. */
function optOut(channel: OptOutChannel, name: string): FieldWriter {
  return (draft, value) => {
    const isSubscribed = typeof value === 'boolean' ? value : toBoolean(toText(value, [name]), 'VALUE_INVALID', [name]);
    if (!isSubscribed) draft.optOuts.add(channel);
  };
}

function toBoolean(text: string, code: ErrorCode, path: readonly string[]): boolean {
  const word = text.toLowerCase();
  if (word === 'true' || word === '1') return true;
  if (word === 'false' || word === '0') return false;
  throw invalid(code, 'This is not true or false.', path);
}

/** A number or a truth of JSON where a text is wanted is what it is written as. */
function toText(value: unknown, path: readonly string[]): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw invalid('VALUE_INVALID', 'This is no text.', path);
}

function toTexts(value: unknown, separator: string, path: readonly string[]): string[] {
  if (!Array.isArray(value)) {
    const text = toText(value, path);
    return text.includes(separator) ? text.split(separator).filter((item) => item !== '') : [text];
  }
  return value.map((item: unknown, index) => toText(item, [...path, String(index)]));
}

function toEnum<Value extends string>(
  value: unknown,
  values: Readonly<Record<string, Value>>,
  path: readonly string[],
): Value {
  const text = toText(value, path).toUpperCase();
  const known = Object.values(values).find((one) => one === text);
  if (known !== undefined) return known;
  throw invalid('ATTRIBUTE_INVALID', `This is none of ${Object.keys(values).join(', ')}.`, path);
}

function toDay(value: unknown, path: readonly string[]): Date {
  if (typeof value !== 'string' || !isCalendarDay(value)) {
    throw invalid('ATTRIBUTE_INVALID', 'This is not a day, such as "1968-02-10".', path);
  }
  return new Date(`${value}T00:00:00Z`);
}

function parseJson(text: string, path: readonly string[]): unknown {
  try {
    const value: unknown = JSON.parse(text);
    const mistake = findVariablesMistake(value);
    if (mistake !== null) throw invalid('ATTRIBUTE_INVALID', `JSON ${mistake}.`, path);
    return value;
  } catch (error) {
    if (error instanceof SyntaxError) throw invalid('ATTRIBUTE_INVALID', 'This is no JSON.', path);
    throw error;
  }
}

function invalid(code: ErrorCode, message: string, path: readonly string[]): DomainError {
  return new DomainError(code, message, path);
}
