/** Whether `text` is a URL of one of these schemes (`https:`), and all that stands in it can be decoded. */
export function isUrlOf(schemes: readonly string[], text: string): boolean {
  return isDecodable(text) && schemes.includes(URL.parse(text)?.protocol ?? '');
}

/** A stray % in a password passes for a URL, until somebody decodes it. */
function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

/** `ann@example.com` or `Ann <ann@example.com>`; group 1 or 2 is the address. */
export const mailbox = /^(?:([^\s<>@"]+@[^\s<>@"]+)|[^<>]*<([^\s<>@"]+@[^\s<>@"]+)>)$/;

/** The address in `Ann <ann@example.com>`. */
export function readMailAddress(text: string): string {
  const match = mailbox.exec(text);
  return match?.[1] ?? match?.[2] ?? text;
}

/** An id that Apple gives out has 10 letters and digits. */
export const appleId = /^[A-Za-z0-9]{1,64}$/;

/** `com.example.shop`. */
export const bundleId = /^[A-Za-z0-9.-]{1,255}$/;

/** `AC` and 32 hexadecimal digits. */
export const twilioAccountSid = /^AC[0-9a-fA-F]{32}$/;

/** A key or token as it stands in a header: no blanks. */
export const visibleAscii = /^[\x21-\x7e]+$/;

/** A number, a name, or what else a provider calls a sender of SMS. */
export const smsSender = /^\S.{0,49}$/;

/** The number of a WhatsApp account. */
export const whatsAppSender = /^\S{1,50}$/;
