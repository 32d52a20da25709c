import { describe, expect, test } from 'vitest';
import { FORMS, LIVE_FORMS } from '../support/forms';
import { NODE, ROOT, Running, run } from '../support/init';

describe.each(FORMS)('exit code: $name', ({ lychgate, asPid1 }) => {
  const sh = (script: string, ...options: string[]) =>
    run(lychgate(...options, '--', 'sh', '-c', script));

  test('each of 0 to 255 is handed through', async () => {
    const codes = Array.from({ length: 256 }, (_, n) => n);
    const got: (number | null)[] = [];
    const next = async (): Promise<void> => {
      for (let n = codes.shift(); n !== undefined; n = codes.shift()) {
        got[n] = (await new Running(lychgate('sh', '-c', `exit ${n}`)).ended).code;
      }
    };
    await Promise.all([next(), next()]);
    expect(got).toEqual(Array.from({ length: 256 }, (_, n) => n));
  });

  test.each([1, 2, 3, 6, 9, 10, 13, 14, 15, 24, 25, 31, 34, 64])(
    '128+%i when that signal ended COMMAND',
    (n) => {
      expect(sh(`kill -${n} $$`).code).toBe(128 + n);
    },
  );

  test('as PID 1 too', () => {
    expect(run(asPid1('sh', '-c', 'exit 42')).code).toBe(42);
    expect(run(asPid1('sh', '-c', 'kill -9 $$')).code).toBe(137);
  });

  test('is remapped by -e, with and without a target', () => {
    expect(sh('exit 143', '-e', '143').code).toBe(0);
    expect(sh('kill -TERM $$', '-e143').code).toBe(0);
    expect(sh('exit 3', '--remap-exit', '3:77').code).toBe(77);
    expect(sh('exit 3', '-e', '3:77', '-e', '77:1').code).toBe(77);
    expect(sh('exit 0', '-e', '0:9').code).toBe(9);
    expect(sh('exit 4', '-e', '3:77').code).toBe(4);
  });

  test('1,000 commands that exit at once: the right code each time', async () => {
    const argv = [lychgate('true'), lychgate('false')] as const;
    const wrong: unknown[] = [];
    let todo = 1000;
    const next = async (): Promise<void> => {
      while (todo-- > 0) {
        const code = todo % 2 === 0 ? 0 : 1;
        const end = await new Running(argv[code]).ended;
        if (end.code !== code || end.stderr !== '') wrong.push(end);
      }
    };
    await Promise.all([next(), next(), next()]);
    expect(wrong).toEqual([]);
  });
});

describe.each(FORMS)('a COMMAND that cannot be run: $name', ({ lychgate }) => {
  test('127 when there is none, and the line says where it was looked for', () => {
    const r = run(lychgate('no-such-program'));
    expect(r.code).toBe(127);
    expect(r.stderr).toMatch(/^lychgate: error: cannot run 'no-such-program': .*PATH\n$/);
  });

  test('126 when it is no program', () => {
    expect(run(lychgate('/etc/passwd')).code).toBe(126);
    expect(run(lychgate('/')).code).toBe(126);
    expect(run(lychgate('/etc/passwd/x')).code).toBe(126);
  });

  test('127 when its interpreter is missing, and the line says so', () => {
    const r = run(lychgate(`${ROOT}/test/fixtures/no-interpreter`));
    expect(r.code).toBe(127);
    expect(r.stderr).toContain('interpreter or loader it names is not');
  });

  test('a script without #! is given to sh, as execvp does', () => {
    const r = run(lychgate(`${ROOT}/test/fixtures/no-shebang`, 'a', 'b c'));
    expect(r).toMatchObject({ code: 5, stdout: '2 a b c\n', stderr: '' });
  });

  test('an empty word is not found', () => {
    expect(run(lychgate('')).code).toBe(127);
  });
});

describe.each(LIVE_FORMS)('bad usage exits 2 and names the option: $name', ({ lychgate }) => {
  test.each([
    [[], 'no COMMAND'],
    [['--'], 'no COMMAND'],
    [['--bogus', 'true'], 'unknown option --bogus'],
    [['-x', 'true'], 'unknown option -x'],
    [['-e', '256', 'true'], "-e must be a whole number from 0 to 255, not '256'"],
    [['-e', '1:', 'true'], '-e must be FROM or FROM:TO'],
    [['-p', 'NOPE', 'true'], "-p: 'NOPE' is no signal"],
    [['-r', 'KILL:TERM', 'true'], 'KILL is never forwarded'],
    [['-r', 'TERM', 'true'], '-r must be FROM:TO'],
    [['--grace', 'soon', 'true'], '--grace must be a number of seconds'],
    [['--grace=-1', 'true'], '--grace must be a number of seconds'],
    [['--log-format', 'xml', 'true'], '--log-format must be text or json'],
    [['--group=yes', 'true'], '--group takes no value'],
    [['--drain'], '--drain needs SECONDS'],
    [['--nofile', '1e3', 'true'], '--nofile must be a whole number'],
  ])('%j', (args, text) => {
    const r = run(lychgate(...args));
    expect(r.code).toBe(2);
    expect(r.stderr).toContain(text);
    expect(r.stderr.trimEnd()).not.toContain('\n');
    expect(r.stdout).toBe('');
  });

  test('a variable is named as the culprit', () => {
    const env = { ...process.env, LYCHGATE_GRACE: 'x' };
    const r = run(lychgate('true'), { env });
    expect(r).toMatchObject({ code: 2 });
    expect(r.stderr).toContain('LYCHGATE_GRACE must be a number of seconds');
  });
});

test.each(LIVE_FORMS)(
  '--help, --version and --license go to standard output: $name',
  ({ lychgate }) => {
    expect(run(lychgate('--help'))).toMatchObject({ code: 0, stderr: '' });
    expect(run(lychgate('-h')).stdout).toContain('--remap-exit FROM[:TO]');
    expect(run(lychgate('--version')).stdout).toMatch(/^lychgate \d+\.\d+\.\d+\n$/);
    expect(run(lychgate('-l')).stdout).toContain('MIT License');
  },
);

describe.each(FORMS)('$name', ({ lychgate }) => {
  test('options of COMMAND are its own, with and without --', () => {
    const r = run(lychgate('sh', '-c', 'echo "$@"', 'sh', '-v', '--grace', '-e'));
    expect(r).toMatchObject({ code: 0, stdout: '-v --grace -e\n', stderr: '' });
    expect(run([NODE, '--version']).stdout).toBe(run(lychgate('--', NODE, '--version')).stdout);
  });

  test('--nofile above the hard limit is refused with the reason', () => {
    const r = run(['prlimit', '--nofile=512:512', ...lychgate('--nofile', '4096', 'true')]);
    expect(r.code).toBe(126);
    expect(r.stderr).toContain('must not be above the hard limit');
  });
});
