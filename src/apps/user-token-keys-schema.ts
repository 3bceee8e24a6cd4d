import type { UserTokenKey } from '../generated/prisma/client.ts';
import { UserTokenAlgorithm } from '../generated/prisma/enums.ts';
import { builder } from '../graphql/builder.ts';
import type { Loader } from '../graphql/loaders.ts';

const UserTokenAlgorithmEnum = builder.enumType('UserTokenAlgorithm', {
  description: 'How a token that says who a user is was signed (RFC 7518).',
  values: {
    [UserTokenAlgorithm.ES256]: { description: 'ECDSA on P-256 with SHA-256.' },
    [UserTokenAlgorithm.RS256]: { description: 'RSA (PKCS #1 v1.5) with SHA-256, of at least 2,048 bits.' },
    [UserTokenAlgorithm.HS256]: { description: 'HMAC with SHA-256, by a secret that the back end and Carillon share.' },
  },
});

export const UserTokenKeyInput = builder.inputType('UserTokenKeyInput', {
  description: "A key of an app's back end, by which it signs who its user is.",
  fields: (t) => ({
    keyId: t.string({ required: true, description: '`kid` of the tokens that it signs, 1 to 256 characters.' }),
    algorithm: t.field({
      type: UserTokenAlgorithmEnum,
      required: true,
      description: 'The only algorithm that its tokens may have.',
    }),
    key: t.string({
      required: true,
      description:
        'ES256, RS256: the public key, PEM (`-----BEGIN PUBLIC KEY-----`). HS256: the secret, at least 32 bytes in base64. Kept encrypted, and never told.',
    }),
  }),
});

export const UserTokenKeyObject = builder.prismaObject('UserTokenKey', {
  description: "A key of an app's back end, by which it signs who its user is. The key itself is never told.",
  authScopes: { readAll: true },
  fields: (t) => ({
    keyId: t.exposeString('keyId', { description: '`kid` of the tokens that it signs.' }),
    algorithm: t.expose('algorithm', {
      type: UserTokenAlgorithmEnum,
      description: 'The only algorithm that its tokens may have.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was set, last.' }),
  }),
});

/** The keys of apps, by key id. */
export const userTokenKeysOfApp: Loader<string, UserTokenKey[]> = {
  async load(db, appIds) {
    const keys = await db.userTokenKey.findMany({ where: { appId: { in: [...appIds] } }, orderBy: { keyId: 'asc' } });
    const byApp = Map.groupBy(keys, ({ appId }) => appId);
    return appIds.map((id) => byApp.get(id) ?? []);
  },
};
