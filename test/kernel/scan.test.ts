/** `lychgate scan` over real processes of this kernel. */
import { mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Ajv from 'ajv/dist/2020';
import { describe, expect, test } from 'vitest';
import schema from '../../docs/schema/scan.schema.json';
import type { Finding, ScanReport } from '../../src/scan';
import { Cgroup, freezerMount, until } from '../support/cgroups';
import { fixture, lychgate, NODE, publicCopy, ROOT, Running, run, UNSHARE } from '../support/init';
import { cleanupAfterEach, startHelper, stateOf } from '../support/processes';

const valid = new Ajv({ strict: true, allowUnionTypes: true, validateFormats: false }).compile(
  schema,
);

interface Answer {
  code: number | null;
  stderr: string;
  report: ScanReport;
}

function answer(r: { code: number | null; stdout: string; stderr: string }): Answer {
  const report = JSON.parse(r.stdout);
  expect(valid(report), JSON.stringify(valid.errors)).toBe(true);
  return { code: r.code, stderr: r.stderr, report };
}

const scan = (...args: string[]) =>
  answer(run(lychgate('scan', '--hold', '0.1', '--format', 'json', ...args)));

const only = (a: Answer): Finding => {
  expect(a.report.findings).toHaveLength(1);
  return a.report.findings[0] as Finding;
};

const cleanup = cleanupAfterEach();
const start = (argv: readonly string[], ready: RegExp) => startHelper(cleanup, argv, ready);

const zombies = (count: number) => start([fixture('zombies'), String(count)], /^\d+( \d+)+$/m);

const alive = (pid: number) => /[RS]/.test(stateOf(pid) ?? '');

test('zombies of a living parent: one finding, counted, held, with a limit and advice', async () => {
  const [r] = await zombies(7);
  const a = scan('--pid', String(r.pid));
  expect(a).toMatchObject({ code: 1, stderr: '', report: { zombies: 7, stuck: 0, frozen: 0 } });
  expect(only(a)).toMatchObject({
    state: 'Z',
    class: 'negligent-parent',
    count: 7,
    parent: { pid: r.pid, comm: 'zombies', isInit: false, handlesSigchld: false },
    container: null,
    limit: { name: expect.any(String), current: expect.any(Number) },
    advice: expect.stringContaining('does not wait for its children'),
  });
  expect(only(a).seenSeconds).toBeGreaterThanOrEqual(0.1);
  expect(only(a).processes).toHaveLength(7);
});

test('nothing: exit 0, and the first line says so', () => {
  const r = run(lychgate('scan', '--hold', '0', '--pid', String(process.pid)));
  expect(r.code).toBe(0);
  expect(r.stdout).toMatch(/^nothing: no zombie, none stuck, none frozen/);
});

test('filters: --min, --state, --container, --namespace', async () => {
  const [r] = await zombies(3);
  const of = (...args: string[]) => scan('--pid', String(r.pid), ...args).code;
  expect(of('--min', '3')).toBe(1);
  expect(of('--min', '4')).toBe(0);
  expect(of('--state', 'D,frozen')).toBe(0);
  expect(of('--container', 'ab')).toBe(0);
  expect(of('--namespace', 'prod')).toBe(0);
  expect(of('--min-age', '0.2')).toBe(1);
});

test('a leader that has exited before its threads is no zombie', async () => {
  const [r] = await start([fixture('leader_exits')], /ready/);
  await until(() => stateOf(r.pid) === 'Z', 'the leader lives');
  const a = scan('--pid', String(r.pid));
  expect(a.report).toMatchObject({ zombies: 0, stuck: 0 });
  expect(only(a)).toMatchObject({
    class: 'leader-alive',
    advice: expect.stringMatching(/^no zombie/),
  });
  const text = run(lychgate('scan', '--hold', '0', '--pid', String(r.pid))).stdout;
  expect(text).toMatch(/^nothing to mend: no zombie/);
});

test('a parent that is stopped says so', async () => {
  const [r] = await zombies(2);
  r.kill('SIGSTOP');
  await until(() => stateOf(r.pid) === 'T', 'it does not stop');
  expect(only(scan('--pid', String(r.pid)))).toMatchObject({
    class: 'parent-stopped',
    advice: `its parent is stopped and cannot wait: kill -CONT ${r.pid}`,
  });
});

for (const version of [1, 2] as const) {
  const missing = freezerMount(version) === undefined;
  if (missing) console.log(`SKIP frozen parents v${version}: no freezer to be written here`);
  test.skipIf(missing)(`a parent that is frozen says so, v${version}`, async () => {
    const [r] = await zombies(2);
    const c = new Cgroup(version);
    cleanup.push(() => c.remove());
    c.add(r.pid);
    await c.freezeNow();
    const a = scan();
    const findings = a.report.findings.filter(
      (f) => f.parent?.pid === r.pid || f.processes.some((p) => p.pid === r.pid),
    );
    expect(findings).toMatchObject([
      { class: 'parent-frozen', advice: expect.stringContaining(`lychgate freezer ${r.pid}`) },
      { class: 'frozen', count: 1, where: c.directory },
    ]);
    expect(
      a.report.findings.filter((f) => f.state === 'D' && f.processes.some((p) => p.pid === r.pid)),
    ).toEqual([]);
  });
}

test('a zombie that a stranger traces: the tracer is named', async () => {
  const [, m] = await start([fixture('traced_zombie')], /^(\d+) (\d+) (\d+)$/m);
  const [, parent, child, tracer] = m.map(Number);
  const a = scan('--pid', String(parent));
  expect(only(a)).toMatchObject({
    class: 'traced',
    processes: [{ pid: child }],
    advice: expect.stringContaining(`process ${tracer} traces it`),
  });
});

describe('stuck in D, on a file system that does not answer', () => {
  const stuckOn = async (argv: (file: string) => string[], ready: (pid: number) => boolean) => {
    const folder = mkdtempSync(join(tmpdir(), 'lychgate-fuse-'));
    const fuse = new Running([fixture('deaf_fuse'), folder]);
    await fuse.see(/mounted/);
    const r = new Running(argv(join(folder, 'file')));
    cleanup.push(async () => {
      fuse.child.stdin?.end();
      await fuse.ended;
      r.child.kill('SIGKILL');
      await r.ended;
      rmdirSync(folder);
    });
    await until(() => tasks(r.pid).some((t) => asks(r.pid, t)), 'it does not ask the file system');
    /* FUSE waits interruptibly until a signal comes, and from then on in D */
    r.kill('SIGSTOP');
    await until(() => tasks(r.pid).some((t) => hangs(r.pid, t)), 'it does not hang');
    r.kill('SIGCONT');
    await until(() => ready(r.pid), 'it does not hang as it should');
    return r.pid;
  };
  const tasks = (pid: number) => {
    try {
      return readdirSync(`/proc/${pid}/task`).map(Number);
    } catch {
      return [];
    }
  };
  const asks = (pid: number, tid: number) => {
    try {
      return /fuse|request_wait/.test(readFileSync(`/proc/${pid}/task/${tid}/wchan`, 'latin1'));
    } catch {
      return false;
    }
  };
  const hangs = (pid: number, tid: number) => {
    try {
      return / D /.test(readFileSync(`/proc/${pid}/task/${tid}/stat`, 'latin1'));
    } catch {
      return false;
    }
  };

  test('a process: d-stuck, with where it hangs', async () => {
    const pid = await stuckOn(
      (file) => ['cat', file],
      (p) => stateOf(p) === 'D',
    );
    const a = scan('--pid', String(pid));
    expect(a).toMatchObject({ code: 1, report: { stuck: 1, zombies: 0 } });
    expect(only(a)).toMatchObject({
      class: 'd-stuck',
      processes: [{ pid, tid: null, comm: 'cat' }],
      where: expect.stringMatching(/fuse|request_wait/),
    });
  });

  test('a thread behind a first one that sleeps', async () => {
    const other = (p: number) => tasks(p).find((t) => t !== p && hangs(p, t));
    const pid = await stuckOn(
      (file) => [fixture('stuck_thread'), file],
      (p) => other(p) !== undefined && stateOf(p) === 'S',
    );
    expect(only(scan('--pid', String(pid)))).toMatchObject({
      class: 'd-stuck',
      processes: [{ pid, tid: other(pid) }],
    });
  });

  test('a leader that has exited, with a thread that hangs: leader-stuck', async () => {
    const pid = await stuckOn(
      (file) => [fixture('leader_exits'), file],
      (p) => stateOf(p) === 'Z' && tasks(p).some((t) => hangs(p, t)),
    );
    const found = scan('--pid', String(pid)).report.findings;
    expect(found.find((f) => f.state === 'Z')).toMatchObject({
      class: 'leader-stuck',
      where: expect.stringMatching(/fuse|request_wait/),
    });
  });
});

describe('actions', () => {
  const act = (pid: number, action: string, ...more: string[]) =>
    scan('--pid', String(pid), '--action', action, ...more);

  test('nudge: a handler that came too late reaps', async () => {
    const argv = ['python3', join(ROOT, 'test', 'fixtures', 'late_handler.py')];
    const [r] = await start(argv, /ready/);
    expect(act(r.pid, 'nudge').stderr).toMatch(/would send SIGCHLD to \d+ \(python3?[^)]*\)/);
    const done = act(r.pid, 'nudge', '--yes');
    expect(done.stderr).toContain(`sent SIGCHLD to ${r.pid}`);
    await r.see(/reaped 5/);
  });

  test('nudge: refused where there is no handler', async () => {
    const [r] = await zombies(2);
    expect(act(r.pid, 'nudge', '--yes').stderr).toContain(
      'nudge refused: ' + `${r.pid} (zombies): it has no handler for SIGCHLD`,
    );
  });

  test('kill-parent: without --yes nothing happens; with it, and it is written down', async () => {
    const [r] = await zombies(2);
    const would = act(r.pid, 'kill-parent');
    expect(would.stderr).toMatch(/would end \d+ \(zombies\) by SIGTERM.*--yes does it/);
    expect(alive(r.pid)).toBe(true);
    const folder = mkdtempSync(join(tmpdir(), 'lychgate-audit-'));
    const audit = join(folder, 'audit');
    const did = act(r.pid, 'kill-parent', '--yes', '--audit', audit);
    expect(did.stderr).toContain(`sent SIGTERM to ${r.pid} (zombies)`);
    expect((await r.ended).signal).toBe('SIGTERM');
    expect(JSON.parse(readFileSync(audit, 'utf8'))).toMatchObject({
      action: 'kill-parent',
      signal: 'SIGTERM',
      result: 'sent',
      target: { pid: r.pid, comm: 'zombies' },
      finding: { class: 'negligent-parent', count: 2 },
    });
    rmSync(folder, { recursive: true });
  });

  test('kill-parent: one that is deaf to TERM is killed', async () => {
    const deaf = ['sh', '-c', 'trap "" TERM; exec "$@"', 'sh', fixture('zombies'), '2'];
    const [r] = await start(deaf, /^\d+( \d+)+$/m);
    const did = act(r.pid, 'kill-parent', '--yes', '--grace', '0.2');
    expect(did.stderr).toContain('did not end in 0.2 s');
    expect((await r.ended).signal).toBe('SIGKILL');
  });

  test('kill-parent: never the first process of a PID namespace', async () => {
    const [r] = await start([...UNSHARE, fixture('zombies'), '2'], /^\d+( \d+)+$/m);
    const children = readFileSync(`/proc/${r.pid}/task/${r.pid}/children`, 'latin1');
    const init = Number(children.trim());
    expect(act(init, 'kill-parent', '--yes').stderr).toContain(
      'is the first process of its container',
    );
    expect(alive(init)).toBe(true);
  });

  test('restart-container and kill-shim: refused outside of containers', async () => {
    const [r] = await zombies(2);
    expect(act(r.pid, 'restart-container', '--yes').stderr).toContain('is in no container');
    expect(act(r.pid, 'kill-shim', '--yes').stderr).toContain('it hangs on no containerd-shim');
    expect(alive(r.pid)).toBe(true);
  });

  test('an audit file that cannot be written: nothing is done', async () => {
    const [r] = await zombies(2);
    const did = run(
      lychgate(
        'scan',
        '--hold',
        '0',
        '--pid',
        String(r.pid),
        '--action',
        'kill-parent',
        '--yes',
      ).concat('--audit', '/nonexistent/audit'),
    );
    expect(did.code).toBe(2);
    expect(did.stderr).toContain('so nothing is done');
    expect(alive(r.pid)).toBe(true);
  });
});

describe('forms', () => {
  const text = (...args: string[]) => run(lychgate('scan', '--hold', '0', ...args)).stdout;

  test('table: the verdict first, 80 columns, no colour into a pipe', async () => {
    const [r] = await zombies(3);
    const table = text('--pid', String(r.pid));
    expect(table).toMatch(/^3 zombies of 1 parent \(/);
    expect(Math.max(...table.split('\n').map((l) => l.length))).toBeLessThanOrEqual(80);
    expect(table).not.toContain('\x1b');
  });

  test('tree: whose, parent, zombies', async () => {
    const [r] = await zombies(7);
    const tree = text('--pid', String(r.pid), '--format', 'tree');
    expect(tree).toMatch(/^the machine$/m);
    expect(tree).toMatch(new RegExp(`└─ ${r.pid} zombies \\(S\\)`));
    expect(tree).toContain('and 2 more');
  });

  test('prometheus, whole into a file', async () => {
    const [r] = await zombies(4);
    const folder = mkdtempSync(join(tmpdir(), 'lychgate-textfile-'));
    const file = join(folder, 'lychgate.prom');
    expect(text('--pid', String(r.pid), '--format', 'prometheus', '--output', file)).toBe('');
    const metrics = readFileSync(file, 'utf8');
    expect(metrics).toMatch(/^lychgate_scan_zombies 4$/m);
    expect(metrics).toMatch(/^lychgate_scan_finding_processes\{.*parent="zombies"\} 4$/m);
    expect(readdirSync(folder)).toEqual(['lychgate.prom']);
    rmSync(folder, { recursive: true });
    const bad = run(lychgate('scan', '--hold', '0', '--output', '/nonexistent/x'));
    expect(bad).toMatchObject({ code: 2, stdout: '' });
    expect(bad.stderr).toMatch(/^lychgate scan: cannot write \/nonexistent\/x: [^\n]+\n$/);
  });

  test('--watch: ndjson, ages from first sight, ended by a signal', async () => {
    const [r] = await zombies(2);
    const args = ['--watch', '0.1', '--format', 'ndjson', '--pid', String(r.pid)];
    const watching = new Running(lychgate('scan', ...args));
    await watching.see(/("type":"finding".*\n[\s\S]*){3}/);
    watching.kill('SIGINT');
    const end = await watching.ended;
    expect(end.signal).toBe('SIGINT');
    const lines = end.stdout
      .trim()
      .split('\n')
      .map((l) => JSON.parse(l));
    const ages = lines.filter((l) => l.type === 'finding').map((l) => l.seenSeconds);
    expect(ages).toEqual(ages.toSorted((a: number, b: number) => a - b));
    expect(ages.at(-1)).toBeGreaterThan(ages[0]);
  });

  test('Ctrl-C while it holds: the terminal is as before', async () => {
    const bridge = ['python3', join(ROOT, 'test', 'fixtures', 'pty_bridge.py')];
    const r = new Running([...bridge, ...lychgate('scan', '--hold', '100')], {
      env: { ...process.env, TERM: 'xterm' },
    });
    await r.see(/\[\?25l[\s\S]*again in \d+ s/);
    r.child.stdin?.write(`${JSON.stringify({ write: '\x03' })}\n`);
    await r.see(/\[\?25h/);
    await r.see(/^exit /m, 'stderr');
    r.child.stdin?.end();
    await r.ended;
  });

  test('without root: what could not be seen is said', async () => {
    const [r] = await zombies(2);
    const copy = publicCopy();
    const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
    const a = answer(
      run([...nobody, NODE, copy.cli, 'scan', '--hold', '0', '-f', 'json', '--pid', String(r.pid)]),
    );
    copy.remove();
    expect(a).toMatchObject({ code: 1, report: { zombies: 2 } });
    expect(a.report.blind.join('\n')).toContain('not root');
  });
});

test.each([
  [['--bad'], "Unknown option '--bad'"],
  [['x'], 'Unexpected argument'],
  [['--hold', '-1'], '--hold'],
  [['--hold', 'x'], '--hold must be a number of seconds'],
  [['--state', 'Z,Q'], "--state must be Z, D, frozen, not 'Q'"],
  [['--min', '0'], '--min must be a whole number'],
  [['--pid', 'x'], '--pid must be a whole number'],
  [['--format', 'xml'], '--format must be table, tree, json, ndjson, prometheus'],
  [['--watch', '0'], '--watch must be at least 0.1'],
  [['--action', 'shoot'], '--action must be report, nudge'],
  [['--yes'], '--yes goes with --action'],
  [['--force', '--action', 'nudge'], '--force goes with --action kill-shim'],
  [['--audit', 'x'], '--audit goes with --action'],
  [['--watch', '1', '--action', 'nudge'], '--action does not go with --watch'],
  [['--root', 'x'], '--root must be an absolute path'],
  [['--root', '/nonexistent'], '/nonexistent/proc'],
])('bad input %j: exit 2 and one line', (args, line) => {
  const r = run(lychgate('scan', ...args));
  expect(r).toMatchObject({ code: 2, stdout: '' });
  expect(r.stderr).toMatch(/^lychgate scan: [^\n]+\n$/);
  expect(r.stderr).toContain(line);
});
