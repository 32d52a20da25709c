import { defineConfig } from 'vitest/config';

/* Signals and children are state of the whole process: one file at a time, in a
 * process of its own. In the threads pool SIGCHLD never fires. */
const shared = { pool: 'forks', fileParallelism: false, testTimeout: 120_000 } as const;

export default defineConfig({
  test: {
    globalSetup: 'test/support/setup.ts',
    reporters: ['default', './test/support/closing-line.ts'],
    projects: [
      { extends: true, test: { ...shared, name: 'unit', include: ['test/unit/**/*.test.ts'] } },
      { extends: true, test: { ...shared, name: 'native', include: ['test/native/**/*.test.ts'] } },
      { extends: true, test: { ...shared, name: 'kernel', include: ['test/kernel/**/*.test.ts'] } },
      {
        extends: true,
        test: {
          ...shared,
          name: 'containers',
          include: ['test/containers/**/*.test.ts'],
          hookTimeout: 180_000,
        },
      },
    ],
  },
});
