/** What COMMAND sees of the init: nothing but what is documented. */
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { FORMS, LEAN } from '../support/forms';
import { fixture, run, UNSHARE } from '../support/init';

const PROBE = fixture('probe');
const RLIMIT_NOFILE = 7;
const NO_SIGNALS = '0000000000000000';

const folder = mkdtempSync(join(tmpdir(), 'lychgate-transparency-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

type View = Map<string, string>;

/** Set up as the words say, then run COMMAND below the given init. */
function view(
  setUp: readonly string[],
  init: readonly string[] = [],
  command: readonly string[] = [PROBE],
): View {
  const r = run([PROBE, 'launch', ...setUp, '--', ...init, ...command]);
  expect(r).toMatchObject({ code: 0, signal: null, stderr: '' });
  return viewOf(r.stdout);
}

function viewOf(stdout: string): View {
  const lines = stdout.trimEnd().split('\n');
  return new Map(
    lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
}

/** key: [without, with]; the pid is another each time. */
function differences(without: View, withInit: View): Record<string, (string | undefined)[]> {
  const found: Record<string, (string | undefined)[]> = {};
  for (const key of new Set([...without.keys(), ...withInit.keys()])) {
    const [a, b] = [without.get(key), withInit.get(key)];
    if (key !== 'pid' && a !== b) found[key] = [a, b];
  }
  return found;
}

const keys = (v: View, prefix: string) => [...v.keys()].filter((k) => k.startsWith(prefix));
const tini = ['tini', '-s', '--'];
const hasTini = run(['sh', '-c', 'command -v tini']).code === 0;
const ownGroup = { 'pgrp.leader': ['0', '1'] };

/** Everything odd at once that an init could lose on the way. */
const ODD = [
  'umask=027',
  'nice=3',
  'timerslack=1234567',
  'no-thp',
  'no-new-privs',
  'fds',
  'ignore-rt=3',
  'clearenv',
  'env=PATH=/usr/bin:/bin',
  'env=BYTES=\\xff\\xfe\\x0a',
  'env=TWICE=1',
  'env=TWICE=2',
  'env=NO_EQUALS_SIGN',
  'env==nameless',
  'env=EMPTY=',
  'env=B_BEFORE_A=1',
  'env=A_AFTER_B=1',
];
const WORDS = ['caf\\xe9 \\xff', '', '--', '--help', 'two\\x0alines', '\u{1f480}'];

describe('with odd descriptors, environment, words and attributes', () => {
  const plain = view([`cd=${folder}`, ...ODD], [], [PROBE, ...WORDS]);

  it('the probe sees what was set up', () => {
    expect(keys(plain, 'fd.').slice(3)).toEqual(
      [5, 6, 7, 8, 9, 11, 41, 42, 43, 44, 600].map((fd) => `fd.${fd}`),
    );
    expect(plain.get('fd.5')).toBe('/etc/passwd same=5 flags=100000 cloexec=0 offset=7');
    expect(plain.get('fd.8')).toContain('same=7 ');
    expect(keys(plain, 'env.')).toHaveLength(9);
    expect(plain.get('env.001')).toBe('BYTES=\\xff\\xfe\\x0a');
    expect(keys(plain, 'argv.')).toHaveLength(WORDS.length + 1);
    expect(plain.get('argv.001')).toBe('caf\\xe9 \\xff');
    expect(Object.fromEntries(plain)).toMatchObject({
      Umask: '0027',
      cwd: folder,
      SigIgn: '0000001000000000',
      NoNewPrivs: '1',
      timerslack: '1234567',
      nice: '3',
      thp_disable: '1',
    });
  });

  it.each(FORMS)('only the process group differs: $name', ({ lychgate }) => {
    const below = view([`cd=${folder}`, ...ODD], lychgate('--'), [PROBE, ...WORDS]);
    expect(differences(plain, below)).toEqual(ownGroup);
  });

  it.skipIf(!hasTini)('tini differs in the same', () => {
    const below = view([`cd=${folder}`, ...ODD], tini, [PROBE, ...WORDS]);
    expect(differences(plain, below)).toEqual(ownGroup);
  });

  it.each(FORMS)('nothing else differs as PID 1 either: $name', ({ asPid1 }) => {
    const command = [PROBE, ...WORDS];
    const without = view(
      [`cd=${folder}`, ...ODD],
      [...UNSHARE, 'sh', '-c', '"$@"; exit $?', 'sh'],
      command,
    );
    const below = view([`cd=${folder}`, ...ODD], asPid1('--'), command);
    const found = differences(without, below);
    /* the shell in between sorts and merges the environment, adds PWD and the like */
    for (const key of Object.keys(found)) if (key.startsWith('env.')) delete found[key];
    expect(found).toEqual(ownGroup);
    for (const key of keys(plain, 'env.')) expect(below.get(key)).toBe(plain.get(key));
    expect(keys(below, 'env.')).toEqual(keys(plain, 'env.'));
  });
});

/**
 * As an engine starts a container: the first process leads a session of its own. Without
 * --kill-child, which would be a parent death signal.
 */
const CONTAINER = ['unshare', '--pid', '--fork', '--mount-proc', 'setsid'];

describe.each(LEAN)('$name: no difference at all to no init', ({ lychgate }) => {
  const everything = [
    ...ODD,
    'nofile=512',
    ...[1, 12, 13, 17, 25].map((n) => `ignore=${n}`),
    'ignore-rt=0',
    'ignore-rt=30',
    ...[10, 15, 17, 34].map((n) => `block=${n}`),
  ];

  it.each([
    ['a plain start', []],
    ['everything odd at once', [`cd=${folder}`, ...everything]],
    ['closed standard descriptors', ['close=0', 'close=2']],
  ])('%s', (_, setUp) => {
    const command = [PROBE, ...WORDS];
    const launch = [...CONTAINER, PROBE, 'launch', ...setUp, '--'];
    const look = (...init: string[]) => {
      const r = run([...launch, ...init, ...command]);
      expect(r).toMatchObject({ code: 0, stderr: '' });
      return viewOf(r.stdout);
    };
    const without = look();
    expect(without.get('session.leader')).toBe('1');
    expect(differences(without, look(...lychgate('--')))).toEqual({});
  });
});

describe.each(FORMS)('RLIMIT_NOFILE: $name', ({ lychgate, addon }) => {
  const soft = `rlimit.${RLIMIT_NOFILE}.soft`;
  const plain = view(['nofile=512']);
  const hard = plain.get(`rlimit.${RLIMIT_NOFILE}.hard`);

  it('the soft one is raised to the hard one by Node, and by nobody else', () => {
    expect(plain.get(soft)).toBe('512');
    const found = differences(plain, view(['nofile=512'], lychgate('--')));
    expect(found).toEqual(addon ? { ...ownGroup, [soft]: ['512', hard] } : ownGroup);
  });

  it('--nofile SOFT sets it, and nothing else', () => {
    const found = differences(plain, view(['nofile=512'], lychgate('--nofile', '512', '--')));
    expect(found).toEqual(ownGroup);
    const other = differences(plain, view(['nofile=512'], lychgate('--nofile', '777', '--')));
    expect(other).toEqual({ ...ownGroup, [soft]: ['512', '777'] });
  });

  it('a descriptor above the soft limit is passed on', () => {
    expect(view(['fds', 'nofile=100'], lychgate('--')).get('fd.600')).toContain('/dev/null');
  });
});

describe.each(FORMS)('signals: $name', ({ lychgate, addon }) => {
  /** HUP (nohup), USR2, PIPE, CHLD and XFSZ */
  const ignored = [1, 12, 13, 17, 25].map((n) => `ignore=${n}`);

  it('ignored real-time ones stay ignored; with Node standard ones come as default', () => {
    const setUp = [...ignored, 'ignore-rt=0', 'ignore-rt=30'];
    const found = differences(view(setUp), view(setUp, lychgate('--')));
    const lost = { SigIgn: ['8000000201011801', '8000000200000000'] };
    expect(found).toEqual(addon ? { ...ownGroup, ...lost } : ownGroup);
  });

  it('nothing is ignored, blocked, caught or pending after a plain start', () => {
    const below = view([], lychgate('--'));
    const of = (key: string) => below.get(key);
    expect(['SigIgn', 'SigBlk', 'SigCgt', 'SigPnd', 'ShdPnd'].map(of)).toEqual(
      Array(5).fill(NO_SIGNALS),
    );
  });

  it('blocked ones come unblocked with Node, else as they were', () => {
    const setUp = [10, 15, 17, 34].map((n) => `block=${n}`);
    const found = differences(view(setUp), view(setUp, lychgate('--')));
    const lost = { SigBlk: ['0000000200014200', NO_SIGNALS] };
    expect(found).toEqual(addon ? { ...ownGroup, ...lost } : ownGroup);
  });
});

describe.each(FORMS)('standard descriptors closed at the start: $name', (form) => {
  const { lychgate, addon } = form;

  it('closed standard input is /dev/null with Node, else closed', () => {
    const found = differences(view(['close=0']), view(['close=0'], lychgate('--')));
    const opened = { 'fd.0': [undefined, '/dev/null same=0 flags=100002 cloexec=0 offset=0'] };
    expect(found).toEqual(addon ? { ...ownGroup, ...opened } : ownGroup);
  });

  it.each(['close=0', 'close=1', 'close=2', 'close=0 close=1 close=2'])(
    '%s: the exit code is passed through',
    (setUp) => {
      const exit7 = lychgate('--', 'sh', '-c', 'exit 7');
      const r = run([PROBE, 'launch', ...setUp.split(' '), '--', ...exit7]);
      expect(r).toEqual({ code: 7, signal: null, stdout: '', stderr: '' });
    },
  );

  it('descriptors are passed on all the same', () => {
    const setUp = ['fds', 'close=0'];
    const found = differences(view(setUp), view(setUp, lychgate('--')));
    const keys = addon ? ['fd.0', 'pgrp.leader'] : ['pgrp.leader'];
    expect(Object.keys(found).sort()).toEqual(keys);
  });
});

describe.each(FORMS)('LISTEN_PID: $name', ({ lychgate }) => {
  const entry = (v: View) => [...v.values()].find((e) => e.startsWith('LISTEN_PID='));
  const setUp = (offset: number) => ['clearenv', `listen=${offset}`];

  it('names COMMAND when it named lychgate; the socket is at 3', () => {
    const below = view(setUp(0), lychgate('--'));
    expect(entry(below)).toBe(`LISTEN_PID=${below.get('pid')}`);
    expect(below.get('fd.3')).toBe(view(setUp(0)).get('fd.3'));
    const found = differences(view(setUp(0)), below);
    expect(Object.keys(found).sort()).toEqual(['env.000', 'pgrp.leader']);
  });

  it('stays when it names somebody else', () => {
    const below = view(setUp(100_000_000), lychgate('--'));
    expect(entry(below)).toMatch(/^LISTEN_PID=1\d{8}$/);
    expect(entry(below)).not.toBe(`LISTEN_PID=${below.get('pid')}`);
  });
});

describe('bytes that are not UTF-8', () => {
  it.each(FORMS)('in the name of the program: $name', ({ lychgate }) => {
    rmSync(Buffer.concat([Buffer.from(`${folder}/prog-`), Buffer.from([0xff])]), { force: true });
    symlinkSync(PROBE, Buffer.concat([Buffer.from(`${folder}/prog-`), Buffer.from([0xff])]));
    const command = [`${folder}/prog-\\xff`, 'x'];
    const found = differences(view([], [], command), view([], lychgate('--'), command));
    expect(found).toEqual(ownGroup);
  });

  it.each(FORMS)(
    'in words, where one looks like the replacement character itself: $name',
    ({ lychgate }) => {
      const command = [PROBE, '\ufffd', '\\xff', '\\xef\\xbf\\xbd\\xff', 'plain'];
      const found = differences(view([], [], command), view([], lychgate('--'), command));
      expect(found).toEqual(ownGroup);
    },
  );
});
