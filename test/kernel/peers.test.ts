/**
 * Defects found in the sources of other inits; Lychgate has none of them. Where
 * another file tests the same at length, this one holds the short form.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { FORMS } from '../support/forms';
import { cleanEnv, fixture, lychgate, ROOT, Running, run } from '../support/init';

const early = (options: string[], signals: string, ...command: string[]) => {
  const argv = lychgate(...options, '--', ...command);
  argv.splice(1, 0, `--require=${ROOT}/test/fixtures/early.cjs`);
  return run(argv, { env: cleanEnv({ EARLY: signals }) });
};

describe('tini, catatonit, dumb-init', () => {
  test('group mode: a signal before the group exists is lost (ESRCH)', () => {
    for (let i = 0; i < 20; i++) {
      expect(early(['-g'], '15', 'sleep', '1000')).toMatchObject({ code: 143, stderr: '' });
    }
  });
});

describe.each(FORMS)('dumb-init: $name', ({ lychgate, addon }) => {
  if (addon) {
    test('a signal between unblocking and exec is swallowed by a dummy handler', () => {
      for (let i = 0; i < 20; i++) expect(early([], '10', 'sleep', '1000').code).toBe(138);
    });
  }

  test('real-time signals index a table out of bounds', async () => {
    const r = new Running(lychgate('-r', 'RTMAX-1:RTMIN', '--', fixture('report')));
    await r.see(/leader 0 0/);
    r.kill(63);
    await r.see(/leader 34 0/);
    r.kill(64);
    expect((await r.ended).code).toBe(0);
  });

  test('inherited SIG_IGN is lost: kept wherever Node lets us see it', () => {
    /* Node resets 1..31 before we run (README, limits); real-time ones stay */
    const ignore =
      'import os,signal,sys\n' +
      'signal.signal(37, signal.SIG_IGN)\n' +
      'os.execvp(sys.argv[1], sys.argv[1:])';
    const status = ['sh', '-c', 'exec grep SigIgn /proc/self/status'];
    const r = run(['python3', '-c', ignore, ...lychgate(...status)]);
    const ignored = BigInt(`0x${r.stdout.trim().split(/\s+/)[1]}`);
    expect((ignored >> 36n) & 1n).toBe(1n);
  });
});

describe.each(FORMS)('tini: $name', ({ lychgate, addon }) => {
  test('a closed stdin is fatal', () => {
    expect(run(['sh', '-c', 'exec "$@" 0<&-', 'sh', ...lychgate('sh', '-c', 'exit 5')]).code).toBe(
      5,
    );
  });

  if (!addon) return; /* a thread of Node's waits in epoll */

  test.each([
    ['warn', /^0x[1-9a-f][0-9a-f]{3,}$/] /* more than 4 s */,
    ['ignore', /^0x(f{8}){1,2}$/] /* none */,
  ])('wakes up once a second for nothing: --neglected=%s', async (neglected, timeout) => {
    const r = new Running(lychgate(`--neglected=${neglected}`, '--', 'cat'));
    r.child.stdin?.write('x\n');
    await r.see(/x/);
    const timers = run([
      'sh',
      '-c',
      `cat /proc/${r.pid}/timers /proc/${r.pid}/timerslack_ns`,
    ]).stdout;
    expect(timers).toContain('notify'); /* the two deadlines exist ... */
    const main = readFileSync(`/proc/${r.pid}/syscall`, 'utf8').trim().split(' ');
    expect(main[0]).toMatch(/^(281|22|441)$/); /* ... and epoll_(p)wait(2) waits so long */
    expect(main[4]).toMatch(timeout);
    r.child.stdin?.end();
    await r.ended;
  });
});

describe.each(FORMS)('catatonit: $name', ({ lychgate }) => {
  test('TSTP, TTIN and TTOU are left blocked in the child', () => {
    const r = run(lychgate('sh', '-c', 'exec grep SigBlk /proc/self/status'));
    expect(r.stdout).toBe('SigBlk:\t0000000000000000\n');
  });

  test('TSTP, TTIN and TTOU are not forwarded', async () => {
    const r = new Running(lychgate('--', fixture('report')));
    await r.see(/leader 0 0/);
    for (const n of [20, 21, 22]) {
      r.kill(n);
      await r.see(new RegExp(`leader ${n} `));
    }
    r.kill(64);
    await r.ended;
  });
});

describe.each(FORMS)('$name', ({ lychgate, asPid1 }) => {
  test('my_init: a child killed by a signal gives exit 0', () => {
    expect(run(asPid1('sh', '-c', 'kill -KILL $$')).code).toBe(137);
  });

  test('go-reaper: wait4(-1) steals the status of the main child', () => {
    for (let i = 0; i < 20; i++) {
      const script = 'for i in 1 2 3 4 5; do (exit 1 &); done; exit 33';
      expect(run(lychgate('sh', '-c', script)).code).toBe(33);
    }
  });

  test('pid1-rs: the child is killed two seconds after TERM although nobody asked', async () => {
    const script = 'trap "sleep 2.5; exit 12" TERM; echo ready; while :; do sleep 0.1; done';
    const r = new Running(lychgate('--', 'sh', '-c', script));
    await r.see(/ready/);
    r.kill('SIGTERM');
    expect((await r.ended).code).toBe(12);
  });
});
