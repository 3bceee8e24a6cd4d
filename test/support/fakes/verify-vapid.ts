import { createPublicKey, verify } from 'node:crypto';
import { z } from 'zod';

const claimsSchema = z.object({
  aud: z.string(),
  exp: z.number(),
  sub: z.string().regex(/^(mailto:|https:)/),
});

/** A refusal in a push service's terms. */
export class VapidRefusal extends Error {
  override readonly name = 'VapidRefusal';
  readonly status: 401 | 403;

  constructor(status: 401 | 403, message: string) {
    super(message);
    this.status = status;
  }
}

/**
 * Checks an Authorization header by RFC 8292: scheme `vapid`, an ES256 signature by the key in `k`, this service as the
 * audience, an expiry within 24 hours. Answers the application server's key, in base64url. Throws `VapidRefusal`.
 */
export function verifyVapid(authorization: string | undefined, origin: string): string {
  const [, token, key] = /^vapid t=([\w-]+\.[\w-]+\.[\w-]+), ?k=([\w-]+)$/.exec(authorization ?? '') ?? [];
  if (token === undefined || key === undefined) throw new VapidRefusal(401, 'No VAPID credentials.');
  const [header = '', claims = '', signature = ''] = token.split('.');
  if (parseSegment(header, z.object({ alg: z.string() })).alg !== 'ES256') throw new VapidRefusal(403, 'Not ES256.');

  const point = Buffer.from(key, 'base64url');
  const jwk = {
    kty: 'EC',
    crv: 'P-256',
    x: point.subarray(1, 33).toString('base64url'),
    y: point.subarray(33).toString('base64url'),
  };
  const publicKey = createPublicKey({ key: jwk, format: 'jwk' });
  const signed = Buffer.from(`${header}.${claims}`);
  if (!verify('sha256', signed, { key: publicKey, dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url'))) {
    throw new VapidRefusal(403, 'The signature is not by this key.');
  }
  const { aud, exp } = parseSegment(claims, claimsSchema);
  const secondsLeft = exp - Date.now() / 1_000;
  if (aud !== origin) throw new VapidRefusal(403, 'Signed for another push service.');
  if (secondsLeft <= 0 || secondsLeft > 86_400)
    throw new VapidRefusal(403, 'Expired, or valid for more than 24 hours.');
  return key;
}

function parseSegment<Schema extends z.ZodType>(segment: string, schema: Schema): z.infer<Schema> {
  const parsed = schema.safeParse(JSON.parse(Buffer.from(segment, 'base64url').toString('utf8')));
  if (!parsed.success) throw new VapidRefusal(403, 'A part of the token is not of its form.');
  return parsed.data;
}
