import { z } from 'zod';
import { Channel } from '../../generated/prisma/enums.ts';
import { recipientChannelOf } from '../../recipients/recipient-channel.ts';
import { sql } from '../../storage/database.ts';
import { definePredicate, listOf, toWords } from '../predicate.ts';

/** Has an address for a channel: rule M2. */
export const hasChannel = definePredicate({
  name: 'hasChannel',
  argument: {
    type: 'Channel',
    isList: true,
    description:
      'The user has an address for one of these channels, opted out or not: an installation with a push address, an e-mail address, a phone (SMS and WHATSAPP), the inbox. `{ hasChannel: [EMAIL, SMS] }`',
  },
  args: listOf(z.enum(Channel)),
  words: (channels) => `has an address for ${toWords(channels)}`,
  toSql: (channels) => sql`exists (
    select from recipients r left join installations i on i.id = r.installation_id
    where r.user_id = u.id and r.channel = any(${channels.map(recipientChannelOf)}::channel[])
      and (r.channel <> 'PUSH' or i.address_cipher is not null)
  )`,
  decide: (wanted, { channels }) => ({
    holds: wanted.some((channel) => channels.includes(recipientChannelOf(channel))),
    value: channels,
  }),
});
