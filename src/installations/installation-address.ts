import { z } from 'zod';
import { parseWebPushAddress } from '../channels/web-push-address.ts';
import { DomainError } from '../errors.ts';
import type { Platform } from '../generated/prisma/enums.ts';
import type { Cipher } from '../storage/cipher.ts';

/** What the database holds, encrypted, as the address of an installation. */
export const installationAddressSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('webPush'), endpoint: z.string(), p256dh: z.string(), auth: z.string() }),
  z.object({ kind: z.literal('fcm'), token: z.string() }),
  z.object({ kind: z.literal('apns'), token: z.string() }),
]);
export type InstallationAddress = z.infer<typeof installationAddressSchema>;

/** An address as the schema lets it in: exactly one of them is there. */
export interface InstallationAddressInput {
  webPush?: { endpoint: string; p256dh: string; auth: string } | null | undefined;
  fcm?: { token: string } | null | undefined;
  apns?: { token: string } | null | undefined;
}

/** FCM and APNs promise no length; theirs are under 300 characters today. */
const tokenCharactersMax = 4096;

/**
 * @param arePrivateEndpointsAllowed lets a web push endpoint be plain http, loopback or private (tests).
 * @throws DomainError `VALUE_INVALID` at `path`, also when the address is not one of the platform.
 */
export function parseInstallationAddress(
  { address, platform }: { address: InstallationAddressInput; platform: Platform },
  { path, arePrivateEndpointsAllowed }: { path: readonly string[]; arePrivateEndpointsAllowed: boolean },
): InstallationAddress {
  if (address.webPush) {
    if (platform !== 'WEB')
      throw new DomainError('VALUE_INVALID', 'A push subscription is the address of a WEB installation.', path);
    return parseWebPushAddress(address.webPush, { path: [...path, 'webPush'], arePrivateEndpointsAllowed });
  }
  const [kind, token] = address.fcm
    ? (['fcm', address.fcm.token] as const)
    : (['apns', address.apns?.token ?? ''] as const);
  if (kind === 'apns' && platform !== 'IOS') {
    throw new DomainError('VALUE_INVALID', 'A device token is the address of an IOS installation.', path);
  }
  if (!/^[\x21-\x7e]+$/.test(token) || token.length > tokenCharactersMax) {
    throw new DomainError(
      'VALUE_INVALID',
      `A token is 1 to ${tokenCharactersMax} characters of printable ASCII without blanks.`,
      [...path, kind, 'token'],
    );
  }
  return { kind, token };
}

const purpose = 'installation address';

/**
 * An address as it is stored: encrypted, as a keyed hash by which another installation that holds it is found, and its form, by
 * which it is known what can send to it.
 */
export function sealAddress(cipher: Cipher, address: InstallationAddress) {
  const identity = address.kind === 'webPush' ? address.endpoint : address.token;
  return {
    addressKind: address.kind,
    addressCipher: cipher.encrypt(purpose, JSON.stringify(address)),
    addressHash: cipher.hash(purpose, `${address.kind}:${identity}`),
  };
}

/** An address as the schema lets it in, parsed as {@link parseInstallationAddress} does and sealed. */
export function parseAndSealAddress(
  cipher: Cipher,
  ...given: Parameters<typeof parseInstallationAddress>
): ReturnType<typeof sealAddress> {
  return sealAddress(cipher, parseInstallationAddress(...given));
}

/** What {@link sealAddress} makes of no address. */
export const noAddress = { addressKind: null, addressCipher: null, addressHash: null } as const;

/** The address that {@link sealAddress} sealed. */
export function openAddress(cipher: Cipher, sealed: Uint8Array): InstallationAddress {
  return installationAddressSchema.parse(JSON.parse(cipher.decrypt(purpose, sealed)));
}
