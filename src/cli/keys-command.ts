import { type Command, InvalidArgumentError } from 'commander';
import { createApiKey } from '../apps/create-api-key.ts';
import { revokeApiKey } from '../apps/revoke-api-key.ts';
import { readConfig } from '../config.ts';
import { StartupError } from '../errors.ts';
import { ApiKeyKind } from '../generated/prisma/enums.ts';
import { toLocalId } from '../graphql/global-id.ts';
import { getAppId } from './find-by-name.ts';
import { withDeployment } from './open-deployment.ts';
import { operator } from './operator.ts';
import { say, tell } from './output.ts';

interface CreateOptions {
  kind: ApiKeyKind;
  name: string;
  app?: string;
  partner?: string;
}

/** `carillon keys`. */
export function addKeysCommand(program: Command): void {
  const keys = program.command('keys').description('make, list and revoke keys');
  keys
    .command('create')
    .description('make a key; its secret alone goes to standard output, and is never shown again')
    .requiredOption('--kind <kind>', 'server, app, partner or dashboard', parseKind)
    .requiredOption('--name <name>', 'what people call it')
    .option('--app <id or name>', 'whose clients it is for: of an app key')
    .option('--partner <name>', 'whose it is: of a partner key')
    .action(create);
  keys.command('list').description('list all keys, oldest first, also revoked ones').action(list);
  keys
    .command('revoke <id>')
    .description('end a key for good; running processes hear of it within a second')
    .action(revoke);
}

function parseKind(text: string): ApiKeyKind {
  const kind = Object.values(ApiKeyKind).find((known) => known === text.toUpperCase());
  if (kind) return kind;
  throw new InvalidArgumentError('It is server, app, partner or dashboard.');
}

async function create({ kind, name, app, partner }: CreateOptions): Promise<void> {
  await withDeployment(readConfig(), async (deployment) => {
    const appId = app === undefined ? null : await getAppId(deployment.db, app);
    const made = await createApiKey(deployment, { principal: operator, kind, name, appId, partner });
    if (made.secret === null) throw new Error('A new key has a secret.');
    tell(`The key ${made.apiKeyId} was made. Its secret is shown only now:`);
    say(made.secret);
  });
}

async function list(): Promise<void> {
  await withDeployment(readConfig(), async ({ db }) => {
    const keys = await db.apiKey.findMany({ include: { app: true }, orderBy: { id: 'asc' } });
    say(['id', 'kind', 'of', 'made', 'last used', 'state', 'name'].join('\t'));
    for (const { id, kind, app, partner, name, createdAt, lastUsedAt, revokedAt } of keys) {
      const state = revokedAt ? `revoked ${revokedAt.toISOString()}` : 'in force';
      const used = lastUsedAt?.toISOString() ?? 'never';
      say([id, kind, app?.name ?? partner ?? '-', createdAt.toISOString(), used, state, name].join('\t'));
    }
  });
}

async function revoke(text: string): Promise<void> {
  const apiKeyId = toLocalId(text, 'ApiKey');
  if (apiKeyId === null) throw new StartupError(`${JSON.stringify(text)} is no id of a key; see "carillon keys list".`);
  await withDeployment(readConfig(), async (deployment) => {
    await revokeApiKey(deployment, { principal: operator, apiKeyId });
    tell(`The key ${apiKeyId} is revoked.`);
  });
}
