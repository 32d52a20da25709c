import { describe, expect, test } from 'vitest';
import { DEFAULTS, exitMap, signalMap } from '../../src/init/defaults';
import { checkOptions, parse, UsageError } from '../../src/init/options';

function options(argv: string[], env: NodeJS.ProcessEnv = {}) {
  const p = parse([...argv, 'cmd'], env);
  if (p.action !== 'run') throw new Error(p.action);
  return p.options;
}

test('nothing given: the defaults', () => {
  expect(options([])).toEqual(DEFAULTS);
});

describe("tini's flags mean what tini means", () => {
  test('short ones, joined and apart', () => {
    expect(options(['-s', '-g', '-w'])).toMatchObject({
      subreaper: true,
      group: true,
      warnReaped: true,
    });
    expect(options(['-sgwvv'])).toMatchObject({ subreaper: true, group: true, verbosity: 3 });
    expect(options(['-pSIGTERM', '-e143']).parentDeathSignal).toBe(15);
    expect(options(['-p', 'KILL']).parentDeathSignal).toBe(9);
  });
  test('variables', () => {
    expect(
      options([], { TINI_SUBREAPER: '', TINI_KILL_PROCESS_GROUP: '0', TINI_VERBOSITY: '3' }),
    ).toMatchObject({
      subreaper: true,
      group: true,
      verbosity: 3,
    });
  });
});

describe('who wins', () => {
  test('the command line over LYCHGATE_* over TINI_*', () => {
    const env = { LYCHGATE_VERBOSITY: '0', TINI_VERBOSITY: '3', LYCHGATE_GRACE: '7' };
    expect(options([], env)).toMatchObject({ verbosity: 0, graceMs: 7000 });
    expect(options(['-v', '--grace', '1.5'], env)).toMatchObject({ verbosity: 2, graceMs: 1500 });
    expect(
      options(['--no-group', '--no-subreaper'], { LYCHGATE_GROUP: '1', TINI_SUBREAPER: '1' }),
    ).toMatchObject({
      group: false,
      subreaper: false,
    });
  });
  test('the last of a repeated value', () => {
    expect(options(['--grace', '1', '--grace', '2']).graceMs).toBe(2000);
  });
});

test('lists: repeated, or with commas in the environment', () => {
  const rewrite = new Map([
    [15, 3],
    [1, 0],
    [35, 12],
  ]);
  expect(options(['-r', 'TERM:QUIT', '-r', 'HUP:0', '-r', 'RTMIN+1:USR2']).rewrite).toEqual(
    rewrite,
  );
  expect(options([], { LYCHGATE_REWRITE: 'TERM:QUIT,HUP:0 35:12' }).rewrite).toEqual(rewrite);
  expect(options(['-e', '143', '-e', '1:2']).remapExit).toEqual(
    new Map([
      [143, 0],
      [1, 2],
    ]),
  );
});

test('COMMAND starts at the first word that is no option, or after --', () => {
  const command = (argv: string[]) => {
    const p = parse(argv, {});
    return p.action === 'run' ? p.command : p.action;
  };
  expect(command(['-g', 'a', '-g', '--', 'b'])).toEqual(['a', '-g', '--', 'b']);
  expect(command(['-g', '--', '-a', '--grace'])).toEqual(['-a', '--grace']);
  expect(command(['-e', '1', 'a', '--help'])).toEqual(['a', '--help']);
  expect(command(['--help', 'a'])).toBe('help');
});

test('an unknown variable of ours is a warning, not silence', () => {
  const p = parse(['cmd'], { LYCHGATE_GRCE: '5' });
  expect(p.action === 'run' && p.warnings).toEqual([expect.stringContaining('LYCHGATE_GRCE')]);
});

test.each([['--group=1'], ['--no-grace'], ['--nope'], ['-z'], ['--verbose=3']])(
  '%s is refused',
  (arg) => {
    expect(() => parse([arg, 'cmd'], {})).toThrow(UsageError);
  },
);

test('the library names its own options', () => {
  expect(() => checkOptions({ grace: 'x' })).toThrow(
    /becomeInit: grace must be a number of seconds/,
  );
  expect(() => checkOptions({ 'remap-exit': ['x:1'] })).toThrow(/becomeInit: remapExit must be/);
  expect(checkOptions({ grace: 2, verbose: 0 })).toMatchObject({ graceMs: 2000, verbosity: 0 });
});

test('tables for the core', () => {
  const signals = signalMap(
    new Map([
      [15, 3],
      [1, 0],
    ]),
  );
  expect([signals.length, signals[15], signals[1], signals[2], signals[64]]).toEqual([
    65, 3, 0, 2, 64,
  ]);
  const exits = exitMap(new Map([[143, 0]]));
  expect([exits.length, exits[143], exits[255]]).toEqual([256, 0, 255]);
});
