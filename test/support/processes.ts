/** Processes that the tests start, and what /proc says of them. */
import { readFileSync } from 'node:fs';
import { afterEach } from 'vitest';
import { type ProcessStat, parseStat } from '../../src/procfs';
import { Running } from './init';

/** undefined: it is gone. */
export function statOf(pid: number): ProcessStat | undefined {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return undefined;
  }
}

export const stateOf = (pid: number) => statOf(pid)?.state;

/** Done after each test of the file that asks for it, the last first. */
export function cleanupAfterEach(): (() => unknown)[] {
  const cleanup: (() => unknown)[] = [];
  afterEach(async () => {
    for (const done of cleanup.splice(0).reverse()) await done();
  });
  return cleanup;
}

/** A helper whose life ends with its standard input, or after the test. */
export async function startHelper(
  cleanup: (() => unknown)[],
  argv: readonly string[],
  ready: RegExp,
): Promise<[Running, RegExpExecArray]> {
  const r = new Running(argv);
  cleanup.push(async () => {
    r.child.stdin?.end();
    r.child.kill('SIGCONT');
    r.child.kill('SIGKILL');
    await r.ended;
  });
  return [r, await r.see(ready)];
}
