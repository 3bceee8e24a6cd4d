import type { Message, MessageContent } from '../channels/channel.ts';
import { cutAtWebAddresses, hostsIn } from '../channels/web-addresses.ts';
import type { Purpose } from '../generated/prisma/enums.ts';
import type { DueDelivery } from './begin-sends.ts';
import { createLinkMaker, type LinkMaker } from './signed-links.ts';
import type { Worker } from './worker.ts';

/** What a sender wants of the links in its messages. */
export interface LinkWishes {
  purpose: Purpose;
  /** To which hosts links lead through us; null: to none. */
  trackedHosts: ReadonlySet<string> | null;
  /** Whether an e-mail tells that it was opened. */
  trackOpens: boolean;
}

/** A message's content with our links in it, and those that stand beside it. */
export type LinkedContent = Pick<Message, 'content' | 'bodyLinks' | 'unsubscribeUrl' | 'openUrl'>;

const noLinks: ReadonlyMap<string, string> = new Map();

/** Where nobody has said where we are reached (`PUBLIC_URL`), no link is ours. */
export function linkContent(
  { cipher, publicUrl }: Pick<Worker, 'cipher' | 'publicUrl'>,
  content: MessageContent,
  {
    delivery,
    wishes,
    topicId,
  }: {
    delivery: Pick<DueDelivery, 'id' | 'channel' | 'recipientId' | 'address'>;
    wishes: LinkWishes;
    /** What the message is about; null: nothing of its own. */
    topicId: string | null;
  },
): LinkedContent {
  if (publicUrl === null) return { content, bodyLinks: noLinks, unsubscribeUrl: null, openUrl: null };
  const links = createLinkMaker(cipher, publicUrl);
  const isEmail = delivery.channel === 'EMAIL';
  const { recipientId, address: email } = delivery;
  const mayUnsubscribe = isEmail && wishes.purpose === 'MARKETING' && recipientId !== null;
  return {
    ...(wishes.trackedHosts
      ? trackLinks(links, content, { ...delivery, hosts: wishes.trackedHosts })
      : { content, bodyLinks: noLinks }),
    unsubscribeUrl: mayUnsubscribe ? links.unsubscribe({ recipientId, email, topicId }) : null,
    openUrl: isEmail && wishes.trackOpens ? links.open(delivery.id) : null,
  };
}

/**
 * The link of a message and those of its buttons, and those in its text where they can be followed: in what goes to a phone, which
 * makes links of them, and in an e-mail, which shows them as they were written. In a push and in the inbox they are text.
 */
function trackLinks(
  links: LinkMaker,
  content: MessageContent,
  { id: deliveryId, channel, hosts }: Pick<DueDelivery, 'id' | 'channel'> & { hosts: ReadonlySet<string> },
): Pick<Message, 'content' | 'bodyLinks'> {
  const track = (target: string) => (isTrackable(target, hosts) ? links.click({ deliveryId, target }) : target);
  const pieces = channel === 'PUSH' || channel === 'IN_APP' ? [] : cutAtWebAddresses(content.body);
  const bodyLinks = new Map(pieces.flatMap(({ text, isAddress }) => (isAddress ? [[text, track(text)] as const] : [])));
  const isPhone = channel === 'SMS' || channel === 'WHATSAPP';
  return {
    content: {
      ...content,
      url: content.url && track(content.url),
      buttons: content.buttons.map((button) => ({ ...button, url: button.url && track(button.url) })),
      body: isPhone ? pieces.map(({ text }) => bodyLinks.get(text) ?? text).join('') : content.body,
    },
    bodyLinks: channel === 'EMAIL' ? bodyLinks : noLinks,
  };
}

/** @default 2_048 // characters: a longer link stays as it is */
const targetCharactersMax = 2_048;

/** What an app opens by itself (`myapp://`) would not come through us. */
function isTrackable(target: string, hosts: ReadonlySet<string>): boolean {
  const url = target.length <= targetCharactersMax ? URL.parse(target) : null;
  return url !== null && ['http:', 'https:'].includes(url.protocol) && hosts.has(url.host);
}

/**
 * Hosts of the web addresses that stand in what a sender has written. What else comes to stand in a message is its receiver's, such
 * as a name that looks like a link: a link to us that leads wherever anybody wants would lend our name to it.
 */
export function hostsWrittenIn(written: unknown): ReadonlySet<string> {
  return hostsIn(JSON.stringify(written));
}
