import { createTransport } from 'nodemailer';
import { z } from 'zod';
import type { Channel, Message, SendOutcome, Verdict } from './channel.ts';
import { toFailureCode } from './failure-code.ts';
import { createPlaces } from './places.ts';
import { renderEmail } from './render-email.ts';

/** Where mail is handed in, and in whose name. */
export interface SmtpOptions {
  /** `smtp://user:password@host:587`, or `smtps://…` for TLS from the first byte. STARTTLS is used where it is offered. */
  url: string;
  /** The From field: `carillon@example.com`, or `Carillon <carillon@example.com>`. */
  from: string;
  /** Connections kept open at most, and mails handed over at a time. @default 5 */
  connectionsMax?: number;
  /** Connecting, and the wait for each reply; handing over one mail may take three times as long. @default 10_000 // 10 seconds */
  timeoutMs?: number;
}

/**
 * E-mail by SMTP (RFC 5321) over a pool of kept-alive connections. A mail waits here until one is free, and only then does its time
 * begin to count: a server that is slow is no server that is down.
 */
export function createSmtpChannel({ url, from, connectionsMax = 5, timeoutMs = 10_000 }: SmtpOptions): Channel {
  const places = createPlaces(connectionsMax);
  let pool: ReturnType<typeof openPool> | null = null;
  let sendsUnderWay = 0;
  let isClosed = false;

  /** Sends under way, and those that wait, keep the pool, which would fail them. One that begins after the end opens another. */
  function hangUpWhenIdle() {
    if (sendsUnderWay > 0) return;
    pool?.close();
    pool = null;
  }

  async function deliver(message: Message, signal: AbortSignal, mayBegin: () => boolean): Promise<SendOutcome> {
    const mail = toMail(message, from);
    if (!(await places.enter(signal))) return unsent;
    try {
      if (signal.aborted || !mayBegin()) return unsent;
      pool ??= openPool({ url, connectionsMax, timeoutMs });
      const { response } = await pool.sendMail({
        ...mail,
        signal: AbortSignal.any([signal, AbortSignal.timeout(3 * timeoutMs)]),
      });
      return { kind: 'accepted', providerCode: toProviderCode(parseReply(response)) };
    } catch (error) {
      return classifySmtpFailure(error);
    } finally {
      places.leave();
    }
  }

  return {
    name: 'smtp',
    async send(message, signal, mayBegin = () => true) {
      sendsUnderWay += 1;
      try {
        return await deliver(message, signal, mayBegin);
      } finally {
        sendsUnderWay -= 1;
        if (isClosed) hangUpWhenIdle();
      }
    },
    async close() {
      isClosed = true;
      hangUpWhenIdle();
    },
  };
}

function openPool({ url, connectionsMax, timeoutMs }: Required<Omit<SmtpOptions, 'from'>>) {
  const pool = createTransport({
    url,
    pool: true,
    maxConnections: connectionsMax,
    maxMessages: 1_000,
    // Once, for a kept-alive connection that the server had already given up; not a byte of the message was sent then.
    maxRequeues: 1,
    connectionTimeout: timeoutMs,
    greetingTimeout: timeoutMs,
    dnsTimeout: timeoutMs,
    socketTimeout: timeoutMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  // A pool's connection can fail with nothing to send. Whoever sends next is told by the send itself.
  pool.on('error', () => undefined);
  return pool;
}

const unsent: SendOutcome = { kind: 'retry', providerCode: 'ABORTED', isUnsent: true };

/**
 * The mail for one message. Its Message-ID is made of the delivery's id, so that a mail that is sent again after a crash is
 * recognisable as the same. `Auto-Submitted` (RFC 3834) keeps vacation replies away.
 */
function toMail(message: Message, from: string) {
  if (message.address.kind !== 'email') throw new TypeError('SMTP sends to e-mail addresses.');
  return {
    from,
    // As an object: a text would be parsed as a list of addresses.
    to: { name: '', address: message.address.email },
    messageId: toMessageId(message.deliveryId, from),
    // Where the server knows it (RFC 3461), a notification of a failure names the delivery, whatever of the mail comes back.
    dsn: { id: message.deliveryId, return: 'headers', notify: 'failure' },
    headers: { 'Auto-Submitted': 'auto-generated', ...toListHeaders(message) },
    ...renderEmail(message.content, message),
  };
}

/** One click in a mail program opts out (RFC 8058); the mail's DKIM signature must cover both fields. */
function toListHeaders({ unsubscribeUrl }: Message): Record<string, string> {
  if (unsubscribeUrl === null) return {};
  return { 'List-Unsubscribe': `<${unsubscribeUrl}>`, 'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click' };
}

/** `<delivery id@domain of the sender>` (RFC 5322, section 3.6.4). */
export function toMessageId(deliveryId: string, from: string): string {
  const domain = /@([^\s@>]+)>?\s*$/.exec(from)?.[1] ?? 'localhost';
  return `<${deliveryId}@${domain}>`;
}

/** What a server answered: the reply code, and the enhanced status code where it gives one. */
interface SmtpReply {
  code: number;
  enhancedCode: string | null;
}

function parseReply(response: string | undefined): SmtpReply | null {
  const [, code, enhancedCode] = /^([2-5]\d\d)(?:[ -](\d\.\d{1,3}\.\d{1,3})(?!\S))?/.exec(response ?? '') ?? [];
  return code === undefined ? null : { code: Number(code), enhancedCode: enhancedCode ?? null };
}

function toProviderCode(reply: SmtpReply | null): string | null {
  return reply && [reply.code, reply.enhancedCode].filter((part) => part !== null).join(' ');
}

const hardBounce: Verdict = { kind: 'rejected', reason: 'HARD_BOUNCE' };
const refused: Verdict = { kind: 'rejected', reason: 'PROVIDER_REJECTED' };
const gone: Verdict = { kind: 'gone' };
const channelDown: Verdict = { kind: 'channelDown' };

/** Enhanced status codes (RFC 3463, section 3) of a recipient. They go before reply codes, where a recipient is what is refused. */
const byRecipientCode = new Map<string, Verdict>([
  ['5.1.1', gone], // bad destination mailbox address: nobody of that name
  ['5.1.2', gone], // bad destination system address: no such domain
  ['5.1.3', gone], // bad destination mailbox address syntax
  ['5.1.6', gone], // destination mailbox has moved, no forwarding address
  ['5.1.10', gone], // recipient address has null MX (RFC 7505)
]);

/** Those of a sender (the same section), whatever the command: MAIL_FROM's syntax, and its domain. */
const senderCodes = new Set(['5.1.7', '5.1.8']);

/** Reply codes of authentication (RFC 4954, section 6): nothing can be sent with these credentials. */
const authenticationCodes = new Set([530, 534, 535, 538]);

const senderCommand = 'MAIL FROM';
const recipientCommand = 'RCPT TO';
/** By these one message and its recipient are refused, by the others we are. */
const messageCommands = new Set([recipientCommand, 'DATA']);
const connectionCommands = new Set(['CONN', 'EHLO', 'HELO', 'STARTTLS']);

/**
 * What a refusal means (RFC 5321, section 4.2.1: 4yz is transient, 5yz permanent). Some replies mean another thing
 * after another command, so the command counts too.
 *
 * | Reply | After | Outcome |
 * |---|---|---|
 * | 5.1.1 5.1.2 5.1.3 5.1.6 5.1.10 | RCPT TO, DATA | gone. After MAIL FROM some say so of MAIL_FROM |
 * | 5.1.7 5.1.8 | any | channelDown: it is our sender that is refused |
 * | 530 534 535 538, any 5yz | any, AUTH | channelDown |
 * | 421, 4.3.z | any | retry: the service, or its system, is in trouble (section 3.8; RFC 3463, section 3.4) |
 * | 4yz | RCPT TO | retry, of this message only: greylisting, a full mailbox |
 * | 4yz | any other | retry |
 * | 503 | any | retry: the session was in a wrong state (RFC 5321, section 4.2.4), not the message |
 * | 5yz | connecting (554: "no SMTP service here", section 3.1), STARTTLS | channelDown |
 * | 552, 5.3.4 | any | rejected: this message is too big, or the mailbox is full |
 * | 5yz | MAIL FROM | channelDown: MAIL_FROM is the same in every message |
 * | 5.7.z | any other | rejected: policy, says nothing of the address (RFC 3463, section 3.8) |
 * | 5yz | RCPT TO | rejected, HARD_BOUNCE: 550 also means "no access", so the address is not retired |
 * | 5yz | DATA | rejected |
 */
export function classifySmtpReply({ code, enhancedCode }: SmtpReply, command: string): Verdict {
  const verdict = messageCommands.has(command) ? byRecipientCode.get(enhancedCode ?? '') : undefined;
  if (verdict) return verdict;
  if (senderCodes.has(enhancedCode ?? '')) return channelDown;
  if (code < 500 && code !== 421 && command === recipientCommand && !enhancedCode?.startsWith('4.3.')) {
    return { kind: 'retry', isMessageOnly: true };
  }
  if (code < 500 || code === 503) return { kind: 'retry' };
  if (authenticationCodes.has(code) || command.startsWith('AUTH')) return channelDown;
  if (connectionCommands.has(command)) return channelDown;
  if (code === 552 || enhancedCode === '5.3.4') return command === recipientCommand ? hardBounce : refused;
  if (command === senderCommand) return channelDown;
  if (enhancedCode?.startsWith('5.7.')) return refused;
  return command === recipientCommand ? hardBounce : refused;
}

const failureSchema = z.object({
  code: z.string().optional(),
  /** The system's code, where nodemailer put its own into `code`. */
  originalCode: z.string().optional(),
  command: z.string().optional(),
  response: z.string().optional(),
});

/** With no reply to judge by, nodemailer's own code decides; a connection that broke, stalled or spoke garbage is `retry`. */
function classifySmtpFailure(error: unknown): SendOutcome {
  const { code, originalCode, command = '', response } = failureSchema.safeParse(error).data ?? {};
  const reply = parseReply(response);
  if (reply) return { ...classifySmtpReply(reply, command), providerCode: toProviderCode(reply) };
  const providerCode = originalCode ?? code ?? toFailureCode(error);
  if (code === 'EAUTH' || code === 'ENOAUTH') return { kind: 'channelDown', providerCode };
  // The envelope or the message was refused before anything was sent: it will be again.
  if (code === 'EENVELOPE' || code === 'EMESSAGE') return { kind: 'rejected', reason: 'RENDER_FAILED', providerCode };
  return { kind: 'retry', providerCode };
}
