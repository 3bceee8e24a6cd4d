import type { SmppListener } from './channels/smpp.ts';
import type { TwilioOptions } from './channels/twilio.ts';
import type { ToldProviders } from './deliveries/app-channels.ts';
import type { Deployment } from './deployment.ts';
import { obeyMessage } from './receipts/opt-out-by-sms.ts';
import type { ReceiptIntake } from './receipts/receipt-intake.ts';
import type { ReceiptChannel } from './receipts/told.ts';

/**
 * The providers that can be told where their receipts go, and are: Twilio at each message, where people and providers are said
 * to reach us; an SMSC, which brings them, and what people write, over a session.
 */
export function wireReceipts(
  { twilio, smpp, whatsApp }: ToldProviders,
  {
    deployment,
    intake,
    callbackUrl,
  }: {
    deployment: Deployment;
    intake: ReceiptIntake;
    /** Where a provider reaches this program. Null: nowhere. */
    callbackUrl: string | null;
  },
): ToldProviders {
  const callback = (via: ReceiptChannel): Pick<TwilioOptions, 'toStatusCallback'> =>
    callbackUrl === null
      ? {}
      : { toStatusCallback: (deliveryId) => `${callbackUrl}/receipts/${via}?delivery=${deliveryId}` };
  return {
    twilio: twilio && { ...twilio, ...callback('sms') },
    whatsApp: whatsApp?.provider === 'twilio' ? { ...whatsApp, ...callback('whatsapp') } : whatsApp,
    smpp: smpp && { ...smpp, listener: listenToSmsc(deployment, intake) },
  };
}

function listenToSmsc(deployment: Deployment, intake: ReceiptIntake): SmppListener {
  async function noted(work: Promise<void>) {
    try {
      await work;
    } catch (err) {
      deployment.log.warn({ err }, 'What an SMSC has told could not be recorded; it is told to bring it again.');
      throw err;
    }
  }
  return {
    takeReceipt({ providerMessageId, status, providerCode }) {
      // The phone was not reached in the message's time.
      const bounce = /^EXPIRED/.test(providerCode) ? ('SOFT_BOUNCE' as const) : ('HARD_BOUNCE' as const);
      const reason = status === 'BOUNCED' ? bounce : null;
      const told = { receipt: status, reason, providerCode, at: null, isAddressGone: false };
      return noted(intake.take([{ about: { providerMessageId }, via: 'sms', ...told }]));
    },
    takeMessage: (message) => noted(obeyMessage(deployment, message)),
  };
}
