import { constants } from 'node:os';
import { renderBanner, renderKeys } from './banner.ts';
import { readConfig } from './config.ts';
import { StartupError } from './errors.ts';
import { createLogger } from './logger.ts';

/** SIGHUP comes when the terminal is closed: the embedded PostgreSQL must not outlive that. */
const stopSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** `npm start` passes on the interrupt that the terminal has sent to everyone: what comes so soon is the same one. */
const sameSignalMs = 500;

/** Resolves at the first request to stop. A later one ends the process at once. */
function stopRequested(): Promise<void> {
  return new Promise((resolve) => {
    let requestedAt: number | null = null;
    for (const signal of stopSignals) {
      process.on(signal, () => {
        if (requestedAt === null) {
          requestedAt = performance.now();
          resolve();
        } else if (performance.now() - requestedAt > sameSignalMs) {
          process.exit(128 + constants.signals[signal]);
        }
      });
    }
  });
}

async function run(): Promise<void> {
  const stop = stopRequested();
  const config = readConfig();
  // Settings that are wrong are told before the second that it takes to load the rest.
  const { startApp } = await import('./app.ts');
  const app = await startApp(config);
  const { generatedKeys, keysFile, ...facts } = app.facts;
  if (config.environment === 'development') {
    process.stdout.write(renderBanner(app.url, { ...app.facts, metricsUrl: app.metricsUrl }));
  } else {
    createLogger().info({ url: app.url, metricsUrl: app.metricsUrl, role: config.role, ...facts }, 'ready');
    // Not to the log, which others keep and read.
    if (generatedKeys) process.stderr.write(`${renderKeys(generatedKeys, keysFile)}\n`);
  }
  await stop;
  await app.stop();
}

try {
  await run();
  process.exit(0);
} catch (error) {
  if (!(error instanceof StartupError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}
