import { DomainError } from '../../errors.ts';
import type { Platform, PushStatus } from '../../generated/prisma/enums.ts';
import { isUuid } from '../../ids.ts';
import {
  type InstallationAddressInput,
  parseAndSealAddress,
  type sealAddress,
} from '../../installations/installation-address.ts';
import { type InstallationDetails, parseDetails, refuseImplausible } from '../../installations/installation-details.ts';
import { decidePushStatus, refuseSuspended } from '../../installations/push-status.ts';
import type { Cipher } from '../../storage/cipher.ts';
import { parseUserReference, type UserReference, type UserReferenceInput } from '../user-reference.ts';

/** A subscriber of another push service, and whose it is. */
export interface InstallationImport extends InstallationDetails {
  user: UserReferenceInput;
  platform: Platform;
  address: InstallationAddressInput;
  pushStatus?: PushStatus | null | undefined;
  /** When it subscribed there. @default now */
  subscribedAt?: Date | null | undefined;
  /** Id of the app that the installation is of. @default the oldest app */
  app?: string | null | undefined;
}

/** The same in normal form. */
export interface ParsedImport {
  reference: UserReference;
  platform: Platform;
  sealed: ReturnType<typeof sealAddress>;
  pushStatus: PushStatus;
  subscribedAt: Date | null;
  details: InstallationDetails;
  appId: string | null;
  /** Of this one in the input. */
  path: readonly string[];
}

/** What parsing depends on. */
export interface ParseSettings {
  cipher: Cipher;
  /** Lets a web push endpoint be plain http, loopback or private (tests). */
  arePrivateEndpointsAllowed: boolean;
}

/** @throws DomainError `VALUE_INVALID`, `EMAIL_INVALID`, `PHONE_INVALID`, `NOT_FOUND` (what is no app's id). */
export function parseImport(
  given: InstallationImport,
  path: readonly string[],
  { cipher, arePrivateEndpointsAllowed }: ParseSettings,
): ParsedImport {
  const { platform, address, subscribedAt, app } = given;
  const reference = parseUserReference(given.user, [...path, 'user']);
  const sealed = parseAndSealAddress(
    cipher,
    { address, platform },
    { path: [...path, 'address'], arePrivateEndpointsAllowed },
  );
  refuseSuspended(given.pushStatus, [...path, 'pushStatus']);
  refuseImplausible(subscribedAt, [...path, 'subscribedAt']);
  if (typeof app === 'string' && !isUuid(app)) throw noSuchApp(path);
  return {
    reference,
    platform,
    sealed,
    pushStatus: decidePushStatus({ given: given.pushStatus, address: 'given', current: null }),
    subscribedAt: subscribedAt ?? null,
    details: parseDetails(given, path),
    appId: app?.toLowerCase() ?? null,
    path,
  };
}

/** What is told of an app that there is not. */
export function noSuchApp(path: readonly string[]): DomainError {
  return new DomainError('NOT_FOUND', 'There is no such app.', [...path, 'app']);
}
