import type { MessageContent } from '../channels/channel.ts';
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
export interface LinkedContent {
  content: MessageContent;
  /** E-mail for MARKETING: where its receiver opts out, of its topic or of all. */
  unsubscribeUrl: string | null;
  /** E-mail: an image that tells that it was opened. */
  openUrl: string | null;
}

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
  if (publicUrl === null) return { content, unsubscribeUrl: null, openUrl: null };
  const links = createLinkMaker(cipher, publicUrl);
  const isEmail = delivery.channel === 'EMAIL';
  const { recipientId, address: email } = delivery;
  const mayUnsubscribe = isEmail && wishes.purpose === 'MARKETING' && recipientId !== null;
  return {
    content: wishes.trackedHosts ? trackLinks(links, content, { ...delivery, hosts: wishes.trackedHosts }) : content,
    unsubscribeUrl: mayUnsubscribe ? links.unsubscribe({ recipientId, email, topicId }) : null,
    openUrl: isEmail && wishes.trackOpens ? links.open(delivery.id) : null,
  };
}

/** Addresses as people write them into a text; what ends a sentence is no part of one. */
const webAddress = /https?:\/\/[^\s<>"]*[^\s<>"'.,;:!?)\]}]/gi;

/** The link of a message and those of its buttons, and in what goes to a phone, which makes links of them, those in its text. */
function trackLinks(
  links: LinkMaker,
  content: MessageContent,
  { id: deliveryId, channel, hosts }: Pick<DueDelivery, 'id' | 'channel'> & { hosts: ReadonlySet<string> },
): MessageContent {
  const track = (target: string) => (isTrackable(target, hosts) ? links.click({ deliveryId, target }) : target);
  const hasLinksInText = channel !== 'PUSH' && channel !== 'EMAIL' && channel !== 'IN_APP';
  return {
    ...content,
    url: content.url && track(content.url),
    buttons: content.buttons.map((button) => ({ ...button, url: button.url && track(button.url) })),
    body: hasLinksInText ? content.body.replace(webAddress, track) : content.body,
  };
}

/** @default 2_048 // characters: a longer link stays as it is */
const targetCharactersMax = 2_048;

/** What an app opens by itself (`myapp://`) would not come through us. */
function isTrackable(target: string, hosts: ReadonlySet<string>): boolean {
  const url = target.length <= targetCharactersMax ? URL.parse(target) : null;
  return url !== null && ['http:', 'https:'].includes(url.protocol) && hosts.has(url.host);
}

/** The host of an address that is written out: none that a placeholder makes longer. */
const writtenHost = /https?:\/\/([^\s<>"'\\/?#{}|]+)(?=[\s<>"'\\/?#]|$)/gi;

/**
 * Hosts of the web addresses that stand in what a sender has written. What else comes to stand in a message is its receiver's, such
 * as a name that looks like a link: a link to us that leads wherever anybody wants would lend our name to it.
 *
 * @param written as JSON has it
 */
export function hostsWrittenIn(written: unknown): ReadonlySet<string> {
  const found = [...JSON.stringify(written).matchAll(writtenHost)].map(([, host = '']) =>
    host.replace(/[.,;:!?)\]]+$/, ''),
  );
  return new Set(found.flatMap((host) => URL.parse(`https://${host}`)?.host ?? []));
}
