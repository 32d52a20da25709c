import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { FORMS } from '../support/forms';
import { CLI, fixture, NODE, ROOT, Running, run, UNSHARE } from '../support/init';

const blocked = [...UNSHARE, NODE, `--require=${ROOT}/test/fixtures/block.cjs`, CLI];

interface Storm {
  made: number;
  signals: number;
  left: number;
}

const storm = (argv: readonly string[]) => {
  const r = run(argv);
  return { r, result: JSON.parse(r.stdout) as Storm };
};

/** The count of the init's own closing message. */
function reaped(stderr: string): number {
  return Number(/ ended: .* \((\d+) orphans reaped/.exec(stderr)?.[1]);
}

describe.each(FORMS)('orphans: $name', ({ lychgate, asPid1 }) => {
  test('20,000 of them: none is left, each is counted', () => {
    const { r, result } = storm(asPid1('-v', '--', fixture('storm'), '20000', '0', '0'));
    expect(result).toEqual({ made: 20000, signals: 0, left: 0 });
    expect(reaped(r.stderr)).toBe(20000);
    expect(r.code).toBe(0);
  });

  test('a storm of 10 s with signals in between loses no exit and no signal', () => {
    const { r, result } = storm(
      asPid1('-v', '-r', 'HUP:0', '--', fixture('storm'), '0', '10', '20000'),
    );
    expect(result).toMatchObject({ signals: 20000, left: 0 });
    expect(result.made).toBeGreaterThan(1000);
    expect(reaped(r.stderr)).toBe(result.made);
  });

  test('as a subreaper, below others', async () => {
    /* The middle one ends first; its child comes to us and is reaped by us. */
    const r = new Running(lychgate('-vv', '--', 'sh', '-c', '(sh -c "exit 9" &) ; cat'));
    await r.see(/reaped orphan \d+ \(sh\), age \d+\.\d\d s, exit status 9/, 'stderr');
    r.child.stdin?.end();
    const { code, stderr } = await r.ended;
    expect(code).toBe(0);
    expect(stderr).toContain('adopting orphans as a subreaper');
  });

  test('--no-subreaper says what is then missing, and how to mend it', () => {
    const r = run(lychgate('--no-subreaper', 'true'));
    expect(r.stderr).toMatch(/warning: not PID 1 .*Leave --no-subreaper out/);
    expect(r.code).toBe(0);
  });
});

describe.each(FORMS)('--warn-reaped: $name', ({ asPid1 }) => {
  test('names pid, program, age and the way it ended', async () => {
    const script = '(sh -c "kill -9 \\$\\$" &); (sh -c "exit 3" &); cat';
    const r = new Running(asPid1('-w', '--', 'sh', '-c', script));
    await r.see(/reaped orphan \d+ \(sh\), age 0\.\d\d s, killed by SIGKILL/, 'stderr');
    await r.see(/reaped orphan \d+ \(sh\), age 0\.\d\d s, exit status 3/, 'stderr');
    r.child.stdin?.end();
    expect((await r.ended).code).toBe(0);
  });

  test('a name cannot forge a line', async () => {
    const python =
      'import os,ctypes\n' +
      'if os.fork()==0:\n' +
      '  if os.fork()==0:\n' +
      '    ctypes.CDLL(None).prctl(15,b"x)\\nlychgate: \\x1b[1m",0,0,0)\n' +
      '  os._exit(0)\n' +
      'input()\n';
    const r = new Running(asPid1('-w', '--', 'python3', '-c', python));
    const [line] = await r.see(/reaped orphan \d+ \(x\).*$/m, 'stderr');
    expect(line).toContain('(x)\\x0alychgate: ');
    r.child.stdin?.end('\n');
    await r.ended;
  });

  test('is one JSON object per line with --log-format json', async () => {
    const r = new Running(asPid1('-wv', '--log-format=json', '--', 'sh', '-c', '(exit 3 &); cat'));
    const [line] = await r.see(/^\{.*"reaped".*\}$/m, 'stderr');
    expect(JSON.parse(line)).toMatchObject({
      level: 'warn',
      event: 'reaped',
      comm: 'sh',
      code: 3,
      signal: null,
    });
    r.child.stdin?.end();
    const last = (await r.ended).stderr.trimEnd().split('\n').at(-1) as string;
    expect(JSON.parse(last)).toMatchObject({ event: 'ended', exitCode: 0, reaped: 1 });
  });
});

describe.each(FORMS)('$name', ({ lychgate }) => {
  test('idle means idle: no thread wakes up', async () => {
    const r = new Running(lychgate('--', 'cat'));
    r.child.stdin?.write('x\n');
    await r.see(/x/);
    const switches = () =>
      run(['sh', '-c', `cat /proc/${r.pid}/task/*/status`])
        .stdout.split('\n')
        .filter((l) => l.includes('ctxt_switches'))
        .reduce((sum, l) => sum + Number(l.split('\t')[1]), 0);
    /* Settled once two looks in a row agree; then five seconds of nothing. */
    let before = switches();
    for (let now = -1; now !== before; now = switches()) {
      before = switches();
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    await new Promise((resolve) => setTimeout(resolve, 5000));
    expect(switches() - before).toBe(0);
    r.child.stdin?.end();
    await r.ended;
  });

  test('nothing of ours is a child or a descriptor of COMMAND', () => {
    const list = ['sh', '-c', 'ls /proc/self/fd'];
    expect(run(lychgate(...list)).stdout).toBe(run(list).stdout);
  });
});

test('20,000 of them while JavaScript never returns: none is left', () => {
  const { result } = storm([...blocked, '--', fixture('storm'), '20000', '0', '0']);
  expect(result).toEqual({ made: 20000, signals: 0, left: 0 });
});

test('nothing of ours starts processes but the core', () => {
  expect(readFileSync(CLI, 'utf8')).not.toContain('child_process');
});
