/** Processes that the tests start, and what /proc says of them. */
import type { SpawnOptions } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { afterEach } from 'vitest';
import { type ProcessStat, parseStat } from '../../src/procfs';
import { cleanEnv, Running, run } from './init';

/** undefined: it is gone. */
export function statOf(pid: number): ProcessStat | undefined {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return undefined;
  }
}

export const stateOf = (pid: number) => statOf(pid)?.state;

/** None when it is gone. */
export function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1');
    return text.split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** Inodes of listening TCP sockets that the process holds. */
export function listening(pid: number): string[] {
  const tables = ['tcp', 'tcp6'].map((t) => `/proc/${pid}/net/${t}`).filter(existsSync);
  const inodes = tables.flatMap((file) =>
    readFileSync(file, 'utf8')
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter((f) => f[3] === '0A')
      .map((f) => f[9]),
  );
  const own = run(['ls', '-l', `/proc/${pid}/fd`]).stdout;
  return inodes.filter((i): i is string => i !== undefined && own.includes(`socket:[${i}]`));
}

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

const marks = new WeakMap<Running, string>();
let started = 0;

/** An init, as a subreaper. A test that fails leaves nothing of it behind. */
export function startInit(
  cleanup: (() => unknown)[],
  argv: readonly string[],
  options: SpawnOptions = {},
): Running {
  const mark = `${process.pid}.${++started}`;
  const r = new Running(argv, { ...options, env: { ...(options.env ?? cleanEnv()), MARK: mark } });
  marks.set(r, `MARK=${mark}`);
  cleanup.push(async () => {
    r.child.kill('SIGKILL'); /* first, for it starts a policy process again */
    for (const pid of processesOf(r)) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        /* ended meanwhile */
      }
    }
    await r.ended;
  });
  return r;
}

/** What startInit started and what that started, wherever it is by now: by its environment. */
export function processesOf(r: Running): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => {
    try {
      const environment = readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0');
      return environment.includes(marks.get(r) ?? '');
    } catch {
      return false; /* ended while we looked */
    }
  });
}
