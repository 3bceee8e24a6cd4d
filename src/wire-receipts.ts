import type { SmppOptions } from './channels/smpp.ts';
import type { TwilioOptions } from './channels/twilio.ts';
import type { ToldProviders } from './deliveries/app-channels.ts';
import type { Logger } from './logger.ts';
import type { ReceiptIntake } from './receipts/receipt-intake.ts';
import type { ReceiptChannel } from './receipts/told.ts';

/**
 * The providers that can be told where their receipts go, and are: Twilio at each message, where people and providers are said
 * to reach us; an SMSC, which brings them over the session that it was sent by.
 */
export function wireReceipts(
  { twilio, smpp, whatsApp }: ToldProviders,
  { publicUrl, intake, log }: { publicUrl: string | null; intake: ReceiptIntake; log: Logger },
): ToldProviders {
  const callback = (via: ReceiptChannel): Pick<TwilioOptions, 'toStatusCallback'> =>
    publicUrl === null
      ? {}
      : { toStatusCallback: (deliveryId) => `${publicUrl}/receipts/${via}?delivery=${deliveryId}` };
  return {
    twilio: twilio && { ...twilio, ...callback('sms') },
    whatsApp: whatsApp?.provider === 'twilio' ? { ...whatsApp, ...callback('whatsapp') } : whatsApp,
    smpp: smpp && { ...smpp, onReceipt: takeSmppReceipts(intake, log) },
  };
}

function takeSmppReceipts(intake: ReceiptIntake, log: Logger): NonNullable<SmppOptions['onReceipt']> {
  return ({ deliveryId, status, providerCode }) => {
    // The phone was not reached in the message's time.
    const bounce = /^EXPIRED/.test(providerCode) ? ('SOFT_BOUNCE' as const) : ('HARD_BOUNCE' as const);
    const reason = status === 'BOUNCED' ? bounce : null;
    const told = { receipt: status, reason, providerCode, at: null, isAddressGone: false };
    intake.take([{ about: { deliveryId }, via: 'sms', ...told }]).catch((err: unknown) => {
      log.warn({ err, deliveryId }, 'A receipt of an SMSC could not be recorded.');
    });
  };
}
