import { setTimeout as sleep } from 'node:timers/promises';
import smpp, { type Pdu, type Session } from 'smpp';
import { listenOnLoopback } from './loopback.ts';
import { createReceived } from './received.ts';
import { testCertificate } from './test-certificate.ts';

/** One `submit_sm` that was taken. */
interface ReceivedPart {
  messageId: string;
  sender: string;
  senderTon: number;
  to: string;
  text: string;
  dataCoding: number;
  esmClass: number;
  /** The user data header, in hexadecimal: `0003a10201`, without its length. Null: there is none. */
  header: string | null;
  validity: unknown;
  registeredDelivery: number;
}

/** A message centre that speaks SMPP 3.4 by the same library's server. */
export interface FakeSmsc {
  /** With the credentials that it asks for. */
  url: string;
  parts: readonly ReceivedPart[];
  /** The first `count` parts, as soon as there are so many. */
  received(count: number): Promise<ReceivedPart[]>;
  /** Commands that it has had, in order. */
  commands: readonly string[];
  /** Answers the next such command with this status. */
  refuseNext(command: string, status: number): void;
  /** Calls the next message so, instead of `message-<number>`. */
  nameNext(messageId: string): void;
  /** Most submits at a time without an answer, ever. */
  mostUnderWay(): number;
  /** Sessions that are bound now. */
  sessionCount(): number;
  /** Sends a PDU to whoever is bound, and answers what came back. */
  tell(command: string, parameters: Record<string, unknown>): Promise<Pdu>;
  /** Ends all connections; new ones are taken. */
  hangUp(): void;
  /** Takes everything and answers nothing from now on. */
  fallSilent(): void;
  close(): Promise<void>;
}

/** @param answerMs how long each submit takes. */
export async function startFakeSmsc({ isSecure = false, answerMs = 0 } = {}): Promise<FakeSmsc> {
  const { items: parts, add, received } = createReceived<ReceivedPart>();
  const commands: string[] = [];
  const refusals: { command: string; status: number }[] = [];
  const sessions = new Set<Session>();
  const names: string[] = [];
  let underWay = 0;
  let mostUnderWay = 0;
  let isSilent = false;

  function refusalOf(pdu: Pdu): number | null {
    const index = refusals.findIndex(({ command }) => command === pdu.command);
    return index === -1 ? null : (refusals.splice(index, 1)[0]?.status ?? null);
  }

  async function take(pdu: Pdu): Promise<Record<string, unknown>> {
    underWay += 1;
    mostUnderWay = Math.max(mostUnderWay, underWay);
    await sleep(answerMs);
    underWay -= 1;
    const status = refusalOf(pdu);
    if (status !== null) return { command_status: status };
    const messageId = names.shift() ?? `message-${parts.length + 1}`;
    add(toPart(pdu, messageId));
    return { message_id: messageId };
  }

  function answer(session: Session, pdu: Pdu): Record<string, unknown> | Promise<Record<string, unknown>> {
    if (pdu.command === 'submit_sm') return take(pdu);
    const status = refusalOf(pdu);
    if (status !== null) return { command_status: status };
    if (!pdu.command.startsWith('bind_')) return {};
    if (pdu.system_id !== 'carillon' || pdu.password !== 'right') return { command_status: 0x0e };
    sessions.add(session);
    return { system_id: 'fake' };
  }

  const options = isSecure ? testCertificate : {};
  const server = smpp.createServer(options, (session) => {
    // Those who hang up in these tests do so on purpose.
    session.on('error', () => undefined);
    session.on('close', () => sessions.delete(session));
    session.on('pdu', async (pdu: Pdu) => {
      commands.push(pdu.command);
      if (isSilent || pdu.isResponse()) return;
      session.send(pdu.response(await answer(session, pdu)));
    });
  });
  const port = await listenOnLoopback(server);
  const hangUp = () => {
    for (const session of sessions) session.destroy();
  };

  return {
    url: isSecure ? `smpps://carillon:right@localhost:${port}` : `smpp://carillon:right@127.0.0.1:${port}`,
    parts,
    received,
    commands,
    refuseNext: (command, status) => refusals.push({ command, status }),
    nameNext: (messageId) => names.push(messageId),
    mostUnderWay: () => mostUnderWay,
    sessionCount: () => sessions.size,
    tell(command, parameters) {
      const { promise, resolve } = Promise.withResolvers<Pdu>();
      for (const session of sessions) session.send(new smpp.PDU(command, parameters), resolve);
      return promise;
    },
    hangUp,
    fallSilent() {
      isSilent = true;
    },
    close() {
      const { promise, resolve } = Promise.withResolvers<void>();
      server.close(() => resolve());
      hangUp();
      return promise;
    },
  };
}

function toPart(pdu: Pdu, messageId: string): ReceivedPart {
  const [header = null] = pdu.short_message?.udh ?? [];
  return {
    messageId,
    sender: String(pdu.source_addr),
    senderTon: Number(pdu.source_addr_ton),
    to: String(pdu.destination_addr),
    text: String(pdu.short_message?.message),
    dataCoding: pdu.data_coding ?? 0,
    esmClass: pdu.esm_class ?? 0,
    header: header?.toString('hex') ?? null,
    validity: pdu.validity_period,
    registeredDelivery: Number(pdu.registered_delivery),
  };
}
