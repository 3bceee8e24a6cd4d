import { createClient } from './client.ts';
import { startFakeInfobip } from './fakes/fake-infobip.ts';
import { settledDeliveries } from './operations.ts';
import { startProgram } from './program.ts';
import { startRestartablePostgres } from './restarted-postgres.ts';
import { infobipSettings, inHandMax, sendThousandSms } from './thousand-sms.ts';

const SERVER_KEY = 'server-key-of-the-tests';

/** What became of thousands of SMS while PostgreSQL was restarted again and again. */
export interface RestartsUnderLoad {
  progress: Awaited<ReturnType<typeof settledDeliveries>>['progress'];
  /** Phones that got one. */
  reached: number;
  requests: number;
  /** From when the server took connections again until an SMS came that no job had in hand before, for each restart. */
  healedMs: number[];
}

/** Sends SMS by a program of its own, and restarts its PostgreSQL `restarts` times meanwhile. */
export async function restartUnderLoad({
  thousands,
  restarts,
}: {
  thousands: number;
  restarts: number;
}): Promise<RestartsUnderLoad> {
  const postgres = await startRestartablePostgres();
  const infobip = await startFakeInfobip();
  await using program = await startProgram({
    ...{ DATABASE_URL: postgres.url, DATA_ENCRYPTION_KEY: Buffer.alloc(32, 5).toString('base64'), SERVER_KEY },
    ...infobipSettings(infobip),
  });
  const server = createClient(program.url, SERVER_KEY);
  const notification = await sendThousandSms(server, { thousands });
  const total = thousands * 1_000;
  const healedMs: number[] = [];
  for (let restart = 1; restart <= restarts; restart += 1) {
    await infobip.received(Math.floor((restart * total) / (restarts + 2)));
    await postgres.restart();
    const [begunAt, taken] = [performance.now(), infobip.messages.length];
    await infobip.received(Math.min(taken + inHandMax + 1, total));
    healedMs.push(performance.now() - begunAt);
  }
  const { progress } = await settledDeliveries(server, notification);
  await program.stop();
  await postgres.close();
  await infobip.close();
  return {
    progress,
    reached: new Set(infobip.messages.map(({ to }) => to)).size,
    requests: infobip.requestCount(),
    healedMs,
  };
}
