/** API keys that a start generated; null: that one was given, and its holder knows it. */
export interface GeneratedKeys {
  serverKey: string | null;
  appKey: string | null;
}

/** What a start has come to, for whoever started it. */
export interface BannerFacts {
  database: 'embedded' | 'server';
  wakeUps: 'redis' | 'in-process';
  /** API keys that this start made; null: none. */
  generatedKeys: GeneratedKeys | null;
  /** Where these keys are kept; null: nowhere. */
  keysFile: string | null;
  /** What serves each channel, such as `smtp` or `outbox`. */
  channels: Record<'PUSH' | 'EMAIL' | 'SMS' | 'WHATSAPP' | 'IN_APP', string>;
}

const databases: Record<BannerFacts['database'], string> = {
  embedded: 'embedded PostgreSQL, kept in DATA_DIR',
  server: 'PostgreSQL server of DATABASE_URL',
};

const wakeUps: Record<BannerFacts['wakeUps'], string> = {
  redis: 'Redis of REDIS_URL',
  'in-process': 'in this process; others are heard by polling',
};

/** The text that greets a person on a terminal. `url` is the program's own, such as http://127.0.0.1:4000; null: no HTTP. */
export function renderBanner(url: string | null, facts: BannerFacts & { metricsUrl: string | null }): string {
  const usesOutbox = Object.values(facts.channels).some((channel) => channel.includes('outbox'));
  return [
    'Carillon is ready.',
    '',
    ...(url === null ? ['  Worker      delivers; it serves no HTTP'] : renderPlaces(url, usesOutbox)),
    ...(facts.metricsUrl === null ? [] : [`  Metrics     ${facts.metricsUrl}/metrics`]),
    `  Database    ${databases[facts.database]}`,
    `  Wake-ups    ${wakeUps[facts.wakeUps]}`,
    `  Push        ${facts.channels.PUSH}`,
    `  E-mail      ${facts.channels.EMAIL}`,
    `  SMS         ${facts.channels.SMS}`,
    `  WhatsApp    ${facts.channels.WHATSAPP}`,
    `  In-app      ${facts.channels.IN_APP}`,
    '',
    ...(facts.generatedKeys ? [renderKeys(facts.generatedKeys, facts.keysFile), ''] : []),
    'Ctrl-C stops it.',
    '',
  ].join('\n');
}

/** API keys, shown once. */
export function renderKeys(keys: GeneratedKeys, keysFile: string | null): string {
  return [
    'Keys, shown this once:',
    ...(keys.serverKey === null ? [] : [`  Server key  ${keys.serverKey}   secret: back ends`]),
    ...(keys.appKey === null ? [] : [`  App key     ${keys.appKey}   publishable: apps and web pages`]),
    keysFile === null ? '  They are kept nowhere: note them down now.' : `  They are kept in ${keysFile}`,
  ].join('\n');
}

function renderPlaces(url: string, usesOutbox: boolean): string[] {
  return [
    `  GraphQL     ${url}/graphql   (HTTP, WebSocket, SSE; GraphiQL in a browser)`,
    `  Dashboard   ${url}/   (to come)`,
    ...(usesOutbox ? [`  Outbox      query outboxMessages at ${url}/graphql, with the server key`] : []),
  ];
}
