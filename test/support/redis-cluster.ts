import { findFreePort } from '../../src/storage/free-port.ts';
import { type OwnRedis, sendCommand, startOwnRedis } from './redis.ts';
import { makeTemporaryDirectory } from './temporary-directory.ts';
import { until } from './until.ts';

/** A Redis Cluster that a test started: three nodes with a password and a third of the slots each, without replicas. */
export interface OwnCluster {
  /** Their URLs hold the password. */
  readonly nodes: readonly OwnRedis[];
  /** The node that owns the channel's slot. */
  findOwner(channel: string): Promise<OwnRedis>;
  /** Gives the channel's slot to another node, as an operator would, while the cluster serves. */
  moveSlot(channel: string, to: OwnRedis): Promise<void>;
  stop(): Promise<void>;
}

const slotsCount = 16_384;

/** What no log may hold. */
export const clusterPassword = 'hunter2';

/** Starts three nodes from PATH and waits until each of them knows who owns what. Stop them when done. */
export async function startOwnCluster(): Promise<OwnCluster> {
  const directory = await makeTemporaryDirectory();
  const nodes = await Promise.all([0, 1, 2].map((index) => startNode(`${directory.path}/${index}.conf`)));
  await Promise.all(
    nodes.map((node, index) =>
      ask(node, 'ADDSLOTSRANGE', Math.ceil((index * slotsCount) / 3), Math.ceil(((index + 1) * slotsCount) / 3) - 1),
    ),
  );
  const [first] = nodes;
  for (const node of nodes) if (first) await ask(node, 'MEET', '127.0.0.1', first.port, first.busPort);
  for (const node of nodes) await until(async () => /cluster_state:ok/.test(String(await ask(node, 'INFO'))));

  async function findOwner(channel: string): Promise<OwnRedis> {
    for (const node of nodes) if (await isOwner(node, channel)) return node;
    throw new Error('Nobody owns the slot.');
  }

  return {
    nodes,
    findOwner,
    async moveSlot(channel, to) {
      const from = await findOwner(channel);
      const slot = String(await ask(to, 'KEYSLOT', channel));
      const [fromId, toId] = [String(await ask(from, 'MYID')), String(await ask(to, 'MYID'))];
      await ask(to, 'SETSLOT', slot, 'IMPORTING', fromId);
      await ask(from, 'SETSLOT', slot, 'MIGRATING', toId);
      for (const node of [to, from]) await ask(node, 'SETSLOT', slot, 'NODE', toId);
    },
    async stop() {
      await Promise.all(nodes.map((node) => node.stop()));
      await directory.remove();
    },
  };
}

type Node = OwnRedis & { busPort: number };

async function startNode(file: string): Promise<Node> {
  const busPort = await findFreePort();
  const cluster = ['--cluster-enabled', 'yes', '--cluster-config-file', file, '--cluster-port', String(busPort)];
  const node = await startOwnRedis([...cluster, '--requirepass', clusterPassword]);
  return { ...node, busPort, url: `redis://:${clusterPassword}@127.0.0.1:${node.port}` };
}

const ask = ({ url }: OwnRedis, ...words: (string | number)[]) => sendCommand(url, 'CLUSTER', ...words);

async function isOwner(node: OwnRedis, channel: string): Promise<boolean> {
  const slot = Number(await ask(node, 'KEYSLOT', channel));
  const myself = String(await ask(node, 'NODES'))
    .split('\n')
    .find((line) => line.includes('myself'));
  // <id> <address> <flags> <primary> <ping> <pong> <epoch> <state> <slot or range>...
  const ranges = myself?.split(' ').slice(8) ?? [];
  return ranges.some((range) => {
    const [low, high = low] = range.split('-').map(Number);
    return low !== undefined && high !== undefined && low <= slot && slot <= high;
  });
}
