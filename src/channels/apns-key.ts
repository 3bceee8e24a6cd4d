import { createPrivateKey, type KeyObject } from 'node:crypto';

/**
 * The `.p8` file of a key for APNs as PEM, from its text (line breaks may be written as `\n`), from that in base64, or from
 * the base64 between its first and last line. Null when it is no private key on P-256.
 */
export function parseApnsKey(text: string): string | null {
  const pem = text.replaceAll('\\n', '\n').trim();
  if (pem.startsWith('-----BEGIN')) return toPem(() => createPrivateKey(pem));
  const bytes = Buffer.from(pem, 'base64');
  if (bytes.toString('latin1').startsWith('-----BEGIN')) return toPem(() => createPrivateKey(bytes));
  return toPem(() => createPrivateKey({ key: bytes, format: 'der', type: 'pkcs8' }));
}

function toPem(read: () => KeyObject): string | null {
  try {
    const key = read();
    if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') return null;
    return key.export({ type: 'pkcs8', format: 'pem' }).toString();
  } catch {
    return null; // OpenSSL cannot read it.
  }
}
