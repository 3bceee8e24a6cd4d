/** Where a Redis server listens, and how it lets this program in. */
export interface RedisNode {
  readonly host: string;
  readonly port: number;
  /** Empty: the default user. */
  readonly username: string;
  /** Empty: none is asked for. */
  readonly password: string;
  /** Over TLS, whose certificate must be one that Node trusts and name the host. */
  readonly isEncrypted: boolean;
}

const defaultPort = 6379;

/** What REDIS_URL has to be, to follow its name. */
export const redisUrlRule =
  'must be a URL like redis://host:6379, or such URLs of nodes of one Redis Cluster, separated by commas.';

/**
 * The servers that REDIS_URL names, at least one; null when it is not as `redisUrlRule` says. The number of a database
 * may stand behind the host and means nothing: wake-ups are heard across databases. Anything else there is taken for a
 * password with a character that needed encoding, of which a part would then pass for a host and be logged as one.
 */
export function parseRedisUrl(text: string): RedisNode[] | null {
  const nodes = text.split(/\s*,\s*(?=rediss?:\/\/)/i).map(parseNode);
  return nodes.every((node) => node !== null) ? nodes : null;
}

function parseNode(text: string): RedisNode | null {
  const url = URL.parse(text);
  if (!url || !/^rediss?:$/.test(url.protocol) || !/^[^,]+$/.test(url.hostname)) return null;
  if (url.search || url.hash || !/^(\/\d*)?$/.test(url.pathname)) return null;
  try {
    return {
      host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: url.port === '' ? defaultPort : Number(url.port),
      username: decodeURIComponent(url.username),
      password: decodeURIComponent(url.password),
      isEncrypted: url.protocol === 'rediss:',
    };
  } catch {
    return null; // A stray %.
  }
}
