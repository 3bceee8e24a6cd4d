import { type Command, Option } from 'commander';
import type { GraphQLSchema } from 'graphql';
import { readConfig } from '../config.ts';
import { DomainError, StartupError } from '../errors.ts';
import { documentIdOf } from '../operations/prepare-operation.ts';
import { checkOperation } from '../partners/check-operation.ts';
import { findBrokenOperations } from '../partners/find-broken-operations.ts';
import {
  type NewOperation,
  type OperationsRegistered,
  registerAppOperations,
  registerPartnerOperations,
} from '../partners/register-operations.ts';
import type { Database } from '../storage/database.ts';
import { getAppId, getSegmentId } from './find-by-name.ts';
import { type OperatorDeployment, withDeployment } from './open-deployment.ts';
import { operator } from './operator.ts';
import { say, tell } from './output.ts';
import { type ManifestOperation, readManifest } from './read-manifest.ts';

interface PushOptions {
  partner?: string;
  app?: string;
  grantMutations?: true;
  replaceAll?: true;
}

/** Not above: it takes longer to build than most commands take, which do without it. */
const loadSchema = async () => (await import('../graphql/schema.ts')).schema;

/** `carillon operations`. */
export function addOperationsCommand(program: Command): void {
  const operations = program.command('operations').description('register operations, and check those that are');
  operations
    .command('push <manifest>')
    .description(
      'register the operations of a manifest, all of them or none, for a partner or for the clients of an app',
    )
    .addOption(new Option('--partner <name>', 'for this partner').conflicts('app'))
    .option('--app <id or name>', 'for the clients of this app')
    .addOption(new Option('--grant-mutations', "whether a partner's mutations may be among them").conflicts('app'))
    .option('--replace-all', 'remove those that are registered and not in the manifest')
    .action(push);
  operations
    .command('check [manifests...]')
    .description(
      'say which operations of these manifests, by default those in the database, the schema of this version breaks',
    )
    .action(check);
}

async function push(file: string, options: PushOptions): Promise<void> {
  const { partner, app } = options;
  if (partner === undefined && app === undefined) throw new StartupError('Say for whom: --partner or --app.');
  const manifest = await readManifest(file);
  await withDeployment(readConfig(), async (deployment) => {
    const operations: NewOperation[] = [];
    for (const operation of manifest) operations.push(await toNewOperation(deployment.db, operation));
    const done = await naming(manifest, () => register(deployment, operations, options));
    tell(`${done.operationIds.length} registered, ${done.removedCount} removed.`);
  });
}

async function register(
  deployment: OperatorDeployment,
  operations: readonly NewOperation[],
  { partner, app, grantMutations, replaceAll }: PushOptions,
): Promise<OperationsRegistered> {
  const common = { principal: operator, operations, isReplacing: replaceAll };
  const schema = await loadSchema();
  if (partner !== undefined) {
    return registerPartnerOperations(deployment, schema, { ...common, partner, isMutationGranted: grantMutations });
  }
  if (operations.some(({ pinnedVariables, scope }) => pinnedVariables || scope)) {
    throw new StartupError("Pins and scopes are for partners: an app's clients have the rights that they have.");
  }
  return registerAppOperations(deployment, schema, { ...common, appId: await getAppId(deployment.db, app ?? '') });
}

async function toNewOperation(db: Database, { scope, ...operation }: ManifestOperation): Promise<NewOperation> {
  if (!scope) return operation;
  const { app, segment } = scope;
  return {
    ...operation,
    scope: {
      appId: app === undefined ? null : await getAppId(db, app),
      segmentId: segment === undefined ? null : await getSegmentId(db, segment),
    },
  };
}

/** Tells of a refusal which operation of the manifest it is about. */
async function naming<Result>(manifest: readonly ManifestOperation[], work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    const [list, index] = (error instanceof DomainError && error.inputPath) || [];
    const operation = list === 'operations' ? manifest[Number(index)] : undefined;
    if (!operation || !(error instanceof DomainError)) throw error;
    throw new StartupError(`${operation.id}: ${error.message}`, { cause: error });
  }
}

async function check(files: readonly string[]): Promise<void> {
  const broken = files.length > 0 ? await checkManifests(files) : await checkDatabase();
  for (const line of broken) say(line);
  tell(broken.length === 0 ? 'All operations hold.' : `${broken.length} broken.`);
  if (broken.length > 0) process.exitCode = 1;
}

/** Needs no database: a manifest says what, not for whom. */
async function checkManifests(files: readonly string[]): Promise<string[]> {
  const broken: string[] = [];
  const schema = await loadSchema();
  for (const file of files) {
    for (const { id, document, pinnedVariables = {} } of await readManifest(file)) {
      const mistake = findMistake(schema, { id, document, pinnedVariables });
      if (mistake !== null) broken.push(`${file} ${id}: ${mistake}`);
    }
  }
  return broken;
}

function findMistake(
  schema: GraphQLSchema,
  { id, document, pinnedVariables }: Required<Pick<ManifestOperation, 'id' | 'document' | 'pinnedVariables'>>,
): string | null {
  try {
    checkOperation(schema, { document, runBy: 'anyone', pinnedVariables, isScoped: false, isMutationGranted: true });
    const actual = documentIdOf(document);
    return id === actual ? null : `The id of this document is ${actual}.`;
  } catch (error) {
    if (error instanceof DomainError) return error.message;
    throw error;
  }
}

async function checkDatabase(): Promise<string[]> {
  return withDeployment(readConfig(), async ({ db }) => {
    const broken = await findBrokenOperations(db, await loadSchema());
    return broken.map(({ owner, name, documentId, mistake }) => `${owner} ${name} ${documentId}: ${mistake}`);
  });
}
