import type { SavedUser } from '../identity/save/decide-save.ts';
import { sql, type Transaction } from '../storage/database.ts';
import type { OptOutChannel } from './line-draft.ts';
import type { PageLine } from './read-pages.ts';

/** An opt-out of one address, or of all that the user has on that channel. */
interface OptOut {
  channel: OptOutChannel;
  user_id: string;
  address: string | null;
}

/**
 * Writes the opt-outs that lines tell, of the addresses that they name, else of all that their users have on the channel. What
 * is opted out already stays as it was said. Nothing here ever ends one.
 *
 * @param by who is recorded to have said it.
 */
export async function writeOptOuts(
  tx: Transaction,
  saved: readonly { line: PageLine; user: SavedUser }[],
  by: string,
): Promise<void> {
  const optOuts = saved.flatMap(({ line, user }) => line.optOuts.flatMap((channel) => toOptOuts(line, user, channel)));
  if (optOuts.length === 0) return;
  await tx.$executeRaw(sql`
    update recipients r set is_subscribed = false, consent_at = now(), consent_by = ${by}
    from jsonb_to_recordset(${JSON.stringify(optOuts)}::jsonb) as given (channel channel, user_id uuid, address text)
    where r.user_id = given.user_id and r.channel = given.channel and r.is_subscribed
      and (given.address is null or r.address = given.address)
  `);
}

function toOptOuts({ save }: PageLine, { userId }: SavedUser, channel: OptOutChannel): OptOut[] {
  const kind = channel === 'EMAIL' ? 'EMAIL' : 'PHONE';
  const named = save.identifiers.filter((identifier) => identifier.kind === kind).map(({ value }) => value);
  return (named.length > 0 ? named : [null]).map((address) => ({ channel, user_id: userId, address }));
}
