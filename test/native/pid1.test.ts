/** lychgate-pid1 from the inside: its struct, its plan reader fuzzed, and under sanitizers. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LEAN_DEFAULTS } from '../../src/init/defaults';
import { encodeBaked, encodeLive } from '../../src/plan/encode';
import { AT, Flag, HEAD, LONGEST, VERSION } from '../../src/plan/layout';
import {
  cleanEnv,
  fixture,
  ORPHAN_REAPED,
  ROOT,
  run,
  STUBBORN_ORPHAN,
  UNSHARE,
} from '../support/init';

const folder = mkdtempSync(join(tmpdir(), 'lychgate-pid1-'));
afterAll(() => rmSync(folder, { recursive: true }));

function build(what: string, into = folder): void {
  const r = run(['sh', join(ROOT, 'test', 'native', 'pid1.sh'), what, into]);
  expect(r, `build of ${what}`).toMatchObject({ code: 0, stderr: '' });
}

const EVERYTHING = {
  ...LEAN_DEFAULTS,
  rewrite: new Map([[15, 3]]),
  remapExit: new Map([[143, 0]]),
  graceMs: 200,
  logFormat: 'json' as const,
};

test('struct lg_plan lies as TypeScript writes it', () => {
  build('layout');
  const told = JSON.parse(run([join(folder, 'plan_layout')]).stdout);
  expect(told).toEqual({ HEAD, VERSION, LONGEST, ...AT, flags_: Object.values(Flag) });
});

const target = 'int LLVMFuzzerTestOneInput(const char *d, long n) { return d == 0 && n != 0; }';
const hasClang =
  run(['sh', '-c', `echo '${target}' | clang -fsanitize=fuzzer -x c -o /dev/null -`]).code === 0;
if (!hasClang)
  console.log('SKIP the fuzzing of the plan reader: no clang with libFuzzer (libclang-rt-14-dev)');

test.skipIf(!hasClang)('the plan reader stands 500,000 inputs of libFuzzer', () => {
  build('fuzz');
  const corpus = join(folder, 'corpus');
  mkdirSync(corpus);
  const seeds = [
    encodeLive(EVERYTHING, 2),
    encodeBaked(LEAN_DEFAULTS, [], ['sh', '-c', 'exit 3']),
    encodeBaked(EVERYTHING, ['node', 'plan.cjs', 'baked', '{}'], []),
    encodeBaked(EVERYTHING, ['node', 'plan.cjs', 'baked', '{}'], ['a', '', 'b']),
  ];
  for (const [i, seed] of seeds.entries()) writeFileSync(join(corpus, `${i}`), seed);
  const limits = ['-runs=500000', '-max_len=2048', '-seed=4711', '-timeout=10'];
  const artifacts = `-artifact_prefix=${folder}/`;
  const r = run([join(folder, 'plan_fuzz'), ...limits, artifacts, corpus]);
  expect(r.stderr).toMatch(/Done 500000 runs/);
  expect(r.code, r.stderr).toBe(0);
});

describe('AddressSanitizer and UndefinedBehaviorSanitizer', () => {
  const PID1 = join(folder, 'build', 'Release', 'lychgate-pid1');
  const env = cleanEnv({ ASAN_OPTIONS: 'exitcode=98', UBSAN_OPTIONS: 'print_stacktrace=1' });
  const plan = (...args: string[]) => {
    const file = join(folder, 'test.plan');
    const made = run(['node', join(ROOT, 'dist', 'cli.cjs'), 'plan', '--output', file, ...args]);
    expect(made.code, made.stderr).toBe(0);
    return file;
  };
  const sh = (script: string) => ['sh', '-c', script];

  beforeAll(() => {
    build('asan', join(folder, 'build', 'Release'));
    cpSync(join(ROOT, 'dist'), join(folder, 'dist'), { recursive: true });
    cpSync(
      join(ROOT, 'build', 'Release', 'lychgate.node'),
      join(folder, 'build', 'Release', 'lychgate.node'),
    );
  });

  /** Anything the sanitizers say stands on standard error. */
  const clean = (code: number, argv: readonly string[]) => {
    const r = run(argv, { env });
    expect(r.stderr).not.toMatch(/Sanitizer:|runtime error|SUMMARY/);
    expect(r, r.stderr).toMatchObject({ code, signal: null });
    return r;
  };
  const asPid1 = (...args: string[]) => [...UNSHARE, PID1, ...args];

  test('a storm of orphans and signals, every message, as PID 1', () => {
    const r = clean(0, asPid1('-vv', '--', fixture('storm'), '3000', '0', '1000'));
    expect(JSON.parse(r.stdout)).toEqual({ made: 3000, signals: 1000, left: 0 });
  });

  test.each([
    ['an orphan', 4, ['-w', ...sh(`${ORPHAN_REAPED}; exit 4`)]],
    [
      'grace in group mode',
      137,
      ['-g', '--grace', '0.1', ...sh('trap "" TERM; kill -TERM $PPID; exec sleep 99')],
    ],
    [
      'rewriting, remapping',
      7,
      ['-v', '-r', 'HUP:TERM', '-e', '143:7', ...sh('kill -HUP $PPID; exec sleep 99')],
    ],
    ['draining', 5, ['-vv', '--drain', '0.1', ...sh(`${STUBBORN_ORPHAN}; sleep 99 & exit 5`)]],
    [
      'draining beside a policy process',
      5,
      ['--log-format=json', '-vv', '--drain', '0.1', ...sh(`${STUBBORN_ORPHAN}; exit 5`)],
    ],
    ['a soft limit that cannot be', 126, ['--nofile', '2000000000', 'true']],
    ['no such program', 127, ['no-such-program']],
    ['no such program, in JSON', 127, ['--log-format=json', 'no-such-program']],
    ['a script without #!', 5, [`${ROOT}/test/fixtures/no-shebang`, 'a']],
    ['bad usage', 2, ['--bogus']],
  ])('%s', (_, code, argv) => {
    clean(code, [PID1, ...argv]);
    clean(code, asPid1(...argv));
  });

  test('baked plans, whole and damaged', () => {
    const file = plan('--log-format=json', '-w', '--', ...sh(`${ORPHAN_REAPED}; exit 9`));
    clean(9, [PID1, '--plan', file]);
    clean(4, [PID1, `--plan=${file}`, '--', 'sh', '-c', 'exit 4']);
    clean(126, [PID1, '--plan', '/etc/passwd']);
    clean(126, [PID1, '--plan', '/nonexistent']);
    clean(2, [PID1, '--plan', plan()]);
  });
});
