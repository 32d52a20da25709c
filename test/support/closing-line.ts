/** The plain closing line that any CI can read: `N passed, N failed, N skipped`. */
import type { Reporter, TestModule } from 'vitest/node';

export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const count = { passed: 0, failed: 0, skipped: 0 };
    for (const module of modules) {
      const before = count.failed;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state !== 'pending') count[state]++;
      }
      /* a file that cannot be loaded, a hook that fails: no test says so */
      if (module.state() === 'failed' && count.failed === before) count.failed++;
    }
    console.log(`\n${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);
    if (process.env.CI === 'true' && count.skipped > 0) {
      console.log('a skipped test is a failure in CI');
      process.exitCode = 1;
    }
  }
}
