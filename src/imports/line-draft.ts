import { DomainError } from '../errors.ts';
import type { Channel, Gender } from '../generated/prisma/enums.ts';
import type { UserSave } from '../identity/save/parse-save.ts';

/** Channels whose opt-out a file can tell. */
export type OptOutChannel = Extract<Channel, 'EMAIL' | 'SMS'>;

/** What a record says of one user, while it is read. A field that is not there says nothing: an import never removes a value. */
export interface LineDraft {
  externalUserId: string | null;
  emails: string[];
  phones: string[];
  texts: Partial<Record<TextAttribute, string>>;
  gender: Gender | null;
  birthday: Date | null;
  preferredChannel: Channel | null;
  /** Null: nothing is said of them. */
  tags: string[] | null;
  customAttributes: Map<string, unknown>;
  optOuts: Set<OptOutChannel>;
}

/** Standard attributes that are texts. */
export const textAttributes = [
  'displayName',
  'firstName',
  'middleName',
  'lastName',
  'preferredLanguage',
  'timeZone',
  'country',
  'region',
  'pictureUrl',
] as const;
export type TextAttribute = (typeof textAttributes)[number];

/** What a record comes to: a save, and the channels whose opt-out it tells. */
export interface ImportLine {
  save: UserSave;
  optOuts: readonly OptOutChannel[];
}

export function newLineDraft(): LineDraft {
  return {
    externalUserId: null,
    emails: [],
    phones: [],
    texts: {},
    gender: null,
    birthday: null,
    preferredChannel: null,
    tags: null,
    customAttributes: new Map(),
    optOuts: new Set(),
  };
}

/** The save that a draft is, of the user whom it names: by external user id, else e-mail, else phone. Null: it names nobody. */
export function toImportLine(draft: LineDraft, mode: 'MERGE' | 'OVERRIDE'): ImportLine | null {
  const { externalUserId, emails, phones, texts, gender, birthday, preferredChannel, tags, customAttributes } = draft;
  const [email] = emails;
  const [phone] = phones;
  if (externalUserId === null && email === undefined && phone === undefined) return null;
  const user = externalUserId !== null ? { externalUserId } : email !== undefined ? { email } : { phone };
  return {
    save: {
      user,
      create: true,
      emails,
      phones,
      mode,
      userAttributes: {
        ...texts,
        ...(gender !== null && { gender }),
        ...(birthday !== null && { birthday }),
        ...(preferredChannel !== null && { preferredChannel }),
        ...(tags !== null && { tags }),
        ...(customAttributes.size > 0 && { customAttributes: Object.fromEntries(customAttributes) }),
      },
    },
    optOuts: [...draft.optOuts],
  };
}

/** A refusal of a whole file: nothing of it was imported. */
export function fileRefusal(message: string): DomainError {
  return new DomainError('VALUE_INVALID', message);
}
