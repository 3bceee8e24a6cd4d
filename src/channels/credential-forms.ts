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
