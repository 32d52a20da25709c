/** native/pid1/syscalls.txt: the calls that lychgate-pid1 makes, no more and no fewer. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { bake, HAS_PID1, PID1 } from '../support/forms';
import { ORPHAN_REAPED, ROOT, Running, run, STUBBORN_ORPHAN } from '../support/init';

const folder = mkdtempSync(join(tmpdir(), 'lychgate-calls-'));
afterAll(() => rmSync(folder, { recursive: true }));

const hasStrace = run(['sh', '-c', 'command -v strace']).code === 0;
if (!hasStrace) console.log('SKIP the calls of lychgate-pid1: strace is not installed');

function listed(): { init: string[]; child: string[] } {
  const text = readFileSync(join(ROOT, 'native', 'pid1', 'syscalls.txt'), 'utf8');
  const [init = '', child = ''] = text.replace(/#.*/g, '').split('[child]');
  const words = (part: string) => part.split(/\s+/).filter(Boolean).sort();
  return { init: words(init), child: words(child) };
}

let runs = 0;
const init = new Set<string>();
const child = new Set<string>();

/** strace writes a file for each process. */
const strace = (argv: readonly string[]) => [
  ...['strace', '-ff', '-qq', '-o', join(folder, `${++runs}`), '--'],
  ...argv,
];

/** Of the last run. What a process called before it became ours is not ours. */
function collect(): void {
  for (const name of readdirSync(folder).filter((n) => n.startsWith(`${runs}.`))) {
    const lines = readFileSync(join(folder, name), 'utf8').split('\n');
    const start = lines.findLastIndex((l) => l.startsWith(`execve("${PID1}"`) && l.endsWith('= 0'));
    /* others are threads of Node, and what COMMAND starts */
    if (start < 0 && !/^getpid\(.*\nset(pgid|sid)\(/.test(lines.slice(0, 2).join('\n'))) continue;
    const into = start < 0 ? child : init;
    for (const line of lines.slice(Math.max(start, 0))) {
      const call = /^(\w+)\(/.exec(line)?.[1];
      if (call !== undefined) into.add(call);
      if (into === child && line.startsWith('execve(') && line.endsWith('= 0')) break;
    }
  }
}

function trace(argv: readonly string[]) {
  const r = run(strace(argv));
  collect();
  return r;
}

const sh = (script: string) => ['sh', '-c', script];
const python = (script: string, ...argv: string[]) => ['python3', '-c', script, ...argv];
const ignoreChildren =
  'import os,signal,sys; signal.signal(17, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])';
const stderrIsSocket =
  'import os,socket,sys; s=socket.socketpair(); os.dup2(s[0].fileno(), 2); ' +
  'os.execv(sys.argv[1], sys.argv[1:])';
const toTheInit = (signal: string) => `kill -${signal} $PPID; exec sleep 1000`;

/** Only a standard error of another user needs it: see lean.test.ts. */
const SELDOM = ['poll'];

describe.runIf(HAS_PID1 && hasStrace)('system calls of lychgate-pid1', () => {
  test.each([
    [
      'live plan, orphans',
      4,
      [PID1, '-vv', '-s', '-p', 'USR1', '--', ...sh(`${ORPHAN_REAPED}; exit 4`)],
    ],
    [
      'grace, group',
      137,
      [PID1, '-g', '--grace', '0.2', ...sh(`trap "" TERM; ${toTheInit('TERM')}`)],
    ],
    ['a value for one process', 129, [PID1, '--nofile', '100', ...sh(toTheInit('HUP'))]],
    ['LISTEN_PID', 0, [...sh('LISTEN_PID=$$ exec "$0" true'), PID1]],
    ['a refused plan', 126, [PID1, '--plan', '/etc/passwd']],
    ['a script without #!', 5, [PID1, `${ROOT}/test/fixtures/no-shebang`]],
    ['a folder', 126, [PID1, '/']],
    ['no such program', 127, [PID1, 'no-such-program']],
    ['SIGCHLD ignored', 0, python(ignoreChildren, PID1, 'true')],
    ['standard error a socket', 127, python(stderrIsSocket, PID1, 'no-such-program')],
  ])('%s', (_, code, argv) => {
    expect(trace(argv)).toMatchObject({ code, signal: null });
  });

  test('baked plans', () => {
    expect(trace([PID1, '--plan', bake('-v', '--', 'true')]).code).toBe(0);
    const file = bake(
      '--log-format=json',
      '-vv',
      '--drain',
      '0.2',
      '--',
      ...sh(`${STUBBORN_ORPHAN}; exit 5`),
    );
    expect(trace([PID1, '--plan', file]).code).toBe(5);
  });

  test('on a terminal', async () => {
    const bridge = ['python3', `${ROOT}/test/fixtures/pty_bridge.py`];
    const r = new Running(strace([...bridge, PID1, '-v', 'true']));
    await r.see(/^exit 0$/m, 'stderr');
    r.child.stdin?.end();
    await r.ended;
    collect();
  });

  test('are those of the list, and no others', () => {
    const list = listed();
    expect([...init].sort()).toEqual(list.init.filter((call) => !SELDOM.includes(call)));
    expect([...child].filter((call) => !list.child.includes(call))).toEqual([]);
  });
});
