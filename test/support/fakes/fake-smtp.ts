import { setTimeout as sleep } from 'node:timers/promises';
import { SMTPServer } from 'smtp-server';
import { listenOnLoopback } from './loopback.ts';
import { type ParsedMail, parseMail } from './parse-mail.ts';
import { createReceived } from './received.ts';

/** One mail that was taken. */
interface ReceivedMail extends ParsedMail {
  /** Of the envelope (MAIL FROM, RCPT TO). */
  from: string;
  to: string[];
  messageId: string;
  /** ENVID (RFC 3461, section 4.4). */
  envelopeId: string | null;
  raw: string;
}

/** Where a refusal strikes. */
type SmtpStage = 'CONNECT' | 'AUTH' | 'MAIL' | 'RCPT' | 'DATA';

/** A real SMTP server that keeps what it is given. */
export interface FakeSmtp {
  /** With the credentials it asks for, when it asks for some. */
  url: string;
  mails: readonly ReceivedMail[];
  /** The first `count` mails, as soon as there are so many. */
  received(count: number): Promise<ReceivedMail[]>;
  /** Answers the next command of that stage with `code` and `text` (`5.1.1 nobody here`). */
  refuseNext(stage: SmtpStage, code: number, text: string): void;
  connectionCount(): number;
  /** Connections that are open now. */
  openCount(): number;
  close(): Promise<void>;
}

/** @param answerMs how long each mail takes. */
export async function startFakeSmtp({
  login = null,
  answerMs = 0,
}: {
  login?: { user: string; password: string } | null;
  answerMs?: number;
} = {}): Promise<FakeSmtp> {
  const { items: mails, add, received } = createReceived<ReceivedMail>();
  const refusals: { stage: SmtpStage; error: Error }[] = [];
  let connectionCount = 0;
  const takeRefusal = (stage: SmtpStage) => {
    const index = refusals.findIndex((refusal) => refusal.stage === stage);
    return index === -1 ? null : (refusals.splice(index, 1)[0]?.error ?? null);
  };

  const server = new SMTPServer({
    authOptional: login === null,
    allowInsecureAuth: true,
    disabledCommands: login ? ['STARTTLS'] : ['STARTTLS', 'AUTH'],
    disableReverseLookup: true,
    hideDSN: false,
    closeTimeout: 100,
    onConnect(_session, callback) {
      connectionCount += 1;
      callback(takeRefusal('CONNECT'));
    },
    onAuth({ username, password }, _session, callback) {
      const error = takeRefusal('AUTH');
      if (error) return callback(error);
      if (username === login?.user && password === login?.password) return callback(null, { user: username });
      callback(toRefusal(535, '5.7.8 Authentication credentials invalid'));
    },
    onMailFrom: (_address, _session, callback) => callback(takeRefusal('MAIL')),
    onRcptTo: (_address, _session, callback) => callback(takeRefusal('RCPT')),
    onData(stream, { envelope }, callback) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        const error = takeRefusal('DATA');
        if (error) return callback(error);
        const raw = Buffer.concat(chunks).toString('utf8');
        const mail = parseMail(raw);
        add({
          ...mail,
          raw,
          from: envelope.mailFrom ? envelope.mailFrom.address : '',
          to: envelope.rcptTo.map((recipient) => recipient.address),
          envelopeId: envelope.dsn?.envid ?? null,
          messageId: mail.headers.get('message-id')?.[0] ?? '',
        });
        void sleep(answerMs).then(() => callback(null, '2.0.0 Ok'));
      });
    },
  });
  // A client that hangs up in the middle is what some tests are about.
  server.on('error', () => undefined);
  const port = await listenOnLoopback(server.server);
  const credentials = login ? `${encodeURIComponent(login.user)}:${encodeURIComponent(login.password)}@` : '';

  return {
    url: `smtp://${credentials}127.0.0.1:${port}`,
    mails,
    received,
    refuseNext: (stage, code, text) => refusals.push({ stage, error: toRefusal(code, text) }),
    connectionCount: () => connectionCount,
    openCount: () => server.connections.size,
    close() {
      const { promise, resolve } = Promise.withResolvers<void>();
      server.close(() => resolve());
      return promise;
    },
  };
}

function toRefusal(responseCode: number, text: string): Error {
  return Object.assign(new Error(text), { responseCode });
}
