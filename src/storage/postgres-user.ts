import { stat } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { StartupError } from '../errors.ts';
import { runCommand } from './run-command.ts';

/** An account of this machine. */
export interface ServerUser {
  name: string;
  uid: number;
  gid: number;
}

/**
 * Who runs PostgreSQL on `dataDirectory`; null: this process's own user. PostgreSQL refuses to run as root, so for root
 * it is the owner of the existing files, else the user `postgres`, else `nobody`.
 *
 * Throws a StartupError when the files belong to somebody whose place this process cannot take.
 */
export async function findServerUser(dataDirectory: string): Promise<ServerUser | null> {
  const owner = await stat(dataDirectory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  const { uid } = userInfo();
  if (uid !== 0) {
    if (owner && owner.uid !== uid) {
      throw new StartupError(
        `${dataDirectory} belongs to another user (id ${owner.uid}); start the program as that user.`,
      );
    }
    return null;
  }
  if (owner && owner.uid !== 0) return { name: `#${owner.uid}`, uid: owner.uid, gid: owner.gid };
  const user = (await findUser('postgres')) ?? (await findUser('nobody'));
  if (!user) {
    throw new StartupError(
      'PostgreSQL does not run as root, and this machine has neither a user "postgres" nor "nobody"; start the program as another user.',
    );
  }
  return user;
}

async function findUser(name: string): Promise<ServerUser | null> {
  const [uid, gid] = await Promise.all([runCommand('id', ['-u', name], {}), runCommand('id', ['-g', name], {})]);
  if (uid.exitCode !== 0 || gid.exitCode !== 0) return null;
  return { name, uid: Number(uid.output), gid: Number(gid.output) };
}
