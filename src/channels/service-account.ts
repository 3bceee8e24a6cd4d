import { createPrivateKey } from 'node:crypto';
import { z } from 'zod';
import { parseJson } from './parse-json.ts';

/** A key of a Google service account: who sends through FCM. */
export interface ServiceAccount {
  projectId: string;
  clientEmail: string;
  /** RSA, PEM. */
  privateKey: string;
  /** Where the key is exchanged for access tokens: `https://oauth2.googleapis.com/token`. */
  tokenUri: string;
}

const fileSchema = z.object({
  type: z.literal('service_account'),
  // Goes into a URL's path. Google's have 6 to 30 lower-case letters, digits and hyphens; older ones a domain and a colon.
  project_id: z.string().regex(/^[a-z0-9][a-z0-9.:-]{1,100}$/),
  client_email: z.string().min(1),
  private_key: z.string().refine(isRsaKey),
  token_uri: z.url({ protocol: /^https?$/ }).default('https://oauth2.googleapis.com/token'),
});

/**
 * The file that Google Cloud gives out for a key of a service account, as its JSON or as that in base64 (which has no line
 * breaks and no quotes to be escaped). Null when it is neither, or lacks something.
 */
export function parseServiceAccount(text: string): ServiceAccount | null {
  const json = text.trimStart().startsWith('{') ? text : Buffer.from(text, 'base64').toString('utf8');
  const { data: file } = fileSchema.safeParse(parseJson(json));
  if (!file) return null;
  const { project_id: projectId, client_email: clientEmail, private_key: privateKey, token_uri: tokenUri } = file;
  return { projectId, clientEmail, privateKey, tokenUri };
}

function isRsaKey(pem: string): boolean {
  try {
    return createPrivateKey(pem).asymmetricKeyType === 'rsa';
  } catch {
    return false; // OpenSSL cannot read it.
  }
}
