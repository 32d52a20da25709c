/** Reaping a living parent's zombies: in C with sanitizers, and through the addon with real parents. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { loadPreapCore, PreapOutcome, type PreapResult } from '../../src/native';
import { Cgroup, freezerMount, until } from '../support/cgroups';
import { cleanEnv, fixture, NODE, ROOT, Running, run } from '../support/init';
import { stateOf, statOf } from '../support/processes';

const core = loadPreapCore();

const startOf = (pid: number) => statOf(pid)?.startTicks ?? 0;

/** Of one thread; the helper process of a call is one of the caller's. */
function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1');
    return text.split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

const cleanup: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const done of cleanup.splice(0).reverse()) await done();
});

/** A process that answers line by line; it ends with the test at the latest. */
class Talker {
  readonly child;
  readonly closed: Promise<unknown[]>;
  readonly #lines: AsyncIterator<string>;
  #err = '';

  constructor(argv: readonly string[]) {
    const [file = '', ...args] = argv;
    const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'], env: cleanEnv() });
    this.child = child;
    this.closed = once(child, 'close');
    child.stdin.on('error', () => {}); /* it was killed */
    child.stderr.on('data', (d) => {
      this.#err += d;
    });
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    cleanup.push(async () => {
      child.stdin.end();
      child.kill('SIGKILL');
      child.kill('SIGCONT');
      await this.closed;
    });
  }

  get pid(): number {
    return this.child.pid as number;
  }

  async line(): Promise<string> {
    const next = await this.#lines.next();
    if (next.done) throw new Error(`${this.child.spawnargs.join(' ')} has ended: ${this.#err}`);
    return next.value;
  }

  ask(what: string): Promise<string> {
    this.child.stdin.write(`${what}\n`);
    return this.line();
  }

  /** Exit code, signal and messages, after the end of its input. */
  async end(): Promise<unknown[]> {
    this.child.stdin.end();
    return [...(await this.closed), this.#err];
  }
}

/** Modes in odd_parent.c. */
class OddParent extends Talker {
  zombies: number[] = [];
  /** The one that lives, 0 = none. */
  living = 0;

  /** What all have to show at the end: none of the children is left for a wait of its own. */
  async expectReaped(): Promise<void> {
    expect(await this.ask('')).toBe('waited 0');
    expect(await this.end()).toEqual([0, null, '']);
  }

  async expectUnharmed(): Promise<void> {
    expect(await this.ask('')).toBe(`waited ${this.zombies.length}`);
    expect(await this.end()).toEqual([0, null, '']);
  }
}

async function oddParent(mode: string, count = 3, before: string[] = []): Promise<OddParent> {
  const parent = new OddParent([...before, fixture('odd_parent'), mode, String(count)]);
  const [numbers = '', living] = (await parent.line()).split(' child ');
  const [pid, ...zombies] = numbers.split(' ').map(Number);
  expect(pid).toBe(parent.pid);
  expect(zombies).toHaveLength(count);
  parent.zombies = zombies;
  parent.living = Number(living ?? 0);
  return parent;
}

class BusyParent extends Talker {
  async zombies(count: number): Promise<number[]> {
    const [made, number, ...pids] = (await this.ask(`zombies ${count}`)).split(' ');
    expect([made, Number(number), pids.length]).toEqual(['made', count, count]);
    return pids.map(Number);
  }

  /** No fault; returns how many rounds of its work are behind it. */
  async check(): Promise<number> {
    const said = await this.ask('check');
    expect(said).toMatch(/^ok \d+$/);
    return Number(said.slice(3));
  }

  /** It still works: a wake-up was not lost. */
  async expectToGoOn(): Promise<void> {
    const before = await this.check();
    const end = Date.now() + 30_000;
    while ((await this.check()) <= before) {
      if (Date.now() > end) throw new Error(`it does not go on: ${await this.ask('where')}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(await this.end()).toEqual([0, null, '']);
  }
}

const busyParent = (mode: string) => new BusyParent([fixture('busy_parent'), mode]);

interface More {
  parentStart?: number;
  inner?: number[];
  starts?: number[];
  descends?: boolean;
  limitMs?: number;
}

function preap(parent: number, pids: readonly number[], more: More = {}): PreapResult {
  return core.preap({
    parent,
    parentStart: more.parentStart ?? startOf(parent),
    descends: more.descends ?? false,
    limitMs: more.limitMs ?? 60_000,
    pids: Int32Array.from(pids),
    inner: Int32Array.from(more.inner ?? pids),
    starts: Float64Array.from(more.starts ?? pids.map(startOf)),
  });
}

/** How many have which outcome. */
function tally(outcomes: Iterable<PreapOutcome>): Partial<Record<PreapOutcome, number>> {
  const counts: Partial<Record<PreapOutcome, number>> = {};
  for (const o of outcomes) counts[o] = (counts[o] ?? 0) + 1;
  return counts;
}

const all = (count: number, outcome: PreapOutcome) => new Uint8Array(count).fill(outcome);
const DONE = { refusal: null, errno: 0, error: null, step: null };

function expectAllReaped(parent: Talker, pids: readonly number[]): PreapResult {
  const result = preap(parent.pid, pids);
  const outcomes = { [PreapOutcome.Reaped]: pids.length };
  const got = { ...result, outcomes: tally(result.outcomes) };
  expect(got).toMatchObject({ ...DONE, reaped: pids.length, outcomes });
  expect(pids.map(stateOf).filter((s) => s !== undefined)).toEqual([]);
  return result;
}

/** Another process makes the call: as somebody else, or to be killed. */
let folder: string;
const callerArgv = (parent: number, pids: readonly number[], more: object = {}) => [
  ...[NODE, join(folder, 'preap.cjs'), join(folder, 'lychgate.node')],
  JSON.stringify({ parent, pids, ...more }),
];

function callAs(
  before: readonly string[],
  parent: number,
  pids: readonly number[],
  more: object = {},
): PreapResult & { calls: number; outcomes: number[] } {
  /* What this one may see, the other may not. */
  const known = { parentStart: startOf(parent), starts: pids.map(startOf) };
  const r = run([...before, ...callerArgv(parent, pids, { ...known, ...more })], { input: '\n' });
  expect(r).toMatchObject({ code: 0, stderr: '' });
  return JSON.parse(r.stdout.split('\n')[1] ?? '');
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lychgate-preap-'));
  chmodSync(folder, 0o755);
  const addon = join(ROOT, 'build', 'Release', 'lychgate.node');
  copyFileSync(addon, join(folder, 'lychgate.node'));
  copyFileSync(join(ROOT, 'test', 'fixtures', 'preap.cjs'), join(folder, 'preap.cjs'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const VARIANTS = {
  plain: ['-O2'],
  asan: ['-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-g', '-O1'],
};

describe.each(Object.entries(VARIANTS))('in C, %s', (variant, flags) => {
  const into = join(ROOT, 'build', 'preap-tests', variant);
  const file = join(into, 'preap_test');
  const env = cleanEnv({ ASAN_OPTIONS: 'detect_leaks=1', UBSAN_OPTIONS: 'print_stacktrace=1' });

  beforeAll(() => {
    const script = join(ROOT, 'test', 'native', 'build.sh');
    expect(run(['sh', script, 'preap', into, ...flags])).toMatchObject({ code: 0, stderr: '' });
  });

  test('filters by hand, the stub, the tracer that goes away', () => {
    const names = run([file, 'list']).stdout.trim().split('\n');
    expect(names.length).toBeGreaterThan(10);
    const r = run([file], { env });
    expect(r.stdout.trim().split('\n'), r.stderr).toEqual(names.map((name) => `ok ${name}`));
    expect(r).toMatchObject({ code: 0, stderr: '' });
  });

  test('filters by chance: the same as the kernel', () => {
    const seed = process.env.LYCHGATE_TEST_SEED ?? '20240229';
    const r = run([file, 'random', seed, variant === 'plain' ? '4000' : '1000'], { env });
    expect(r).toMatchObject({ code: 0, stdout: 'ok random\n', stderr: '' });
  });
});

describe('reaping', () => {
  test('1,000 zombies: each with its outcome, and the parent lives', async () => {
    const parent = await oddParent('plain', 1000);
    const result = expectAllReaped(parent, parent.zombies);
    expect(result.rounds).toBeGreaterThanOrEqual(1000 / 32);
    expect(result.longestMs).toBeGreaterThan(0);
    expect(result.totalMs).toBeGreaterThanOrEqual(result.longestMs);
    await parent.expectReaped();
  });

  test('none asked for: nothing is done', async () => {
    const parent = await oddParent('plain');
    const nothing = { ...DONE, rounds: 0, reaped: 0, totalMs: 0, outcomes: all(0, 0) };
    expect(preap(parent.pid, [])).toMatchObject(nothing);
    await parent.expectUnharmed();
  });

  test('only those asked for', async () => {
    const parent = await oddParent('plain', 100);
    expectAllReaped(parent, parent.zombies.splice(10, 50));
    await parent.expectUnharmed();
  });

  test('the time is over: the rest is left', async () => {
    const parent = await oddParent('plain', 1000);
    const result = preap(parent.pid, parent.zombies, { limitMs: 0 });
    expect(result).toMatchObject({ ...DONE, rounds: 1 });
    const left = parent.zombies.filter((_, i) => result.outcomes[i] === PreapOutcome.Left);
    expect(left.length).toBeGreaterThanOrEqual(1000 - 32);
    expect(result.reaped).toBe(1000 - left.length);
    parent.zombies = left;
    await parent.expectUnharmed();
  });

  test('a row that is another process, a living one, gone, or a stranger', async () => {
    const parent = await oddParent('living', 4);
    const stranger = await oddParent('plain', 1);
    const [a = 0, b = 0, c = 0, d = 0] = parent.zombies;
    const [x = 0] = stranger.zombies;
    const gone = run(['sh', '-c', 'echo $$']).stdout;
    const pids = [a, b, parent.living, Number(gone), x, c, d];
    const starts = pids.map(startOf);
    starts[1] = (starts[1] as number) + 1;
    const result = preap(parent.pid, pids, { starts });
    expect(result).toMatchObject({ ...DONE, reaped: 3 });
    expect([...result.outcomes]).toEqual([
      ...[PreapOutcome.Reaped, PreapOutcome.Changed, PreapOutcome.Changed],
      ...[PreapOutcome.Gone, PreapOutcome.Kept, PreapOutcome.Reaped, PreapOutcome.Reaped],
    ]);
    expect(stateOf(x)).toBe('Z');
    expect(stateOf(parent.living)).toMatch(/[RS]/);
    parent.zombies = [b];
    await parent.expectUnharmed();
    await stranger.expectUnharmed();
  });

  test('a zombie that a stranger traces is kept', async () => {
    const three = new Talker([fixture('traced_zombie')]);
    const [parent = 0, child = 0] = (await three.line()).split(' ').map(Number);
    const kept = { ...DONE, reaped: 0, outcomes: all(1, PreapOutcome.Kept) };
    expect(preap(parent, [child])).toMatchObject(kept);
    await until(() => stateOf(parent) === 'S', 'it does not wait again');
  });

  test('a parent in a PID namespace: its own numbers count', async () => {
    const outside = new Talker([
      ...['unshare', '--pid', '--fork', '--kill-child', fixture('zombies'), '20'],
    ]);
    const [one, ...inner] = (await outside.line()).split(' ').map(Number);
    expect(one).toBe(1);
    const [parent = 0] = childrenOf(outside.pid);
    const pids = childrenOf(parent);
    const inside = (pid: number) =>
      Number(/^NSpid:.*\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]);
    expect(pids.map(inside)).toEqual(inner);
    const result = preap(parent, pids, { inner });
    expect(result).toMatchObject({ ...DONE, reaped: 20, outcomes: all(20, PreapOutcome.Reaped) });
    expect(await outside.end()).toEqual([0, null, '']);
  });

  test('a parent whose first thread has ended', async () => {
    const parent = await oddParent('leader', 100);
    await until(() => stateOf(parent.pid) === 'Z', 'the first thread lives');
    expectAllReaped(parent, parent.zombies);
    await parent.expectReaped();
  });

  test('a parent that has blocked all signals: mask kept, each pending one delivered once', async () => {
    const parent = await oddParent('masked', 500);
    expectAllReaped(parent, parent.zombies);
    expect(await parent.ask('')).toBe('waited 0');
    parent.child.stdin.end();
    expect(await parent.line()).toBe('took 1 3');
    expect(await parent.end()).toEqual([0, null, '']);
  });

  test('a parent in a receive with a time limit sees no EINTR', async () => {
    const parent = await oddParent('receive', 500);
    expectAllReaped(parent, parent.zombies);
    await parent.expectReaped();
  });

  test('another thread, while the first one writes: the write is whole', async () => {
    const parent = await oddParent('write-thread', 100);
    await until(() => stateOf(parent.pid) === 'S', 'it does not wait');
    expectAllReaped(parent, parent.zombies);
    process.kill(parent.living, 'SIGUSR1');
    expect(await parent.line()).toBe(`wrote ${1 << 20}`);
  });

  test('a filter that lets the calls pass', async () => {
    const parent = await oddParent('allow', 100);
    expectAllReaped(parent, parent.zombies);
    await parent.expectReaped();
  });

  test('a filter that we have too need not be read', async () => {
    const parent = await oddParent('allow', 10);
    const filtered = [fixture('odd_parent'), 'filtered'];
    const [first = 0, ...rest] = parent.zombies;
    const unread = callAs(filtered, parent.pid, [first]);
    expect(unread).toMatchObject({ refusal: 'seccomp-unknown', reaped: 0 });
    const known = callAs(filtered, parent.pid, [first, ...rest], { descends: true });
    expect(known).toMatchObject({ refusal: null, reaped: 10 });
    await parent.expectReaped();
  });
});

describe('refused', () => {
  /** Nothing was done, and it can be done as soon as the reason is gone. */
  const expectRefusal = (parent: number, zombies: number[], refusal: string, more: More = {}) => {
    const result = preap(parent, zombies, more);
    const outcomes = all(zombies.length, PreapOutcome.Left);
    expect(result).toMatchObject({ refusal, reaped: 0, outcomes });
    expect(zombies.map(stateOf).every((s) => s === 'Z')).toBe(true);
    return result;
  };

  test('vanished: another process with that pid, or none', async () => {
    const parent = await oddParent('plain');
    const other = await oddParent('plain');
    const parentStart = startOf(parent.pid);
    expectRefusal(parent.pid, parent.zombies, 'vanished', { parentStart: parentStart + 1 });
    await parent.expectUnharmed();
    expectRefusal(parent.pid, other.zombies, 'vanished', { parentStart });
    await other.expectUnharmed();
  });

  test('failed: a call for ourselves or nobody', async () => {
    const parent = await oddParent('plain');
    for (const pid of [process.pid, 0, -1]) {
      expectRefusal(pid, parent.zombies, 'failed', { parentStart: 1 });
    }
    await parent.expectUnharmed();
  });

  test('permission: another user', async () => {
    const parent = await oddParent('plain');
    const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
    const result = callAs(nobody, parent.pid, parent.zombies);
    expect(result).toMatchObject({ refusal: 'permission', reaped: 0 });
    expect(result.outcomes).toEqual([0, 0, 0]);
    await parent.expectUnharmed();
  });

  test('permission: the same user, but a process that has changed it', async () => {
    const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
    /* The fixture may lie where only root looks. */
    const copy = join(folder, 'odd_parent');
    copyFileSync(fixture('odd_parent'), copy);
    for (const mode of ['undumpable', 'plain']) {
      const parent = new OddParent([...nobody, copy, mode, '2']);
      parent.zombies = (await parent.line()).split(' ').slice(1).map(Number);
      const result = callAs(nobody, parent.pid, parent.zombies);
      if (mode === 'plain') {
        expect(result).toMatchObject({ refusal: null, reaped: 2 });
        await parent.expectReaped();
      } else {
        expect(result).toMatchObject({ refusal: 'permission', reaped: 0 });
        await parent.expectUnharmed();
      }
    }
  });

  test('traced: until the tracer goes', async () => {
    const parent = await oddParent('traced');
    expectRefusal(parent.pid, parent.zombies, 'traced');
    process.kill(parent.living, 'SIGKILL');
    await until(() => stateOf(parent.living) === 'Z', 'the tracer lives');
    expectAllReaped(parent, [...parent.zombies, parent.living]);
    await parent.expectReaped();
  });

  test('stopped: it stays so', async () => {
    const parent = await oddParent('plain');
    process.kill(parent.pid, 'SIGSTOP');
    await until(() => stateOf(parent.pid) === 'T', 'it does not stop');
    for (let i = 0; i < 20; i++) expectRefusal(parent.pid, parent.zombies, 'stopped');
    expect(stateOf(parent.pid)).toBe('T');
    process.kill(parent.pid, 'SIGCONT');
    await until(() => stateOf(parent.pid) === 'S', 'it does not go on');
    expectAllReaped(parent, parent.zombies);
    await parent.expectReaped();
  });

  test('deaf: in vfork', async () => {
    const parent = new Talker([fixture('vfork_parent')]);
    const other = await oddParent('plain');
    await until(() => stateOf(parent.pid) === 'D', 'it is not in vfork');
    expectRefusal(parent.pid, other.zombies, 'deaf');
    expect(stateOf(parent.pid)).toBe('D');
    await other.expectUnharmed();
  });

  for (const [version, refusal] of [
    [1, 'deaf'],
    [2, 'stuck'],
  ] as const) {
    const missing = freezerMount(version) === undefined;
    if (missing) console.log(`SKIP frozen parents v${version}: no freezer to be written here`);
    test.skipIf(missing)(`${refusal}: frozen, cgroup v${version}`, async () => {
      const parent = await oddParent('plain', 40);
      const c = new Cgroup(version);
      cleanup.push(() => c.remove());
      c.add(parent.pid);
      await c.freezeNow();
      expectRefusal(parent.pid, parent.zombies, refusal);
      expect(c.frozen).toBe(true);
      c.thaw();
      await until(() => !c.frozen && stateOf(parent.pid) === 'S', 'it does not go on');
      expectAllReaped(parent, parent.zombies);
      await parent.expectReaped();
    });
  }

  const source = join(ROOT, 'test', 'fixtures', 'foreign_parent.S');
  const runs32 = () => {
    if (process.arch !== 'x64') return false;
    const file = fixture('foreign_parent');
    const flags = ['-m32', '-static', '-nostdlib', '-Wl,--build-id=none'];
    if (run(['cc', ...flags, '-o', file, source]).code !== 0) return false;
    return run(['sh', '-c', `${file} < /dev/null`]).code === 0;
  };
  const foreign = runs32();
  if (!foreign) console.log('SKIP foreign: no programs of 32 bits here');
  test.skipIf(!foreign)('foreign: a program of 32 bits', async () => {
    const parent = new Talker([fixture('foreign_parent')]);
    await until(() => childrenOf(parent.pid).some((p) => stateOf(p) === 'Z'), 'no zombie');
    expectRefusal(parent.pid, childrenOf(parent.pid), 'foreign');
    expect(await parent.end()).toEqual([0, null, '']);
  });

  test('seccomp: wait4 is forbidden', async () => {
    const parent = await oddParent('deny');
    expectRefusal(parent.pid, parent.zombies, 'seccomp');
    await parent.expectReaped(); /* its own wait is forbidden too */
  });

  test('seccomp: strict mode', async () => {
    const parent = await oddParent('strict');
    expectRefusal(parent.pid, parent.zombies, 'seccomp');
    expect(await parent.end()).toEqual([0, null, '']);
  });

  test('seccomp: the program handles system calls itself', async () => {
    const parent = await oddParent('dispatch');
    expectRefusal(parent.pid, parent.zombies, 'seccomp');
    await parent.expectUnharmed();
  });

  test('seccomp-unknown: only CAP_SYS_ADMIN reads a filter', async () => {
    const parent = await oddParent('allow');
    const without = ['setpriv', '--bounding-set=-sys_admin', '--inh-caps=-sys_admin'];
    const result = callAs(without, parent.pid, parent.zombies);
    expect(result).toMatchObject({ refusal: 'seccomp-unknown', reaped: 0 });
    const plain = await oddParent('plain');
    const fine = callAs(without, plain.pid, plain.zombies);
    expect(fine).toMatchObject({ refusal: null, reaped: 3 });
    await parent.expectUnharmed();
    await plain.expectReaped();
  });

  test('no-room: a program that has no vDSO', async () => {
    const parent = await oddParent('no-vdso');
    expectRefusal(parent.pid, parent.zombies, 'no-room');
    await parent.expectUnharmed();
  });

  test('busy: in a write that must not be cut short', async () => {
    const parent = await oddParent('write', 10);
    await until(() => stateOf(parent.pid) === 'S', 'it does not wait');
    expectRefusal(parent.pid, parent.zombies, 'busy');
    process.kill(parent.living, 'SIGUSR1');
    expect(await parent.line()).toBe(`wrote ${1 << 20}`);
    expectAllReaped(parent, parent.zombies);
  });
});

describe('a parent at work sees nothing of it', () => {
  const modes = ['sleep', 'epoll', 'poll', 'futex', 'read', 'wait', 'signals', 'cpu', 'syscalls'];
  test.each([...modes.map((mode) => [mode, 10] as const), ['all', 100] as const])(
    '%s, %i times 1,000 zombies',
    async (mode, times) => {
      const parent = busyParent(mode);
      for (let i = 0; i < times; i++) {
        expectAllReaped(parent, await parent.zombies(1000));
        await parent.check();
      }
      await parent.expectToGoOn();
    },
    600_000,
  );
});

describe('killed', () => {
  const MAGIC = Buffer.from('\xffychgate', 'latin1');

  /** Is there a stub in its vDSO's padding? */
  function hasStub(pid: number): boolean {
    const maps = readFileSync(`/proc/${pid}/maps`, 'latin1');
    const range = /^(\w+)-(\w+) .*\[vdso\]$/m.exec(maps);
    const [from = 0, to = 0] = (range ?? []).slice(1).map((x) => Number.parseInt(x, 16));
    const content = Buffer.alloc(to - from);
    const fd = openSync(`/proc/${pid}/mem`, 'r');
    readSync(fd, content, 0, content.length, from);
    closeSync(fd);
    expect(content.length).toBeGreaterThan(0);
    return content.includes(MAGIC);
  }

  const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

  /** The helper process of the caller, as soon as there is one other than the last. */
  async function helperOf(caller: Running, last: number): Promise<number | undefined> {
    while (caller.child.exitCode === null && caller.child.signalCode === null) {
      const [helper] = childrenOf(caller.pid);
      if (helper !== undefined && helper !== last) return helper;
      await turn();
    }
    return undefined;
  }

  /** In the middle of whatever it does; no number of it is measured. */
  async function anyMoment(): Promise<void> {
    const end = process.hrtime.bigint() + BigInt(Math.floor(Math.random() * 4_000_000));
    while (process.hrtime.bigint() < end) await turn();
  }

  function kill(pid: number): void {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      /* ended meanwhile */
    }
  }

  async function startCaller(parent: BusyParent, pids: number[], again: boolean): Promise<Running> {
    const caller = new Running(callerArgv(parent.pid, pids, { again }));
    cleanup.push(async () => {
      for (const helper of childrenOf(caller.pid)) kill(helper);
      if (caller.child.exitCode === null && caller.child.signalCode === null) kill(caller.pid);
      await caller.ended;
    });
    await caller.see(/^ready$/m);
    caller.child.stdin?.end('\n');
    return caller;
  }

  /* Not epoll and signals: between the stop and its undoing our death lets an EINTR
   * through that ptrace(2) itself causes (stub.h). */
  test.each(['sleep', 'poll', 'futex', 'read', 'wait', 'cpu', 'syscalls'])(
    'the helper process, 40 times or more, %s: the stub goes on alone',
    async (mode) => {
      const parent = busyParent(mode);
      let kills = 0;
      let stubs = 0;
      /* Some must have hit it in the middle, or nothing was tested. */
      while (kills < 40 || stubs < 5) {
        const pids = await parent.zombies(300);
        const caller = await startCaller(parent, pids, true);
        let calls = 0;
        for (let last = 0; kills < 40 || stubs < 5; ) {
          const helper = await helperOf(caller, last);
          if (helper === undefined) break;
          await anyMoment();
          kill(helper);
          kills++;
          if (hasStub(parent.pid)) stubs++;
          last = helper;
          calls++;
        }
        const { code, stdout, stderr } = await caller.ended;
        expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
        const result = JSON.parse(stdout.split('\n')[1] ?? '');
        expect(result.calls).toBeLessThanOrEqual(calls + 1);
        /* Reaped by one that was killed before it could say so: gone. */
        const { Reaped, Gone } = PreapOutcome;
        const { [Reaped]: reaped = 0, [Gone]: gone = 0, ...others } = tally(result.outcomes);
        expect(others).toEqual({});
        expect({ ...result, outcomes: null }).toMatchObject(DONE);
        expect(reaped + gone).toBe(pids.length);
        expect(pids.map(stateOf).filter((s) => s !== undefined)).toEqual([]);
        await parent.check();
      }
      /* A stub that was left behind is no hindrance, and is cleared away. */
      expectAllReaped(parent, await parent.zombies(200));
      expect(hasStub(parent.pid)).toBe(false);
      await parent.expectToGoOn();
    },
    600_000,
  );

  test.each([
    ['sleep', false],
    ['futex', true],
    ['cpu', false],
    ['syscalls', true],
  ])('the caller as a whole, %s, the helper with it: %s', async (mode, both) => {
    const parent = busyParent(mode);
    for (let i = 0; i < 10; i++) {
      const pids = await parent.zombies(500);
      const caller = await startCaller(parent, pids, false);
      const helper = await helperOf(caller, 0);
      await anyMoment();
      kill(caller.pid);
      if (both && helper !== undefined) kill(helper);
      await caller.ended;
      /* It may go on until its own end; nobody waits for it but init. */
      if (helper !== undefined) {
        await until(() => [undefined, 'Z'].includes(stateOf(helper)), 'the helper stays');
      }
      await parent.check();
      const left = pids.filter((pid) => stateOf(pid) === 'Z');
      const result = preap(parent.pid, left);
      expect({ ...result, outcomes: null }).toMatchObject(DONE);
      /* Those that a stub still was at when they were listed are gone. */
      const { Reaped, Gone } = PreapOutcome;
      const { [Reaped]: reaped = 0, [Gone]: gone = 0 } = tally(result.outcomes);
      expect(reaped + gone).toBe(left.length);
      expect(gone).toBeLessThanOrEqual(32);
      expect(pids.map(stateOf).filter((s) => s !== undefined)).toEqual([]);
    }
    await parent.expectToGoOn();
  });
});

describe('the caller', () => {
  test('keeps no descriptor and no process of 1,000 calls', async () => {
    const parent = await oddParent('plain', 1);
    const stranger = await oddParent('plain', 1);
    const count = (folder: string) => readdirSync(folder).length;
    const seen = () => [
      count('/proc/self/fd'),
      count('/proc/self/task'),
      childrenOf(process.pid).length,
    ];
    const before = seen();
    /* A stranger's zombie is kept: a real stop each time, and nothing changes. */
    for (let i = 0; i < 1000; i++) {
      const result = preap(parent.pid, stranger.zombies);
      if (result.outcomes[0] === PreapOutcome.Kept && result.rounds > 0) continue;
      expect(result).toMatchObject({ ...DONE, outcomes: all(1, PreapOutcome.Kept) });
    }
    expect(seen()).toEqual(before);
    await parent.expectUnharmed();
    await stranger.expectUnharmed();
  });

  test('gets no SIGCHLD, and keeps its signal mask', async () => {
    const parent = await oddParent('plain', 300);
    const masks = () => readFileSync('/proc/self/status', 'latin1').match(/^Sig(Blk|Cgt).*/gm);
    let children = 0;
    const onChild = () => {
      children++;
    };
    process.on('SIGCHLD', onChild);
    try {
      const before = masks();
      expectAllReaped(parent, parent.zombies);
      expect(masks()).toEqual(before);
      /* Signals come in their order: what was sent before is here when this one is. */
      const later = once(process, 'SIGUSR2');
      process.kill(process.pid, 'SIGUSR2');
      await later;
      expect(children).toBe(0);
    } finally {
      process.off('SIGCHLD', onChild);
    }
    await parent.expectReaped();
  });
});
