import PostalMime, { type Email } from 'postal-mime';
import type { Receipt } from '../deliveries/delivery-state.ts';
import { isUuid } from '../ids.ts';
import { classifyStatusCode } from './email-form.ts';
import { readMessageId } from './message-id.ts';
import { type ProviderReceipt, type Told, toldNothing, UnreadableReceiptError } from './told.ts';

/**
 * What a delivery status notification (RFC 3464) tells: a whole mail, `multipart/report`. The mail that it is about is found
 * by the envelope id that we gave (`Original-Envelope-Id`), else by the Message-ID of what came back. Each of our mails has
 * one recipient, so that one group of fields is read, the first that tells something.
 *
 * @throws UnreadableReceiptError when it holds no delivery status. Of a mail that is not ours nothing is told.
 */
export async function parseDeliveryStatusNotification(mail: Uint8Array): Promise<Told> {
  const email = await parseMail(mail);
  const status = email.attachments.find(({ mimeType }) => statusTypes.has(mimeType));
  if (!status) throw new UnreadableReceiptError('This is not a delivery status notification.');
  const [ofMessage = new Map<string, string>(), ...ofRecipients] = readGroups(toText(status.content));
  const deliveryId = readEnvelopeId(ofMessage) ?? (await findReturnedId(email));
  const [told] = ofRecipients.flatMap((fields) => toMeaning(fields) ?? []);
  if (deliveryId === null || !told) return toldNothing;
  return { ...toldNothing, receipts: [{ about: { deliveryId }, at: null, ...told }] };
}

/** RFC 3464, and its form for international addresses (RFC 6533). */
const statusTypes = new Set(['message/delivery-status', 'message/global-delivery-status']);

/** What came back: whole, or its header alone (RFC 6522; RFC 6533). */
const returnedTypes = new Set([
  'message/rfc822',
  'text/rfc822-headers',
  'message/global',
  'message/global-headers',
  'message/rfc822-headers',
]);

async function parseMail(mail: Uint8Array | string): Promise<Email> {
  try {
    return await PostalMime.parse(mail, { maxNestingDepth: 8, maxHeadersSize: 256 * 1024 });
  } catch {
    throw new UnreadableReceiptError('This is not a mail.');
  }
}

async function findReturnedId(email: Email): Promise<string | null> {
  const returned = email.attachments.find(({ mimeType }) => returnedTypes.has(mimeType));
  if (!returned) return null;
  const { messageId } = await parseMail(toText(returned.content));
  return readMessageId(messageId ?? '');
}

function toText(content: ArrayBuffer | Uint8Array | string): string {
  return typeof content === 'string' ? content : Buffer.from(new Uint8Array(content)).toString('utf8');
}

type Fields = ReadonlyMap<string, string>;

/** Groups of fields with an empty line between them, names in lower case; a line that begins with a blank goes on with the one before. */
function readGroups(text: string): Fields[] {
  return text
    .replace(/\r\n?/g, '\n')
    .replace(/\n[ \t]+/g, ' ')
    .split(/\n{2,}/)
    .map((group) => {
      const lines = group.split('\n').flatMap((line) => {
        const [, name, value] = /^([!-9;-~]+):[ \t]*(.*)$/.exec(line) ?? [];
        return name === undefined || value === undefined ? [] : [[name.toLowerCase(), value.trim()] as const];
      });
      return new Map(lines);
    })
    .filter((fields) => fields.size > 0);
}

function readEnvelopeId(fields: Fields): string | null {
  const id = fields.get('original-envelope-id') ?? '';
  return isUuid(id) ? id.toLowerCase() : null;
}

type Meaning = Pick<ProviderReceipt, 'receipt' | 'reason' | 'providerCode' | 'isAddressGone'>;

/** `delayed`, `relayed` and `expanded` (RFC 3464, section 2.3.3) tell nothing that is final. */
const receiptOf = new Map<string, Receipt>([
  ['failed', 'BOUNCED'],
  ['delivered', 'DELIVERED'],
]);

/** A failure without a status code is a soft bounce: nothing is done to an address for it. */
function toMeaning(fields: Fields): Meaning | null {
  const receipt = receiptOf.get((fields.get('action') ?? '').toLowerCase().replace(/\s.*$/, ''));
  if (!receipt) return null;
  const code = readStatusCode(fields);
  if (receipt === 'DELIVERED') return { receipt, reason: null, providerCode: code, isAddressGone: false };
  return { receipt, providerCode: code, ...classifyStatusCode(code ?? '4.0.0') };
}

/**
 * `Status`, or what the server at the other end has said where it says more: a `Status` of 5.0.0 is what mail servers write that
 * have not read the reply, which then stands in `Diagnostic-Code` (`smtp; 550-5.1.1 …`; RFC 3464, sections 2.3.4 and 2.3.6).
 */
function readStatusCode(fields: Fields): string | null {
  const code = /^[245]\.\d{1,3}\.\d{1,3}/.exec(fields.get('status') ?? '')?.[0] ?? null;
  if (code === null || !code.endsWith('.0.0')) return code;
  const said = /^smtp;\s*\d{3}[ -]([245]\.\d{1,3}\.\d{1,3})(?![.\d])/i.exec(fields.get('diagnostic-code') ?? '')?.[1];
  return said?.startsWith(code.slice(0, 2)) ? said : code;
}
