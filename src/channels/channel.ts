import type { Channel as ChannelName, Platform } from '../generated/prisma/enums.ts';

/** Where one message goes. Decrypted, in memory only: never logged. */
export type Address =
  | { kind: 'webPush'; endpoint: string; p256dh: string; auth: string }
  | { kind: 'fcm'; token: string }
  | { kind: 'apns'; token: string }
  | { kind: 'email'; email: string }
  | { kind: 'phone'; phone: string }
  | { kind: 'inbox'; userId: string };

/** The forms an address takes. */
export type AddressKind = Address['kind'];

/** One button under a message. */
export interface MessageButton {
  label: string;
  /** http or https: what it opens. */
  url: string | null;
  /** What the app calls it, by which it knows what to do. Null: by its place, `button-1`. */
  action: string | null;
}

/** What a caller asked to be said, after rendering. */
export interface MessageContent {
  title: string | null;
  body: string;
  subtitle: string | null;
  icon: string | null;
  image: string | null;
  url: string | null;
  buttons: readonly MessageButton[];
  /** Travels with a push. */
  data: Record<string, unknown> | null;
}

/** One message to one address. */
export interface Message {
  deliveryId: string;
  notificationId: string;
  channel: ChannelName;
  platform: Platform | null;
  address: Address;
  content: MessageContent;
  /** E-mail: where web addresses in its body lead, as they are written there. One that is not among them leads where it says. */
  bodyLinks: ReadonlyMap<string, string>;
  /** E-mail: where its receiver opts out, by one click (RFC 8058). Null: the message offers no way to. */
  unsubscribeUrl: string | null;
  /** E-mail: an image that tells us that it was opened. Null: nobody wants to know. */
  openUrl: string | null;
  /** Lets the receiving client report on this delivery without other credentials. Travels inside a push. */
  receiptToken: string;
  /** After this moment the message is worthless; the provider is told, where its protocol can say it. */
  expiresAt: Date;
  /** Sends begun, counting this one. */
  attempt: number;
}

/** Why a message will never be accepted. `OPTED_OUT`: the person has told the provider, by STOP or by blocking the sender. */
export type RejectionReason = 'PROVIDER_REJECTED' | 'HARD_BOUNCE' | 'RENDER_FAILED' | 'OPTED_OUT';

/**
 * How one send ended. Every send ends in exactly one of these; a channel never throws for what a provider answers.
 *
 * - `accepted`: the provider took it over. `receipt` says whether it already confirmed more than that, `providerMessageId`
 *   what the provider calls it in later receipts, where that is not the delivery's id.
 * - `retry`: try again, not before `retryAfterMs` (absent: the caller's backoff). With `isMessageOnly` the provider works, and
 *   puts off this message or its recipient alone; many others in a row mean that it is down. With `isUnsent` nothing was handed
 *   to the provider, as the send waited for its turn until it was given up: that is no attempt, and says nothing of the provider.
 *   With `isThrottled` the provider works, and wants fewer messages at a time from all of us: that is no attempt either, neither a
 *   failure of the provider nor a success, and others are held back meanwhile, for `othersWaitMs` where it may be this recipient's
 *   alone. Never where each address names its own service.
 * - `rejected`: this message will never be accepted; the address may be good. With `isSuspect` it is what each message would get if
 *   the credentials were another app's: many in a row mean that nothing can be sent.
 * - `gone`: the address is no longer anybody's; retire it, unless the installation has registered it later than `since`
 *   (absent: the provider does not tell since when).
 * - `channelDown`: nothing can be sent now (bad credentials, say): keep every delivery, tell the operator.
 *
 * `providerCode` is the provider's own word for it, such as `410` or `EC_INVALID_DESTINATION`; never an address or text
 * that could hold one.
 */
export type SendOutcome =
  | {
      kind: 'accepted';
      providerCode: string | null;
      receipt?: 'DELIVERED' | 'BOUNCED';
      providerMessageId?: string | undefined;
    }
  | {
      kind: 'retry';
      providerCode: string | null;
      retryAfterMs?: number;
      isMessageOnly?: true;
      isUnsent?: true;
      isThrottled?: true;
      othersWaitMs?: number;
    }
  | { kind: 'rejected'; providerCode: string | null; reason: RejectionReason; isSuspect?: true }
  | { kind: 'gone'; providerCode: string | null; since?: Date }
  | { kind: 'channelDown'; providerCode: string | null };

type WithoutProviderCode<Outcome> = Outcome extends SendOutcome ? Omit<Outcome, 'providerCode'> : never;

/** An outcome as the tables of the channels hold it: what a code of the provider means, before the code is added. */
export type Verdict = WithoutProviderCode<SendOutcome>;

/** A way to send: one provider's protocol. */
export interface Channel {
  /** For logs, the banner and pauses: `smtp`, `web-push`, `fcm`, `infobip`, `outbox`. One for each provider of a channel. */
  readonly name: string;
  /**
   * Whether each address names its own service, as in web push: failures in a row then say nothing of the next one, and
   * nothing is paused for them. @default false
   */
  readonly hasManyServices?: boolean;
  /**
   * Sends one message. Answers `retry` when `signal` aborts or the provider does not answer in time; whether the provider
   * took it is then unknown, and a repeat carries the same id. Throws only for what is ours: a lost database (outbox), or
   * an address of another channel.
   *
   * @param mayBegin asked by a channel that hands over only so many messages at a time, when the wait for that is over: false
   *   gives the send up (`isUnsent`). @default always
   */
  send(message: Message, signal: AbortSignal, mayBegin?: () => boolean): Promise<SendOutcome>;
  /**
   * Of a provider that tells of messages over its session: opens that, if it is not open, so that it tells without anything
   * being sent. Rejects when it cannot be.
   */
  listen?(): Promise<void>;
  /** Ends idle kept-alive connections. Sends under way end by themselves, or by their signal. */
  close(): Promise<void>;
}
