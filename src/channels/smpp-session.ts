import { isIP } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import smpp, { type Pdu, type Session } from 'smpp';
import { toFailureCode } from './failure-code.ts';

/** An SMSC, and who we are to it. */
export interface SmscAccount {
  host: string;
  port: number;
  /** Null: no TLS. `ca`: PEM certificates to trust; absent: those of the system. */
  tls: { ca?: string } | null;
  systemId: string;
  password: string;
  systemType: string;
}

interface SmppSessionOptions {
  account: SmscAccount;
  /**
   * Binds as a transceiver, and hears of receipts and messages; of what it rejects the SMSC is told to come again. Null: as a
   * transmitter.
   */
  onDeliver: ((pdu: Pdu) => Promise<void>) | null;
  /** Connecting, and the wait for each answer. */
  timeoutMs: number;
  /** Requests without an answer at a time. */
  windowSize: number;
  /** How often a session that is idle is seen to be alive. */
  enquireMs: number;
}

/** Why there was no answer, such as `TIMEOUT`, `ECONNRESET` or `CONNECTION_CLOSED`. */
export class SmppFailure extends Error {
  readonly failureCode: string;

  constructor(failureCode: string) {
    super('The SMSC did not answer.');
    this.name = 'SmppFailure';
    this.failureCode = failureCode;
  }
}

/** A bind that the SMSC refused. */
export class SmppBindRefused extends Error {
  readonly status: number;

  constructor(status: number) {
    super('The SMSC refused the bind.');
    this.name = 'SmppBindRefused';
    this.status = status;
  }
}

/** A bound session. Whatever goes wrong with it ends it, and all that wait for answers are told. */
export interface SmppSession {
  isOpen(): boolean;
  /** Asks, when the window has room, unless `signal` has aborted by then. @throws SmppFailure */
  request(command: string, parameters: Record<string, unknown>, signal?: AbortSignal): Promise<Pdu>;
  /** Answers what it has heard, unbinds, and hangs up. */
  close(): Promise<void>;
}

/** How long what is heard last, and the answer to an unbind, are waited for, each. @default 1_000 // 1 second */
const unbindMs = 1_000;

/**
 * Connects and binds (SMPP 3.4, section 4.1).
 *
 * The library leaves to its user what this does: it never tells who waits for an answer that the connection is gone, nor
 * notices that an SMSC is silent, and after a PDU that it cannot read it reads no more at all.
 *
 * @throws SmppFailure, SmppBindRefused
 */
export async function openSmppSession(options: SmppSessionOptions): Promise<SmppSession> {
  const { account, onDeliver, timeoutMs, windowSize, enquireMs } = options;
  const { host, port, tls, systemId, password, systemType } = account;
  const servername = isIP(host) ? undefined : host;
  const session = smpp.connect({
    host,
    port,
    noDelay: true,
    tls: tls !== null,
    ...(tls && { ca: tls.ca, servername }),
  });
  const wire = watch(session, { timeoutMs, windowSize });
  const heard = new Set<Promise<void>>();
  for (const command of ['deliver_sm', 'data_sm']) {
    session.on(command, (pdu: Pdu) => {
      const answered = hear(pdu, onDeliver).then(
        (command_status) => void session.send(pdu.response({ command_status })),
      );
      heard.add(answered);
      void answered.finally(() => heard.delete(answered));
    });
  }
  session.on('enquire_link', (pdu: Pdu) => void session.send(pdu.response()));
  session.on('unknown', (pdu: Pdu) => {
    if (!pdu.isResponse()) session.send(pdu.response());
  });
  session.on('unbind', (pdu: Pdu) => {
    session.send(pdu.response());
    wire.end('UNBOUND');
  });
  try {
    await wire.within(new Promise<void>((resolve) => session.once(tls ? 'secureConnect' : 'connect', resolve)));
    const bound = await wire.request(onDeliver ? 'bind_transceiver' : 'bind_transmitter', {
      system_id: systemId,
      password,
      system_type: systemType,
      interface_version: 0x34,
    });
    if (bound.command_status !== 0) throw new SmppBindRefused(bound.command_status);
  } catch (error) {
    wire.end('CONNECTION_CLOSED');
    throw error;
  }
  const enquiry = setInterval(() => {
    // Its failure ends the session, which is what it is for.
    if (wire.isIdle()) wire.request('enquire_link', {}).catch(() => undefined);
  }, enquireMs);
  enquiry.unref();
  void wire.ended.then(() => clearInterval(enquiry));
  return {
    isOpen: wire.isOpen,
    request: wire.request,
    async close() {
      if (wire.isOpen()) await Promise.race([Promise.all(heard), sleep(unbindMs)]);
      if (wire.isOpen()) await Promise.race([wire.request('unbind', {}).catch(() => undefined), sleep(unbindMs)]);
      wire.end('CONNECTION_CLOSED');
    },
  };
}

/** The status to answer with. */
async function hear(pdu: Pdu, onDeliver: SmppSessionOptions['onDeliver']): Promise<number> {
  try {
    await onDeliver?.(pdu);
    return 0;
  } catch {
    // A passing trouble of ours (SMPP 3.4, section 5.1.3): whoever heard it has said which.
    return smpp.errors.ESME_RX_T_APPN ?? 0;
  }
}

/** Requests over a connection, each with its answer or with what has ended the connection. */
function watch(session: Session, { timeoutMs, windowSize }: { timeoutMs: number; windowSize: number }) {
  const failed = Promise.withResolvers<never>();
  const waiting: (() => void)[] = [];
  let isEnded = false;
  let underWay = 0;
  // Nobody need wait for it.
  failed.promise.catch(() => undefined);

  function end(failureCode: string) {
    if (isEnded) return;
    isEnded = true;
    failed.reject(new SmppFailure(failureCode));
    session.destroy();
  }
  session.on('error', (error: unknown) => {
    const code = toFailureCode(error);
    end(code === 'UNKNOWN' ? 'PROTOCOL_ERROR' : code);
  });
  session.on('close', () => end('CONNECTION_CLOSED'));

  async function within<Result>(step: Promise<Result>): Promise<Result> {
    const timer = setTimeout(() => end('TIMEOUT'), timeoutMs);
    try {
      return await Promise.race([step, failed.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  async function request(command: string, parameters: Record<string, unknown>, signal?: AbortSignal): Promise<Pdu> {
    if (underWay >= windowSize) {
      await Promise.race([new Promise<void>((resolve) => waiting.push(resolve)), failed.promise]);
    } else {
      underWay += 1;
    }
    try {
      if (signal?.aborted) throw new SmppFailure('ABORTED');
      const { promise, resolve } = Promise.withResolvers<Pdu>();
      if (isEnded || !session.send(new smpp.PDU(command, parameters), resolve)) end('CONNECTION_CLOSED');
      return await within(promise);
    } finally {
      const next = waiting.shift();
      // Its place in the window goes to who has waited for longest.
      if (next) next();
      else underWay -= 1;
    }
  }

  return {
    end,
    within,
    request,
    isOpen: () => !isEnded,
    isIdle: () => underWay === 0,
    ended: failed.promise.catch(() => undefined),
  };
}
