import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Logger } from '../logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import { listen } from './listen.ts';
import { answerHealth, answerReady, type ReadinessProbe } from './probes.ts';

interface MetricsServerOptions {
  metrics: Pick<Metrics, 'render'>;
  readiness: ReadinessProbe;
  log: Logger;
  host: string;
  /** 0: any free one. */
  port: number;
}

/** Where operators look, apart from callers: a port of its own need not be reachable from outside. */
export interface MetricsServer {
  /** Where it listens, such as `http://127.0.0.1:9464`. */
  url: string;
  stop(): Promise<void>;
}

/**
 * Serves `/metrics` (Prometheus text), `/health` and `/ready` to whoever reaches the port.
 *
 * @throws StartupError when the address cannot be listened on.
 */
export async function startMetricsServer({
  metrics,
  readiness,
  log,
  host,
  port,
}: MetricsServerOptions): Promise<MetricsServer> {
  const server = createServer((request, response) => {
    answer(request, response).catch((err: unknown) => {
      log.error({ err }, 'The metrics could not be told.');
      response.destroy();
    });
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [path] = (request.url ?? '/').split('?');
    if (path === '/health') return answerHealth(response);
    if (path === '/ready') return answerReady(response, readiness);
    if (path !== '/metrics') return void response.writeHead(404).end('Metrics are at /metrics.\n');
    const { contentType, text } = await metrics.render();
    response.writeHead(200, { 'content-type': contentType }).end(text);
  }

  const url = await listen(server, { host, port, setting: 'METRICS_PORT' });
  return {
    url,
    async stop() {
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        // Whoever scrapes comes again.
        server.closeAllConnections();
      });
    },
  };
}
