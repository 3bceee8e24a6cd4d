import { escapeHtml } from '../escape-html.ts';
import type { Message, MessageContent } from './channel.ts';
import { cutAtWebAddresses, type TextPiece } from './web-addresses.ts';

/** An e-mail's three readable parts. */
export interface RenderedEmail {
  /** One line, never empty, at most 255 characters. */
  subject: string;
  text: string;
  html: string;
}

const nothingBeside = { bodyLinks: new Map<string, string>(), unsubscribeUrl: null, openUrl: null };

const subjectLengthMax = 255;

/**
 * The e-mail that says `content`: the title (else the body's first line) is the subject and the heading; image, link and the
 * buttons that open something follow the body, then how to unsubscribe, and the image that tells of the opening. Pure.
 * Everything is escaped, and only http and https addresses become a link or an image; those in the body show what was written.
 */
export function renderEmail(
  content: MessageContent,
  { bodyLinks, unsubscribeUrl, openUrl }: Pick<Message, 'bodyLinks' | 'unsubscribeUrl' | 'openUrl'> = nothingBeside,
): RenderedEmail {
  const { title, body } = content;
  const url = toWebUrl(content.url);
  const image = toWebUrl(content.image);
  const links = content.buttons.flatMap(({ label, url: opened }) => {
    const href = toWebUrl(opened);
    return href === null ? [] : [{ label, href }];
  });
  const pieces = cutAtWebAddresses(body);
  const paragraphs = [
    title === null ? null : `<h1 style="font-size:20px">${escapeHtml(title)}</h1>`,
    `<p>${pieces.map((piece) => toHtml(piece, bodyLinks)).join('')}</p>`,
    image === null ? null : `<p><img src="${escapeHtml(image)}" alt="" style="max-width:100%"></p>`,
    url === null ? null : `<p><a href="${escapeHtml(url)}">${escapeHtml(url)}</a></p>`,
    ...links.map(({ label, href }) => `<p><a href="${escapeHtml(href)}">${escapeHtml(label)}</a></p>`),
    unsubscribeUrl === null ? null : `<p><a href="${escapeHtml(unsubscribeUrl)}">Unsubscribe</a></p>`,
    openUrl === null ? null : `<img src="${escapeHtml(openUrl)}" alt="" width="1" height="1">`,
  ];
  const unsubscribe = unsubscribeUrl === null ? null : `Unsubscribe: ${unsubscribeUrl}`;
  return {
    subject: toSubject(title) || toSubject(body) || 'Notification',
    text: [
      title,
      pieces.map(({ text }) => bodyLinks.get(text) ?? text).join(''),
      url,
      ...links.map(({ label, href }) => `${label}: ${href}`),
      unsubscribe,
    ]
      .filter((part) => part !== null)
      .join('\n\n'),
    html: `<!doctype html><html><body>${paragraphs.filter((part) => part !== null).join('')}</body></html>`,
  };
}

/** The first line that says something. A line break in a header field would begin another one (RFC 5322, section 2.2). */
function toSubject(text: string | null): string {
  const [line = ''] = (text ?? '')
    .split(/[\r\n\u2028\u2029]+/)
    .map((part) => part.replace(/\p{Cc}+/gu, ' ').trim())
    .filter((part) => part !== '');
  return [...line].slice(0, subjectLengthMax).join('');
}

function toHtml({ text, isAddress }: TextPiece, bodyLinks: ReadonlyMap<string, string>): string {
  const href = isAddress ? toWebUrl(bodyLinks.get(text) ?? text) : null;
  if (href !== null) return `<a href="${escapeHtml(href)}">${escapeHtml(text)}</a>`;
  return escapeHtml(text).replace(/\r\n|\r|\n/g, '<br>');
}

function toWebUrl(text: string | null): string | null {
  if (text === null || !URL.canParse(text)) return null;
  const url = new URL(text);
  return url.protocol === 'https:' || url.protocol === 'http:' ? url.href : null;
}
