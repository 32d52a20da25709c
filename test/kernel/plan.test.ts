/** `lychgate plan`, and what lychgate-pid1 makes of a plan: follows it, or says why not. */
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { AT, checksum, Flag, HEAD, Mode } from '../../src/plan/layout';
import { bake, HAS_PID1, PID1 } from '../support/forms';
import { CLI, cleanEnv, fixture, lychgate, NODE, ROOT, run } from '../support/init';

const folder = mkdtempSync(join(tmpdir(), 'lychgate-plan-'));
afterAll(() => rmSync(folder, { recursive: true }));

const at = (name: string) => join(folder, name);
const plan = (...args: string[]) => run(lychgate('plan', ...args));
const show = (file: string) => plan('--show', file);
const shown = (file: string) => JSON.parse(show(file).stdout);
const baked = (file: string, ...words: string[]) => run([PID1, '--plan', file, ...words]);
const exit = (code: number) => ['sh', '-c', `exit ${code}`];

describe('lychgate plan', () => {
  test('--show says what was given', () => {
    const options = ['-g', '--no-subreaper', '-w', '-v', '-p', 'USR1', '--nofile', '512'];
    const maps = ['-r', 'TERM:QUIT', '-r', 'HUP:0', '-e', '143', '-e', '3:77'];
    const times = ['--grace', '0.25', '--drain', '5'];
    const words = ['sh', '-c', 'exit 3', '', '-v', '\u{1f480}'];
    const file = at('everything');
    const made = plan('--output', file, ...options, ...maps, ...times, '--', ...words);
    expect(made).toEqual({ code: 0, signal: null, stdout: '', stderr: '' });
    expect(show(file)).toMatchObject({ code: 0, stderr: '' });
    expect(shown(file)).toEqual({
      version: 1,
      bytes: statSync(file).size,
      group: true,
      subreaper: false,
      warnReaped: true,
      verbosity: 2,
      parentDeathSignal: 10,
      grace: 0.25,
      drain: 5,
      nofile: 512,
      rewrite: { 15: 3, 1: 0 },
      remapExit: { 143: 0, 3: 77 },
      policy: null,
      command: words,
    });
  });

  test('without anything given: the defaults, no policy process, no COMMAND', () => {
    const file = at('nothing');
    expect(plan('--output', file)).toMatchObject({ code: 0, stderr: '' });
    expect(shown(file)).toMatchObject({
      group: false,
      subreaper: 'auto',
      verbosity: 1,
      grace: 0,
      nofile: null,
      rewrite: {},
      remapExit: {},
      policy: null,
      command: null,
    });
  });

  test.each([
    [['--log-format=json'], '--log-format=json'],
    [['--neglected=reap'], '--neglected=reap'],
    [['--watch-freezer', '5'], '--watch-freezer'],
    [['--neglected=warn', '--watch-freezer=5'], '--neglected=warn, --watch-freezer'],
  ])('says that Node is needed at run time too, and why: %j', (options, why) => {
    const file = at('policy');
    const made = plan('--output', file, ...options, '--', 'true');
    expect(made).toMatchObject({ code: 0, stdout: '' });
    expect(made.stderr).toMatch(/^lychgate plan: needs \S+ at run time too, for .*\n$/);
    expect(made.stderr).toContain(`, for ${why}\n`);
    const script = CLI.replace('cli.cjs', 'plan.cjs');
    expect(shown(file).policy.slice(1, 3)).toEqual([script, 'baked']);
    expect(made.stderr).toContain(shown(file).policy[0]);
  });

  test('the environment counts now, and the command line wins over it', () => {
    const file = at('environment');
    const env = cleanEnv({ LYCHGATE_GRACE: '3', LYCHGATE_DRAIN: '4', TINI_SUBREAPER: '' });
    run(lychgate('plan', '--output', file, '--drain', '9', '--', 'true'), { env });
    expect(shown(file)).toMatchObject({ grace: 3, drain: 9, subreaper: true });
  });

  test('the file is written whole, readable by all, in place of the one before', () => {
    const place = at('whole');
    mkdirSync(place);
    const file = join(place, 'plan');
    writeFileSync(file, 'x'.repeat(5000));
    chmodSync(file, 0o666);
    expect(plan('--output', file, '--', 'true').code).toBe(0);
    expect(readdirSync(place)).toEqual(['plan']);
    expect(statSync(file).mode & 0o7777).toBe(0o644);
    expect(shown(file).command).toEqual(['true']);
  });

  test.each([
    [[], '--output FILE or --show FILE is missing'],
    [['--', 'true'], '--output FILE or --show FILE is missing'],
    [['--output'], '--output needs FILE'],
    [['--show'], '--show needs FILE'],
    [['--output', at('unmade'), '--bogus', '--', 'true'], 'unknown option --bogus'],
    [['--output', at('unmade'), '--grace', 'soon'], '--grace must be a number of seconds'],
    [['--output', at('not/there'), '--', 'true'], `cannot write ${at('not/there')}: ENOENT`],
    [['--show', at('unmade')], `cannot read ${at('unmade')}: ENOENT`],
    [['--show', folder], `cannot read ${folder}: no regular file`],
  ])('bad usage exits 2 with one line, and nothing is written: %j', (args, said) => {
    const r = plan(...args);
    expect(r).toMatchObject({ code: 2, stdout: '' });
    expect(r.stderr).toMatch(/^lychgate plan: .*\n$/);
    expect(r.stderr).toContain(said);
    expect(['unmade', 'not'].map(at).filter(existsSync)).toEqual([]);
  });
});

describe.runIf(HAS_PID1)('a live plan is made without the parser', () => {
  /** lychgate-pid1 and plan.cjs, and nothing else of us. */
  function alone(words: readonly string[], env: NodeJS.ProcessEnv) {
    for (const part of ['bin', 'dist']) mkdirSync(at(part), { recursive: true });
    copyFileSync(PID1, at('bin/lychgate-pid1'));
    copyFileSync(join(ROOT, 'dist', 'plan.cjs'), at('dist/plan.cjs'));
    return run([at('bin/lychgate-pid1'), ...words], { env: cleanEnv(env) });
  }

  test.each<[string[], NodeJS.ProcessEnv, number]>([
    [[], {}, 3],
    [['--'], {}, 3],
    [['-gw', '--grace', '8', '--drain=0.5', '-e', '3:33', '-r', 'TERM:INT', '--'], {}, 33],
    [['-e3:33'], { LYCHGATE_GRACE: '8', LYCHGATE_GROUP: '1' }, 33],
  ])('%j, with %j', (options, env, code) => {
    const found = alone([...options, ...exit(3)], env);
    expect(found).toEqual({ code, signal: null, stdout: '', stderr: '' });
  });

  test('but for what is rare', () => {
    const found = alone(['--watch-freezer', '60', ...exit(3)], {});
    expect(found.code).toBe(126);
    expect(found.stderr).toContain("Cannot find module './asked.cjs'");
  });
});

describe.runIf(HAS_PID1)('a baked plan', () => {
  test('is followed; other words replace its COMMAND', () => {
    const file = bake('-e', '4:44', '--', ...exit(3));
    expect(baked(file)).toEqual({ code: 3, signal: null, stdout: '', stderr: '' });
    expect(baked(file, '--').code).toBe(3);
    expect(baked(file, '--', ...exit(4)).code).toBe(44);
    expect(baked(file, ...exit(4)).code).toBe(44);
    expect(run([PID1, `--plan=${file}`]).code).toBe(3);
    expect(run([PID1, `--plan=${file}`, '--', ...exit(5)]).code).toBe(5);
  });

  test('hands words through that are not UTF-8', () => {
    const file = at('bytes');
    const words = ['caf\\xe9 \\xff', '\\xef\\xbf\\xbd\\xff', '', '--', 'two\\x0alines'];
    const launch = [fixture('probe'), 'launch', '--'];
    const command = ['--', fixture('probe'), ...words];
    const argv = (text: string) => text.split('\n').filter((line) => line.startsWith('argv.'));
    const made = run([...launch, NODE, CLI, 'plan', '--output', file, ...command]);
    expect(made).toMatchObject({ code: 0, stderr: '' });
    const plain = argv(run([...launch, ...command.slice(1)]).stdout);
    expect(plain).toHaveLength(words.length + 1);
    expect(plain[1]).toBe('argv.001=caf\\xe9 \\xff');
    expect(argv(baked(file).stdout)).toEqual(plain);
  });

  test.each(['LYCHGATE_REMAP_EXIT', 'LYCHGATE_NONSENSE', 'TINI_KILL_PROCESS_GROUP'])(
    '%s at run time: one line says that it is ignored, and COMMAND gets it',
    (name) => {
      const env = cleanEnv({ [name]: '3:77' });
      const file = bake('--', 'sh', '-c', `echo "$${name}"; exit 3`);
      const r = run([PID1, '--plan', file], { env });
      expect(r).toMatchObject({ code: 3, stdout: '3:77\n' });
      expect(r.stderr).toMatch(
        new RegExp(`^lychgate: warning: ${name} counts when a plan is made, not now\n$`),
      );
    },
  );

  describe('/etc/lychgate.plan', () => {
    /** lychgate-pid1 without a word, where /etc is this folder: in a mount namespace. */
    const within = (etc: string) => {
      const script = 'mount --bind "$1" /etc && exec "$2"';
      return run(['unshare', '--mount', 'sh', '-c', script, 'sh', etc, PID1]);
    };

    test('is taken where there is no word', () => {
      const etc = at('etc');
      mkdirSync(etc);
      copyFileSync(bake('--', ...exit(7)), join(etc, 'lychgate.plan'));
      expect(within(etc)).toEqual({ code: 7, signal: null, stdout: '', stderr: '' });
    });

    test('without it: bad usage, in one line', () => {
      const etc = at('empty');
      mkdirSync(etc);
      const r = within(etc);
      expect(r).toMatchObject({ code: 2, stdout: '' });
      expect(r.stderr).toMatch(/^lychgate: error: no COMMAND given.*\/etc\/lychgate\.plan;.*\n$/);
    });
  });

  test.each([
    ['no FILE', ['--plan'], '--plan needs FILE'],
    ['options', ['--plan', '', '-v'], '-v: with a plan there are no options'],
    ['options, --plan=FILE', ['--plan=', '-v'], '-v: with a plan there are no options'],
    ['no COMMAND', ['--plan', ''], 'no COMMAND given, and the plan '],
    ['no COMMAND behind --', ['--plan=', '--'], 'no COMMAND given, and the plan '],
  ])('bad usage exits 2 with one line: %s', (_, words, said) => {
    const file = bake();
    const argv = words.map((word) => (['', '--plan='].includes(word) ? word + file : word));
    const r = run([PID1, ...argv]);
    expect(r).toMatchObject({ code: 2, stdout: '' });
    expect(r.stderr).toMatch(/^lychgate: error: .*\n$/);
    expect(r.stderr).toContain(said);
  });
});

describe.runIf(HAS_PID1)('a plan that cannot be followed: 126, one line says why', () => {
  const refused = (file: string, why: RegExp) => {
    const r = baked(file);
    expect(r).toMatchObject({ code: 126, stdout: '' });
    expect(r.stderr).toMatch(/^lychgate: error: .*\n$/);
    expect(r.stderr).toContain(file);
    expect(r.stderr).toMatch(why);
  };
  const good = () => readFileSync(bake('--', ...exit(3)));
  const written = (bytes: Uint8Array) => {
    const file = at('broken');
    writeFileSync(file, bytes, { mode: 0o644 });
    return file;
  };
  const u32 = (bytes: Buffer, where: number, value: number) => {
    bytes.writeUInt32LE(value, where);
    return bytes;
  };
  /** What the file holds is what somebody meant. */
  const sealed = (bytes: Buffer) => u32(bytes, AT.checksum, checksum(bytes));
  const patched = (where: number, value: number) => {
    const bytes = good();
    bytes[where] = value;
    return sealed(bytes);
  };
  const flipped = (where: number) => {
    const bytes = good();
    bytes[where] = (bytes[where] as number) ^ 1;
    return bytes;
  };

  const BROKEN: [string, RegExp, () => Uint8Array][] = [
    ['another file', / is no plan$/m, () => readFileSync('/etc/passwd')],
    ['an empty file', / is no plan$/m, () => Buffer.alloc(0)],
    ['its head cut off', / is no plan$/m, () => good().subarray(0, HEAD - 1)],
    ['another version', / is of (another )?version .*anew$/m, () => u32(good(), AT.version, 2)],
    ['a byte too few', / is cut off or too long: .*anew$/m, () => good().subarray(0, -1)],
    ['a byte too many', / is cut off or too long/, () => Buffer.concat([good(), Buffer.alloc(1)])],
    ['a flipped bit in the head', / is damaged .*anew$/m, () => flipped(AT.drain_ns)],
    ['a flipped bit in the words', / is damaged .*anew$/m, () => flipped(HEAD)],
    ['a live one', / is no baked one/, () => sealed(u32(good(), AT.mode, Mode.Live))],
    ['a signal that is none', /values that cannot be/, () => patched(AT.signal_map + 15, 65)],
    ['an unknown flag', /values that cannot be/, () => sealed(u32(good(), AT.flags, 64))],
    ['a death signal', /values that cannot be/, () => patched(AT.parent_death_signal, 65)],
    ['a negative time', /values that cannot be/, () => patched(AT.grace_ns + 7, 0x80)],
    ['a policy without words', /that cannot be/, () => sealed(u32(good(), AT.flags, Flag.Policy))],
    ['a word too few', /values that cannot be/, () => sealed(u32(good(), AT.command_words, 4))],
    ['a last word without end', /values that cannot be/, () => patched(good().length - 1, 0x78)],
    ['something behind the checksum', /that cannot be/, () => patched(AT.checksum + 4, 1)],
    ['something unknown behind the maps', /that cannot be/, () => patched(HEAD - 1, 1)],
  ];

  test.each(BROKEN)('%s', (_, why, bytes) => refused(written(bytes()), why));

  test.each(BROKEN)('--show says the same, with 2: %s', (_, why, bytes) => {
    const r = show(written(bytes()));
    expect(r).toMatchObject({ code: 2, stdout: '' });
    expect(r.stderr).toMatch(/^lychgate plan: .*\n$/);
    expect(r.stderr).toMatch(why);
  });

  test.each([0o664, 0o646, 0o666])('others can write it: %o', (mode) => {
    const file = written(good());
    chmodSync(file, mode);
    refused(file, /can be written by others: chmod go-w it$/m);
    chmodSync(file, 0o444);
    expect(baked(file).code).toBe(3);
  });

  test('another user has it', () => {
    const file = at('of-another');
    writeFileSync(file, good());
    chownSync(file, 12345, 0);
    refused(file, /belongs to another user/);
  });

  test('a folder, a FIFO, a device, and what is not there', () => {
    refused(folder, / is no regular file$/m);
    expect(run(['mkfifo', at('fifo')]).code).toBe(0);
    refused(at('fifo'), / is no regular file$/m);
    refused('/dev/null', / is no regular file$/m);
    refused(at('missing'), /cannot read the plan .*: No such file or directory; make it with /);
  });
});
