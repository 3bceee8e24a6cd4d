import { defineConfig } from 'vitest/config';
import suite from './vitest.config.ts';

/** The long forms of the suite's guarantees: one file after another, each with the machine for itself. */
export default defineConfig({
  test: {
    ...suite.test,
    include: ['test/**/*.proof.ts'],
    // A million of something is not for the memory.
    globalSetup: 'test/support/global-setup.ts',
    fileParallelism: false,
    // Names every guarantee, with the figures that its proof gives.
    reporters: ['verbose'],
    testTimeout: 300_000,
  },
});
