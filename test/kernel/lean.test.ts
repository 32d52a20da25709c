/** What only lychgate-pid1 has: from its first instruction to where it rests. */
import {
  chmodSync,
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { LEAN_DEFAULTS } from '../../src/init/defaults';
import { encodeBaked } from '../../src/plan/encode';
import { until } from '../support/cgroups';
import { bake, commandsOf, HAS_PID1, LEAN, PID1 } from '../support/forms';
import { cleanEnv, fixture, run } from '../support/init';
import { childrenOf, cleanupAfterEach, processesOf, startInit, statOf } from '../support/processes';

const cleanup = cleanupAfterEach();

/** Gone after the test. */
function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'lychgate-lean-'));
  cleanup.push(() => rmSync(path, { recursive: true }));
  return path;
}

/** Many starts of the whole: patience for a machine that has other work too. */
const LONG = 600_000;

describe.runIf(HAS_PID1)('the first instruction: a TERM in the first millisecond', () => {
  const first = (runs: number, ...argv: string[]) => {
    const r = run([fixture('first_moment'), String(runs), ...argv], { timeout: LONG });
    expect(r, r.stderr).toMatchObject({ code: 0 });
    return JSON.parse(r.stdout);
  };

  test('is never lost with a baked plan, of 1,000', { timeout: LONG }, () => {
    const told = first(1000, PID1, '--plan', bake('--', 'sleep', '1000'));
    expect(told).toMatchObject({ runs: 1000, lost: 0 });
    expect(told.steps).toBeLessThanOrEqual(8);
  });

  test.each([
    [150, []],
    [50, ['-g']],
  ])('is never lost while the plan is made, of %i, options %j', { timeout: LONG }, (n, options) => {
    const told = first(n, PID1, ...options, '--', 'sleep', '1000');
    expect(told).toMatchObject({ runs: n, lost: 0 });
  });
});

describe.each(LEAN)('where it rests: $name', ({ lychgate }) => {
  /** rt_sigtimedwait(2) */
  const WAIT = process.arch === 'arm64' ? '137' : '128';

  test('one child, one thread, no timeout, no descriptor, 48 kB', async () => {
    /* a plain start: what the test runner left open would be passed on */
    const plain = [fixture('probe'), 'launch', 'clearenv', `env=PATH=${cleanEnv().PATH}`, '--'];
    const command = ['sh', '-c', 'echo up; exec sleep 1000'];
    const r = startInit(cleanup, [...plain, ...lychgate('--', ...command)]);
    await r.see(/up/);
    /* the process that made the plan ends at its own pace */
    await until(() => childrenOf(r.pid).length === 1, 'it has more children than COMMAND');
    expect(childrenOf(r.pid)).toEqual(commandsOf(r.pid));
    const call = () => readFileSync(`/proc/${r.pid}/syscall`, 'latin1').split(' ');
    await until(() => call()[0] === WAIT && call()[3] === '0x0', 'it does not wait without end');
    expect(readdirSync(`/proc/${r.pid}/task`)).toEqual([String(r.pid)]);

    const [zero, one, two, ...more] = readdirSync(`/proc/${r.pid}/fd`);
    expect([zero, one, two]).toEqual(['0', '1', '2']);
    const targets = more.map((fd) => readlinkSync(`/proc/${r.pid}/fd/${fd}`));
    const terminal = /^\/dev\/(tty|pts\/\d+|console)$/;
    expect(targets.filter((t) => !terminal.test(t))).toEqual(['anon_inode:[pidfd]']);
    expect(targets.length).toBeLessThanOrEqual(2);

    const memory = readFileSync(`/proc/${r.pid}/smaps_rollup`, 'latin1');
    expect(Number(/^Rss:\s+(\d+) kB$/m.exec(memory)?.[1])).toBeLessThanOrEqual(48);
    r.kill('SIGTERM');
    expect((await r.ended).code).toBe(143);
  });
});

describe.each(LEAN)('NODE_OPTIONS: $name', ({ lychgate }) => {
  test.each([[[]], [['--log-format=json', '-v']]])(
    'are not obeyed by our own Node, and COMMAND finds them, options %j',
    (options) => {
      const value = '--require=/nonexistent.cjs';
      const env = cleanEnv({ NODE_OPTIONS: value });
      const r = run(lychgate(...options, 'sh', '-c', 'printf %s "$NODE_OPTIONS"'), { env });
      expect(r).toMatchObject({ code: 0, stdout: value });
      expect(r.stderr).not.toContain('nonexistent');
      /* the policy process worked: it has the last word */
      if (options.length > 0) expect(r.stderr).toMatch(/"event":"ended".*\n$/);
    },
  );
});

describe.runIf(HAS_PID1)('an image without Node', () => {
  const exit7 = ['/bin/sh', '-c', 'exit 7'];
  const env = cleanEnv({ PATH: '/nonexistent' });

  test('a baked plan needs none', () => {
    const r = run([PID1, '--plan', bake('--', ...exit7)], { env });
    expect(r).toEqual({ code: 7, signal: null, stdout: '', stderr: '' });
  });

  test('a live plan: 126, one line says what is missing and the mend, nothing stays', async () => {
    const r = startInit(cleanup, [PID1, ...exit7], { env });
    const end = await r.ended;
    expect(end).toMatchObject({ code: 126, stdout: '' });
    expect(end.stderr).toMatch(/^lychgate: error: cannot start 'node'.*--plan FILE.*\n$/);
    expect(processesOf(r)).toEqual([]);
  });

  test('a plan whose policy process cannot be started: COMMAND runs all the same', () => {
    const file = join(folder(), 'plan');
    const options = { ...LEAN_DEFAULTS, logFormat: 'json' as const };
    const policy = ['/nonexistent/node', '/nonexistent/plan.cjs', 'baked', '{}'];
    writeFileSync(file, encodeBaked(options, policy, exit7), { mode: 0o644 });
    const r = run([PID1, '--plan', file], { env });
    expect(r).toMatchObject({ code: 7, stdout: '' });
    /* again for the closing line, at most; and no advice to use a plan */
    const line =
      "lychgate: error: cannot start '/nonexistent/node', which runs the TypeScript side: " +
      'No such file or directory; the plan was made with it';
    expect([...new Set(r.stderr.trimEnd().split('\n'))]).toEqual([line]);
  });
});

describe.runIf(HAS_PID1)('a Node that never answers', () => {
  test('nothing is lost: killed, it is asked again, and COMMAND gets the TERM', async () => {
    const place = folder();
    writeFileSync(join(place, 'node'), '#!/bin/sh\nexec sleep 1000\n', { mode: 0o755 });
    const env = cleanEnv();
    env.PATH = `${place}:${env.PATH}`;
    const r = startInit(cleanup, [PID1, 'sleep', '1000'], { env });
    const asked = () => childrenOf(r.pid).find((pid) => statOf(pid)?.comm === 'sleep');
    await until(() => asked() !== undefined, 'it does not ask');
    r.kill('SIGTERM');
    rmSync(join(place, 'node')); /* the next in PATH is the real one */
    process.kill(asked() as number, 'SIGKILL');
    const end = await r.ended;
    expect(end).toMatchObject({ code: 143, stdout: '' });
    expect(end.stderr).toMatch(
      /^lychgate: warning: the process that makes the plan was killed by SIGKILL; .*\n$/,
    );
  });
});

describe.each(LEAN)('standard error: $name', ({ lychgate }) => {
  /** What the runner calls a pipe is a pair of sockets. */
  const intoPipe = (...argv: string[]) => [
    'sh',
    '-c',
    '("$@"; echo "code $?") 2>&1 | cat',
    ...argv,
  ];
  const look = ['sh', '-c', 'read x; exec grep flags: /proc/self/fdinfo/2'];

  test.each([[['-v']], [['-v', '--log-format=json']]])(
    'stays as blocking as it was for COMMAND after messages, options %j',
    async (options) => {
      const r = startInit(cleanup, intoPipe('sh', ...lychgate(...options, '--', ...look)));
      await r.see(/\bstarted\b/);
      r.child.stdin?.write('\n');
      const { stdout } = await r.ended;
      const flags = (text: string) => /^flags:.*$/m.exec(text)?.[0];
      const without = run(intoPipe('sh', ...look), { input: '\n' }).stdout;
      expect(flags(without)).toMatch(/^flags:\t0*1$/);
      expect(flags(stdout)).toBe(flags(without));
    },
  );
});

describe.runIf(HAS_PID1)('standard error of another user', () => {
  test('takes messages, although /proc/self/fd/2 cannot be opened', () => {
    const place = folder();
    chmodSync(place, 0o755);
    copyFileSync(PID1, join(place, 'lychgate-pid1'));
    copyFileSync(bake('--', 'no-such-program'), join(place, 'plan'));
    const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
    const within = (...argv: string[]) =>
      run(['sh', '-c', '("$@"; echo "code $?") 2>&1 | cat', 'sh', ...nobody, ...argv], {
        env: { PATH: '/usr/bin:/bin' },
      }).stdout;
    expect(within('sh', '-c', 'echo x > /proc/self/fd/2')).toMatch(/denied/);
    expect(within(join(place, 'lychgate-pid1'), '--plan', join(place, 'plan'))).toMatch(
      /^lychgate: error: cannot run 'no-such-program': .*\ncode 127\n$/,
    );
  });
});
