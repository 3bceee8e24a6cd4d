import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import { parsePhone } from '../identity/phone.ts';
import { sayConsentOfAddress } from './say-consent.ts';
import type { InboundMessage } from './told.ts';

// What Twilio takes for opt-outs and opt-ins by default
// (https://help.twilio.com/articles/223134027, "Twilio support for opt-out keywords"), with the French ones of Canada's carriers
// (https://www.twilio.com/docs/proxy/opt-out-keywords). YES is left out of those that subscribe: people say it to other things.
const optOuts = new Set([
  'STOP',
  'STOPALL',
  'UNSUBSCRIBE',
  'CANCEL',
  'END',
  'QUIT',
  'REVOKE',
  'OPTOUT',
  'ARRET',
  'ARRÊT',
  'ARRETE',
]);
const optIns = new Set(['START', 'UNSTOP', 'SUBSCRIBE', 'OPTIN']);

/**
 * What a person's message says of wanting more of them: false: no; true: yes, again; null: nothing. One word only, in any
 * casing, as providers have it: "please stop by on Sunday" opts nobody out.
 */
export function decideConsent(text: string): boolean | null {
  const word = text
    .normalize('NFC')
    .trim()
    .toUpperCase()
    .replace(/^["'.!]+|["'.!]+$/g, '')
    .replace(/^OPT[ -](OUT|IN)$/, 'OPT$1')
    .replace(/^STOP ALL$/, 'STOPALL');
  if (optOuts.has(word)) return false;
  return optIns.has(word) ? true : null;
}

/**
 * Opts a phone out, or in again, when its person has written so; anything else is left alone. Where the provider has understood
 * the message, its word counts before the text. For SMS and WhatsApp, which are sent to the same recipient. An opt-out of a phone
 * that nobody has is remembered for whoever brings it.
 */
export async function obeyMessage(deployment: Deployment, message: InboundMessage): Promise<void> {
  const { phone: given, text, wantsMore: isSubscribed = decideConsent(text) } = message;
  const phone = toPhone(given);
  if (isSubscribed === null || phone === null) return;
  await sayConsentOfAddress(deployment, { channel: 'SMS', address: phone, isSubscribed, by: 'person:sms' });
}

/** Null: a short code or a name, which is nobody's phone. */
function toPhone(text: string): string | null {
  try {
    return parsePhone(text, []);
  } catch (error) {
    if (error instanceof DomainError) return null;
    throw error;
  }
}
