/** Fault injection: what the JavaScript side does must never stop the core. */
import { describe, expect, test } from 'vitest';
import { FORMS } from '../support/forms';
import { CLI, cleanEnv, fixture, NODE, ROOT, Running, run, UNSHARE } from '../support/init';

const preload = (name: string) => [NODE, `--require=${ROOT}/test/fixtures/${name}.cjs`, CLI];

describe('JavaScript that never returns', () => {
  test('signals are forwarded all the same', async () => {
    const r = new Running([...preload('block'), '--', fixture('report')]);
    await r.see(/leader 0 0/);
    for (const n of [1, 2, 10, 12, 15, 40]) {
      r.kill(n);
      await r.see(new RegExp(`leader ${n} `));
    }
    r.kill(64);
    expect((await r.ended).code).toBe(0);
  });

  test('the container ends with the right code although nobody asks for it', () => {
    const r = run([...preload('block'), '-e', '7:8', '--', 'sh', '-c', 'sleep 0.3; exit 7']);
    expect(r.code).toBe(8);
    expect(r.stderr).toContain('the policy code did not answer');
  });

  test('the grace time is kept', async () => {
    const script = 'trap "" TERM; echo ready; while :; do sleep 1000; done';
    const r = new Running([...preload('block'), '--grace', '0.3', '--', 'sh', '-c', script]);
    await r.see(/ready/);
    r.kill('SIGTERM');
    expect((await r.ended).code).toBe(137);
  });
});

describe('JavaScript that throws, rejects and stalls all the time', () => {
  test('reaps, forwards and exits as if nothing were', () => {
    const r = run([...UNSHARE, ...preload('chaos'), '--', fixture('storm'), '20000', '0', '2000'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    expect(JSON.parse(r.stdout)).toEqual({ made: 20000, signals: 2000, left: 0 });
    expect(r.code).toBe(0);
    expect(r.stderr).toContain('thrown on purpose; reaping and forwarding go on');
    expect(r.stderr).toContain('rejected on purpose');
  });
});

describe.each(FORMS)('$name', ({ lychgate, asPid1 }) => {
  test('standard error that nobody reads does not keep the container alive', async () => {
    /* 64 kB fit into the pipe; the messages of 5,000 orphans do not */
    const r = new Running(asPid1('-w', '--', fixture('storm'), '5000', '0', '0'));
    r.child.stderr?.pause();
    await r.see(/"made":5000/);
    const [code] = await new Promise<[number | null]>((resolve) =>
      r.child.once('exit', (c) => resolve([c])),
    );
    expect(code).toBe(0);
    r.child.stderr?.resume();
  });

  test('closed standard error is no reason to die', () => {
    const argv = lychgate('-vv', '--', 'sh', '-c', 'exit 9');
    const r = run(['sh', '-c', `exec "$@" 2>&-`, 'sh', ...argv]);
    expect(r.code).toBe(9);
  });
});

test('an addon that is missing is said in one line with the mend', () => {
  const script = `cp ${CLI} "$T/cli.cjs" && ${NODE} "$T/cli.cjs" true; c=$?; rm -r "$T"; exit $c`;
  const r = run(['sh', '-c', `T=$(mktemp -d); ${script}`], { env: cleanEnv() });
  expect(r.code).toBe(126);
  expect(r.stderr).toMatch(/the native addon does not load .*npm explore lychgate/);
  expect(r.stderr.trimEnd()).not.toContain('\n');
});
