import type { ServerResponse } from 'node:http';
import type { ReadinessReport } from '../observability/readiness.ts';

/** What a probe asks. */
export interface ReadinessProbe {
  look(): Promise<{ readonly status: ReadinessReport['status']; readonly checks: object }>;
}

/** Answers `/health`: whoever can answer is alive. It asks nobody, so that an outage of a database restarts no process. */
export function answerHealth(response: ServerResponse): void {
  sendProbe(response, 200, { status: 'ok' });
}

/**
 * Answers `/ready`, with what was found: 503 for `not ready`, so that no work is sent here. `degraded` is 200: PostgreSQL is the
 * truth, and without Redis, a worker or a provider all is accepted, kept, and done or heard of later.
 */
export async function answerReady(response: ServerResponse, readiness: ReadinessProbe): Promise<void> {
  const report = await readiness.look();
  sendProbe(response, report.status === 'not ready' ? 503 : 200, report);
}

function sendProbe(response: ServerResponse, status: number, body: object): void {
  response
    .writeHead(status, { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' })
    .end(JSON.stringify(body));
}
