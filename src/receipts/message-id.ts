import { isUuid } from '../ids.ts';

/** The delivery that a Message-ID of ours names (`<delivery id@domain>`, `channels/smtp.ts`); null: it is none of ours. */
export function readMessageId(text: string): string | null {
  const [, id = ''] = /^\s*<?([^\s<>@]+)@[^\s<>@]+>?\s*$/.exec(text) ?? [];
  return isUuid(id) ? id.toLowerCase() : null;
}
