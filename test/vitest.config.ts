import { defineConfig } from 'vitest/config';
import { ProgramsSpread } from './support/programs-spread.ts';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/files-in-memory.ts', 'test/support/global-setup.ts'],
    // Forks, not threads: tests start processes, listen for signals and must not share a crash.
    pool: 'forks',
    // One more than a machine of two cores has: a test waits half of its time, for the database, programs or a timer.
    maxWorkers: 3,
    sequence: { sequencer: ProgramsSpread },
    // The program is loaded once in each of them, and not for each file: that took a quarter of the time.
    isolate: false,
    // Files run as Node runs them in production: its own type stripping and module resolution, no bundler between.
    experimental: { viteModuleRunner: false },
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
