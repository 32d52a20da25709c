/** The quick way to a live plan says what the parser says, or nothing. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LEAN_DEFAULTS } from '../../src/init/defaults';
import { FLAG_LIST } from '../../src/init/flags';
import { parse } from '../../src/init/options';
import { encodeLive } from '../../src/plan/encode';
import { quickPlan } from '../../src/plan/quick';

type Env = Record<string, string>;

function quick(words: string[], env: Env = {}): Uint8Array | undefined {
  const ours = Object.keys(env).filter((name) => /^(LYCHGATE|TINI)_/.test(name));
  const bytes = encodeLive(LEAN_DEFAULTS, 1);
  return quickPlan(words, ours, env, new Uint32Array(bytes.buffer)) ? bytes : undefined;
}

/** undefined: a mistake, help, or something to warn of. */
function parsed(words: string[], env: Env): Uint8Array | undefined {
  try {
    const found = parse(words, env, { defaults: LEAN_DEFAULTS });
    if (found.action !== 'run' || found.warnings.length > 0) return undefined;
    return encodeLive(found.options, 1 + words.length - found.command.length);
  } catch {
    return undefined;
  }
}

describe('quick is', () => {
  test.each([
    'true',
    '-- true',
    '-- -g',
    '- -g',
    '-g -s -w -v true',
    '-gwvv -- true',
    '--group --subreaper --warn-reaped --verbose -- true',
    '--no-group --no-subreaper --no-warn-reaped true',
    '-s --no-subreaper true',
    '--grace 8 --drain 2.5 -- true',
    '--grace=0.125 --grace=7 -- true',
    '--grace 999999.999 --drain 0 -- true',
    '-e 143 -e 3:77 -e143:1 --remap-exit 255 true',
    '-r TERM:QUIT -rHUP:0 --rewrite=SIGUSR1:SIGUSR2 -r TERM:INT true',
    '-r rtmin+1:sigusr2 -r 15:RTMAX-1 true',
    '-p KILL true',
    '-gpTERM --parent-death-signal SIGHUP true',
    '-p 15 true',
    '-p term true',
    '--nofile 0 true',
    '--nofile=999999999 true',
    '--log-format json true',
    '--log-format json --log-format text true',
    '--neglected=reap true',
    '--neglected warn --neglected ignore true',
  ])('%s', (line) => {
    const words = line.split(' ');
    expect(quick(words)).toEqual(parsed(words, {}));
    expect(quick(words)).toBeDefined();
  });

  test.each<Env>([
    {
      PATH: '/bin',
      LYCHGATE_GRACE: '8',
      LYCHGATE_GROUP: '1',
      LYCHGATE_SUBREAPER: '0',
      LYCHGATE_VERBOSITY: '0',
      LYCHGATE_LOG_FORMAT: 'json',
      LYCHGATE_PARENT_DEATH_SIGNAL: 'USR1',
    },
    { LYCHGATE_DRAIN: '2', LYCHGATE_WARN_REAPED: '1', LYCHGATE_NOFILE: '512' },
    { LYCHGATE_NEGLECTED: 'reap', LYCHGATE_REMAP_EXIT: '143,3:77', LYCHGATE_REWRITE: 'TERM:INT' },
    { TINI_SUBREAPER: '', TINI_KILL_PROCESS_GROUP: '0', TINI_VERBOSITY: '3', TINI_OTHER: '' },
    { LYCHGATE_GROUP: '0', TINI_KILL_PROCESS_GROUP: '1' },
    { TINI_VERBOSITY: '3', LYCHGATE_VERBOSITY: '0' },
  ])('%j, below the command line', (env) => {
    for (const line of ['true', '--grace 9 --no-group -s -v --log-format=text -- true']) {
      const words = line.split(' ');
      expect(quick(words, env)).toEqual(parsed(words, env));
      expect(quick(words, env)).toBeDefined();
    }
  });
});

test.each([
  '',
  '--',
  '-g',
  '--grace 5',
  '--grace',
  '--grace 1e3 true',
  '--grace -1 true',
  '--grace= true',
  '--group=1 true',
  '--g true',
  '--e 143 true',
  '-e 256 true',
  '-e 1:256 true',
  '-e 1: true',
  '-r KILL:TERM true',
  '-r TERM true',
  '-r TERM:0:1 true',
  '-p NONE true',
  '-p SIG true',
  '-p 32 true',
  '-r TERM: true',
  '-r :TERM true',
  '-r 0 true',
  '-r 10 true',
  '-r TERM0 true',
  '-e 00000000143 true',
  '--grace 00000000005 true',
  '-e 1.5 true',
  '--nofile 1.5 true',
  '--grace 1.2.3 true',
  '--grace . true',
  '--nofile -1 true',
  '--log-format xml true',
  '--neglected maybe true',
  '--watch-freezer 5 true',
  '-h true',
  '--version true',
  '--unknown true',
  '--__proto__ true',
  '-x true',
])('not quick: %s', (line) => {
  expect(quick(line.split(' ').filter(Boolean))).toBeUndefined();
});

test.each<Env>([
  { TINI_VERBOSITY: 'x' },
  { LYCHGATE_REMAP_EXIT: '' },
  { LYCHGATE_REMAP_EXIT: '143 3' },
  { LYCHGATE_WATCH_FREEZER: '5' },
  { LYCHGATE_UNKNOWN: '1' },
  { LYCHGATE_GRACE: '' },
  { LYCHGATE_GROUP: 'yes' },
  { LYCHGATE_G: '1' },
  { LYCHGATE_NO_GROUP: '1' },
  { LYCHGATE_VERBOSE: '1' },
  { lychgate_: '', LYCHGATE_: '1' },
])('not quick: with %j', (env) => {
  expect(quick(['true'], env)).toBeUndefined();
});

test('not quick: a list in both places', () => {
  expect(quick(['-e', '3', 'true'], { LYCHGATE_REMAP_EXIT: '143' })).toBeUndefined();
});

const NUMBERS = [
  '0',
  '1',
  '5',
  '10',
  '07',
  '0.5',
  '.5',
  '5.',
  '.',
  '255',
  '256',
  '143',
  '-1',
  '1e3',
];
const LONG = ['999999.999', '1000001', '2147483648', '00000000001', '0x1', ' 5', ''];
const SIGNALS = [
  'TERM',
  'HUP',
  'KILL',
  'SIGINT',
  'sigusr1',
  'IOT',
  'RTMIN',
  'RTMAX-3',
  'SIG',
  '32',
  '65',
];
const WORDS = ['json', 'text', 'warn', 'reap', 'ignore', '-', '--', '=', 'true'];

test('30,000 command lines and environments: the same bytes, or none', () => {
  const one = fc.constantFrom(...NUMBERS, ...LONG, ...SIGNALS);
  const pair = fc.tuple(one, one).map((two) => two.join(':'));
  const value = fc.oneof(one, pair, fc.constantFrom(...WORDS), fc.string({ maxLength: 4 }));
  const spellings = FLAG_LIST.flatMap(([name, flag]) => {
    const short = 'short' in flag ? [`-${flag.short}`, `-g${flag.short}`, `--${flag.short}`] : [];
    return [`--${name}`, `--${name}`, `--no-${name}`, `--${name}=`, ...short];
  });
  const option = fc.constantFrom(...spellings);
  const joined = fc.tuple(option, value).map((two) => two.join(''));
  const words = fc.oneof(option, fc.tuple(option, value), joined, value);
  const line = fc.array(words, { maxLength: 4 }).map((list) => list.flat());
  const command = fc.constantFrom<string[]>([], ['true'], ['--', 'true']);

  const variables = FLAG_LIST.flatMap(([, flag]) => [flag.env, 'tini' in flag ? flag.tini : null]);
  const others = ['PATH', 'LYCHGATE_NO_GROUP', 'LYCHGATE_', 'TINI_OTHER'];
  const name = fc.constantFrom(...variables.filter((v) => v !== null), ...others);
  const env = fc.dictionary(name, value, { maxKeys: 3 });
  const usually = fc.oneof({ weight: 3, arbitrary: fc.constant({}) }, env);

  let made = 0;
  fc.assert(
    fc.property(line, command, usually, (before, behind, env) => {
      const words = [...before, ...behind];
      const bytes = quick(words, env);
      if (bytes === undefined) return;
      made++;
      expect(Buffer.from(bytes)).toEqual(Buffer.from(parsed(words, env) ?? []));
    }),
    { numRuns: 30_000 },
  );
  expect(made).toBeGreaterThan(3000);
}, 60_000);
