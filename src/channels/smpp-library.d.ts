/** What is used of the library `smpp`, which has no types of its own. */
declare module 'smpp' {
  import type { EventEmitter } from 'node:events';
  import type { Server } from 'node:net';

  /** A protocol data unit (SMPP 3.4, section 4). Which of the fields are there is up to its command. */
  export interface Pdu {
    command: string;
    command_status: number;
    sequence_number: number;
    message_id?: string;
    esm_class?: number;
    data_coding?: number;
    short_message?: { message: string | Buffer; udh?: Buffer[] };
    message_payload?: { message: string | Buffer };
    receipted_message_id?: string;
    message_state?: number;
    [parameter: string]: unknown;
    isResponse(): boolean;
    response(options?: Record<string, unknown>): Pdu;
  }

  /** One connection. Emits `pdu`, `error`, `close`, and the name of each command with its PDU. */
  export interface Session extends EventEmitter {
    /** False: the connection takes no more, and `onResponse` is never called. */
    send(pdu: Pdu, onResponse?: (response: Pdu) => void): boolean;
    close(): void;
    destroy(): void;
  }

  interface Smpp {
    connect(options: object): Session;
    createServer(options: object, onSession: (session: Session) => void): Server;
    PDU: new (command: string, options?: Record<string, unknown>) => Pdu;
    encodings: { ASCII: { match(text: string): boolean; encode(text: string): Buffer } };
    errors: Readonly<Record<string, number>>;
  }

  const smpp: Smpp;
  // biome-ignore lint/style/noDefaultExport: A CommonJS module's exports are its default one.
  export default smpp;
}
