import { createHash } from 'node:crypto';
import smpp, { type Pdu } from 'smpp';
import type { Channel, Message, SendOutcome, Verdict } from './channel.ts';
import { renderSms } from './render-sms.ts';
import { parseSmppMessage, type SmppMessage } from './smpp-message.ts';
import { messageIdPattern, parseSmppReceipt, type SmppReceipt } from './smpp-receipt.ts';
import { openSmppSession, SmppBindRefused, SmppFailure, type SmppSession, type SmscAccount } from './smpp-session.ts';
import { encodeSmppText } from './smpp-text.ts';

/** Hears what an SMSC tells over a session. What rejects, the SMSC is told to bring again. */
export interface SmppListener {
  /** What became of a message, by the `providerMessageId` of its outcome, whichever process has sent it. */
  takeReceipt(receipt: Omit<SmppReceipt, 'messageId'> & { providerMessageId: string }): Promise<void>;
  takeMessage(message: SmppMessage): Promise<void>;
}

/** An account at an SMSC. */
export interface SmppOptions {
  /** `smpp://user:password@host:2775`, or `smpps://…` for TLS; `?system_type=…` where the SMSC wants one. */
  url: string;
  /** Sender: a number with "+", a short code, or up to 11 letters and digits. */
  from: string;
  /** PEM certificates to trust with `smpps`. @default those of the system */
  ca?: string;
  /** Absent: no receipts are asked for, and nothing is heard. */
  listener?: SmppListener;
  /** Connecting, and the wait for each answer. @default 10_000 // 10 seconds */
  timeoutMs?: number;
  /** Messages without an answer at a time. @default 10 */
  windowSize?: number;
  /** How often an idle session is seen to be alive (`enquire_link`). @default 30_000 // 30 seconds */
  enquireMs?: number;
}

/**
 * SMS by SMPP 3.4 over one kept session: bound when it is first listened to or sent by, and again at the next time after it
 * was lost. A text goes in GSM 03.38 where it fits, else in UCS-2, and in parts where it is long, of which the last one's
 * receipt tells of the whole. Like Twilio, an SMSC knows no key that makes a repeat harmless: what it took without an answer
 * being heard arrives twice.
 */
export function createSmppChannel(options: SmppOptions): Channel {
  const { url, from, ca, listener, timeoutMs = 10_000, windowSize = 10, enquireMs = 30_000 } = options;
  const account = toAccount(url, ca);
  const source = toSource(from);
  const toProviderMessageId = nameMessagesOf(account);
  let session: SmppSession | null = null;
  let opening: Promise<SmppSession> | null = null;
  let sendsUnderWay = 0;
  let isClosed = false;

  /**
   * Sends under way keep the session; one that begins after the end opens another, and hangs up. A session that is being opened
   * is not waited for, since its SMSC may be silent: it is ended when it is there.
   */
  async function hangUpWhenIdle() {
    if (sendsUnderWay === 0) await session?.close();
  }

  async function hear(pdu: Pdu): Promise<void> {
    const receipt = parseSmppReceipt(pdu);
    const message = parseSmppMessage(pdu);
    if (receipt) {
      const { messageId, ...told } = receipt;
      await listener?.takeReceipt({ ...told, providerMessageId: toProviderMessageId(messageId) });
    }
    if (message) await listener?.takeMessage(message);
  }

  async function open(): Promise<SmppSession> {
    session = await openSmppSession({ account, onDeliver: listener ? hear : null, timeoutMs, windowSize, enquireMs });
    if (isClosed) await hangUpWhenIdle();
    return session;
  }

  /** Of those who want one at once the first opens it for all. */
  async function getSession(): Promise<SmppSession> {
    if (session?.isOpen()) return session;
    opening ??= open().finally(() => {
      opening = null;
    });
    return opening;
  }

  async function submit(
    { address, content, deliveryId, expiresAt }: Message,
    signal: AbortSignal,
  ): Promise<SendOutcome> {
    if (address.kind !== 'phone') throw new TypeError('SMPP sends to phone numbers.');
    const text = encodeSmppText(renderSms(content), deliveryId);
    if (!text) return { kind: 'rejected', reason: 'RENDER_FAILED', providerCode: 'TEXT_TOO_LONG' };
    const bound = await getSession();
    let answer: Pdu | undefined;
    let partsTaken = 0;
    for (const [index, part] of text.parts.entries()) {
      const isLast = index === text.parts.length - 1;
      const submission = {
        ...source,
        dest_addr_ton: 1,
        dest_addr_npi: 1,
        destination_addr: address.phone.replace(/^\+/, ''),
        esm_class: text.esmClass,
        data_coding: text.dataCoding,
        validity_period: toValidity(expiresAt),
        registered_delivery: listener && isLast ? 1 : 0,
        short_message: part,
      };
      answer = await bound.request('submit_sm', submission, signal);
      if (answer.command_status !== 0) break;
      partsTaken += 1;
    }
    const status = answer?.command_status ?? smpp.errors.ESME_RSYSERR;
    // Not bound, to the SMSC's mind: the next one binds again.
    if (status === smpp.errors.ESME_RINVBNDSTS) await bound.close();
    const outcome = classifySmppStatus(status ?? 0);
    // What is sent again from its first part, and paid for again, is an attempt.
    if (partsTaken > 0 && outcome.kind === 'retry' && outcome.isThrottled) {
      return { kind: 'retry', providerCode: outcome.providerCode, isMessageOnly: true };
    }
    const messageId = answer?.message_id ?? '';
    if (outcome.kind !== 'accepted' || !listener || !messageIdPattern.test(messageId)) return outcome;
    return { ...outcome, providerMessageId: toProviderMessageId(messageId) };
  }

  return {
    name: 'smpp',
    async send(message, signal) {
      if (message.address.kind !== 'phone') throw new TypeError('SMPP sends to phone numbers.');
      const givenUp = Promise.withResolvers<SendOutcome>();
      const giveUp = () => givenUp.resolve({ kind: 'retry', providerCode: 'ABORTED' });
      if (signal.aborted) giveUp();
      signal.addEventListener('abort', giveUp, { once: true });
      sendsUnderWay += 1;
      try {
        return await (signal.aborted ? givenUp.promise : Promise.race([submit(message, signal), givenUp.promise]));
      } catch (error) {
        if (error instanceof SmppBindRefused) return classifySmppBind(error.status);
        if (error instanceof SmppFailure) return { kind: 'retry', providerCode: error.failureCode };
        throw error;
      } finally {
        signal.removeEventListener('abort', giveUp);
        sendsUnderWay -= 1;
        if (isClosed) void hangUpWhenIdle();
      }
    },
    async listen() {
      if (listener && !isClosed) await getSession();
    },
    async close() {
      isClosed = true;
      await hangUpWhenIdle();
    },
  };
}

/**
 * How the messages of an account are named among those of all providers. An SMSC may write an id with capitals or leading zeros
 * in one place and without in another (one that writes it in hexadecimal here and in decimal there is not understood).
 */
function nameMessagesOf({ host, systemId }: SmscAccount): (messageId: string) => string {
  const account = createHash('sha256').update(`${systemId}@${host}`).digest('hex').slice(0, 16);
  return (messageId) => `smpp:${account}:${messageId.toLowerCase().replace(/^0+(?=.)/, '')}`;
}

function toAccount(text: string, ca: string | undefined): SmscAccount {
  const url = new URL(text);
  const isSecure = url.protocol === 'smpps:';
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    // The ports that are registered for SMPP.
    port: Number(url.port) || (isSecure ? 3550 : 2775),
    tls: isSecure ? { ...(ca !== undefined && { ca }) } : null,
    systemId: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    systemType: url.searchParams.get('system_type') ?? '',
  };
}

/** Type of number and numbering plan (SMPP 3.4, sections 5.2.5 and 5.2.6): international, alphanumeric, or the SMSC's to know. */
function toSource(from: string) {
  if (from.startsWith('+')) return { source_addr_ton: 1, source_addr_npi: 1, source_addr: from.slice(1) };
  if (/^\d+$/.test(from)) return { source_addr_ton: 0, source_addr_npi: 1, source_addr: from };
  return { source_addr_ton: 5, source_addr_npi: 0, source_addr: from };
}

/** What is left of the message's time, relative, so that the SMSC's clock does not count (section 7.1.1.2): `YYMMDDhhmmss000R`. */
function toValidity(expiresAt: Date): string {
  const seconds = Math.max(Math.floor((expiresAt.getTime() - Date.now()) / 1_000), 1);
  const [days, hours, minutes] = [seconds / 86_400, (seconds / 3_600) % 24, (seconds / 60) % 60].map(Math.floor);
  const parts = [0, 0, days, hours, minutes, seconds % 60];
  return `${parts.map((part) => String(part).padStart(2, '0')).join('')}000R`;
}

const refused: Verdict = { kind: 'rejected', reason: 'PROVIDER_REJECTED' };
const hardBounce: Verdict = { kind: 'rejected', reason: 'HARD_BOUNCE' };
const unsendable: Verdict = { kind: 'rejected', reason: 'RENDER_FAILED' };
const retry: Verdict = { kind: 'retry' };
const throttled: Verdict = { kind: 'retry', isThrottled: true };
const channelDown: Verdict = { kind: 'channelDown' };

/**
 * `command_status` of a `submit_sm_resp` (SMPP 3.4, section 5.1.3; those from 0x100 on are of SMPP 5.0, section 4.7.6). What is
 * not here, such as an SMSC's own from 0x400 on, is `rejected`.
 */
const bySubmitStatus: Readonly<Record<string, Verdict>> = {
  ESME_ROK: { kind: 'accepted' },
  ESME_RINVMSGLEN: unsendable,
  ESME_RINVCMDLEN: unsendable,
  ESME_RINVCMDID: channelDown, // it takes no submit_sm
  ESME_RINVBNDSTS: retry, // not bound, or not for this; the session is opened again
  ESME_RINVPRTFLG: unsendable,
  ESME_RINVREGDLVFLG: unsendable,
  ESME_RSYSERR: retry,
  ESME_RINVSRCADR: channelDown, // our sender
  ESME_RINVDSTADR: hardBounce,
  ESME_RMSGQFUL: throttled,
  ESME_RINVSERTYP: channelDown,
  ESME_RINVESMCLASS: unsendable,
  ESME_RSUBMITFAIL: refused,
  ESME_RINVSRCTON: channelDown, // as in every message
  ESME_RINVSRCNPI: channelDown,
  ESME_RINVDSTTON: channelDown, // as in every message
  ESME_RINVDSTNPI: channelDown,
  ESME_RTHROTTLED: throttled,
  ESME_RINVEXPIRY: unsendable,
  ESME_RX_T_APPN: retry, // temporary
  ESME_RX_P_APPN: refused, // permanent
  ESME_RX_R_APPN: refused,
  ESME_RINVTLVVAL: unsendable,
  ESME_RDELIVERYFAILURE: refused,
  ESME_RUNKNOWNERR: retry,
  ESME_RSERTYPUNAUTH: channelDown, // our service type
  ESME_RPROHIBITED: channelDown, // we may not submit
  ESME_RSERTYPUNAVAIL: retry,
  ESME_RSERTYPDENIED: refused, // for what it says
  ESME_RINVDCS: unsendable,
};

/** `command_status` of a bind's answer that tells of a passing trouble. Any other one is `channelDown`. */
const byBindStatus: Readonly<Record<string, Verdict>> = {
  ESME_RALYBND: retry, // the session before is not over yet, to the SMSC's mind
  ESME_RSYSERR: retry,
  ESME_RMSGQFUL: throttled,
  ESME_RTHROTTLED: throttled,
  ESME_RX_T_APPN: retry,
};

const statusNames = new Map(Object.entries(smpp.errors).map(([name, status]) => [status, name]));

/** The name of a status, else its number: `ESME_RTHROTTLED`, `0x00000400`. */
function toStatusName(status: number): string {
  return statusNames.get(status) ?? `0x${status.toString(16).toUpperCase().padStart(8, '0')}`;
}

/** What the answer to a `submit_sm` means. */
function classifySmppStatus(status: number): SendOutcome {
  const providerCode = toStatusName(status);
  return { ...(bySubmitStatus[providerCode] ?? refused), providerCode };
}

/** What the answer to a bind means that was not taken. */
function classifySmppBind(status: number): SendOutcome {
  const providerCode = toStatusName(status);
  return { ...(byBindStatus[providerCode] ?? channelDown), providerCode };
}
