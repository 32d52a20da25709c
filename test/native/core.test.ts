/** The core without Node: its C tests, plain and under the memory checkers. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { cleanEnv, ROOT, run, UNSHARE } from '../support/init';

const built = (variant: string, name: string) => join(ROOT, 'build', 'core-tests', variant, name);

function build(variant: string, ...flags: string[]): void {
  const script = join(ROOT, 'test', 'native', 'build.sh');
  const r = run(['sh', script, 'core', join(ROOT, 'build', 'core-tests', variant), ...flags]);
  expect(r, `build of ${variant}`).toMatchObject({ code: 0, stderr: '' });
}

const canUnshare = spawnSync('unshare', ['--pid', '--fork', '--mount-proc', 'true']).status === 0;
const haveValgrind = spawnSync('valgrind', ['--version']).status === 0;

const EVERYTHING = [
  'ring_empty',
  'ring_full',
  'ring_laps',
  'ring_threads',
  'read_stat',
  'signal_exact',
  'signal_exact_no_descriptor',
  'arm_twice',
  'arm_off_main',
  'order_of_calls',
  'disarm_restores',
  'disarm_after_failure',
  'spawn_missing',
  'spawn_not_executable',
  'spawn_script',
  'spawn_state',
  'spawn_cycles',
  'early_signals',
  'signals_during_spawn',
  'early_overflow',
  'rewrite_and_drop',
  'grace',
  'reap_on_threads',
  'reap_without_command',
  'reap_identity',
  'orphan_stops',
  'pid_used_again',
];

/* Valgrind makes a fork of the clone: what the child stores (the failed step)
 * stays in the child. Its one big lock makes the storms take minutes. */
const UNDER_VALGRIND = EVERYTHING.filter(
  (name) =>
    !['spawn_missing', 'spawn_not_executable', 'reap_identity', 'pid_used_again'].includes(name) &&
    !['reap_on_threads', 'reap_without_command'].includes(name),
);

/* ThreadSanitizer keeps a table of handlers of its own, which the sigaction(2)
 * calls of the child in shared memory (reset_dispositions) change under the
 * parent: after a spawn no handler of ours runs any more. So nothing that spawns;
 * reap_without_command has the handlers on several threads at once. It also
 * rewrites the masks of handlers: no disarm_after_failure. */
const UNDER_TSAN = [
  'ring_empty',
  'ring_full',
  'ring_laps',
  'ring_threads',
  'read_stat',
  'signal_exact',
  'arm_twice',
  'arm_off_main',
  'reap_without_command',
];

const SANITIZERS = {
  ASAN_OPTIONS: 'abort_on_error=0:exitcode=98:strict_string_checks=1',
  UBSAN_OPTIONS: 'print_stacktrace=1',
  TSAN_OPTIONS: 'exitcode=98:halt_on_error=0',
};

/** Each test by its own line, so that a failure shows which one and why. */
function runTests(argv: string[], names: string[], options = {}): string {
  const r = run([...argv, ...names], { env: cleanEnv(SANITIZERS), ...options });
  const lines = r.stdout.split('\n').filter((l) => /^(not )?ok /.test(l));
  expect(lines, r.stderr).toEqual(names.map((name) => `ok ${name}`));
  expect(r).toMatchObject({ code: 0, signal: null });
  return r.stderr;
}

function storm(variant: string): void {
  const init = [...UNSHARE, built(variant, 'core_init'), '-d', '--'];
  const r = run([...init, built(variant, 'core_test'), 'storm', '2000'], {
    env: cleanEnv(SANITIZERS),
  });
  expect(r).toMatchObject({ code: 7, stdout: 'clean\n' });
  expect(JSON.parse(r.stderr)).toEqual({
    reaped: 2000,
    forwarded: 0,
    droppedEvents: expect.any(Number),
    events: expect.any(Number),
  });
  const { events, droppedEvents } = JSON.parse(r.stderr);
  expect(events + droppedEvents).toBe(2001); // and COMMAND's end
}

describe('plain', () => {
  beforeAll(() => build('plain', '-O2'));

  test('every test of the core', () => {
    expect(runTests([built('plain', 'core_test')], EVERYTHING)).toBe('');
  });

  test('the list here is the list there', () => {
    const r = run([built('plain', 'core_test'), 'list']);
    expect(r.stdout.trim().split('\n')).toEqual(EVERYTHING);
  });

  test.skipIf(!canUnshare)('as PID 1 in a storm of orphans', () => storm('plain'));

  test.skipIf(!canUnshare)('as PID 1 with a command that cannot be run', () => {
    const init = [...UNSHARE, built('plain', 'core_init'), '--'];
    expect(run([...init, '/nonexistent'])).toMatchObject({ code: 127 });
    expect(run([...init, '/etc/passwd'])).toMatchObject({ code: 126 });
  });

  test.skipIf(!canUnshare)('as PID 1 with a command that a signal ends', () => {
    const init = [...UNSHARE, built('plain', 'core_init'), '-d', '--'];
    // The shell sends TERM to the init, which sends it back.
    const r = run([...init, 'sh', '-c', 'kill -TERM $PPID; while :; do :; done']);
    expect(r.code).toBe(143);
    expect(JSON.parse(r.stderr)).toMatchObject({ reaped: 0, forwarded: 1 });
  });
});

describe('AddressSanitizer and UndefinedBehaviorSanitizer', () => {
  beforeAll(() =>
    build('asan', '-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-g', '-O1'),
  );

  test('every test of the core', () => {
    const stderr = runTests([built('asan', 'core_test')], EVERYTHING);
    expect(stderr).not.toMatch(/ERROR|runtime error/);
  });

  test.skipIf(!canUnshare)('as PID 1 in a storm of orphans', () => storm('asan'));
});

describe('ThreadSanitizer', () => {
  beforeAll(() => build('tsan', '-fsanitize=thread', '-g', '-O1'));

  test('the ring and the handlers on several threads', () => {
    expect(runTests([built('tsan', 'core_test')], UNDER_TSAN)).toBe('');
  });
});

// Skipped where valgrind is not installed.
describe.skipIf(!haveValgrind)('Valgrind', () => {
  beforeAll(() => build('valgrind', '-g'));

  test('no invalid access, no leak', () => {
    const valgrind = ['valgrind', '-q', '--error-exitcode=99', '--leak-check=full'];
    const definite = ['--show-leak-kinds=definite', '--errors-for-leak-kinds=definite'];
    // It reports system calls that it does not know (pidfd_open) with "--PID--".
    const stderr = runTests(
      [...valgrind, ...definite, '--trace-children=no', built('valgrind', 'core_test')],
      UNDER_VALGRIND,
    );
    expect(stderr).not.toMatch(/^==/m);
  });
});
