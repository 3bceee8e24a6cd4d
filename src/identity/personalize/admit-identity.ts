import type { Deployment } from '../../deployment.ts';
import { DomainError } from '../../errors.ts';
import { parseUserIdentity, type UserIdentity } from '../identifier.ts';
import { readUserToken, tokenInvalid } from './user-token.ts';

/** What a client says of who uses it. */
export interface ClientWord {
  /** The client's app. */
  appId: string;
  userIdentity: UserIdentity;
  userToken: string | null | undefined;
}

/** What that is worth. */
export interface AdmittedIdentity {
  userIdentity: UserIdentity;
  /** False: nobody but the client says so. */
  isVerified: boolean;
}

/**
 * Who a client may say that it is (rule U11), by its app's `userRegistration`: under `SERVER_ONLY` nobody; under `SIGNED` whom
 * its token names; under `OPEN` anybody, unverified, and with a token as under `SIGNED`. Beside a token an identity may say
 * only what the token says.
 *
 * @throws DomainError `USER_DATA_RESTRICTED`, `TOKEN_INVALID`; for the identity beside a token as `parseUserIdentity` does.
 */
export async function admitIdentity(deployment: Deployment, word: ClientWord): Promise<AdmittedIdentity> {
  const { appId, userIdentity, userToken } = word;
  const { userRegistration } = await deployment.db.app.findUniqueOrThrow({ where: { id: appId } });
  if (userRegistration === 'SERVER_ONLY') {
    throw restricted("Only the app's back end may say who uses an installation.");
  }
  if (userToken === null || userToken === undefined) {
    if (userRegistration === 'SIGNED') throw tokenInvalid();
    return { userIdentity, isVerified: false };
  }
  const signed = await readUserToken(deployment, appId, userToken);
  const { rules } = deployment;
  const said = parseUserIdentity(signed, { path: ['userToken'], rules }).identifiers;
  const isSaid = parseUserIdentity(userIdentity, { path: ['userIdentity'], rules }).identifiers.every((given) =>
    said.some(({ kind, value }) => kind === given.kind && value === given.value),
  );
  if (!isSaid) throw restricted('The token does not say this.');
  return { userIdentity: signed, isVerified: true };
}

function restricted(message: string): DomainError {
  return new DomainError('USER_DATA_RESTRICTED', message, ['userIdentity']);
}
