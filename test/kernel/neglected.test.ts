/** Zombies of a living parent: `lychgate reap`, scan's action, and --neglected of the init. */
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Ajv from 'ajv/dist/2020';
import { describe, expect, test } from 'vitest';
import schema from '../../docs/schema/reap.schema.json';
import type { FamilyReport, ReapReport } from '../../src/reap';
import { Cgroup, freezerMount, until } from '../support/cgroups';
import { LIVE_FORMS } from '../support/forms';
import { fixture, lychgate, NODE, publicCopy, ROOT, Running, run, UNSHARE } from '../support/init';
import { cleanupAfterEach, startHelper, stateOf } from '../support/processes';

const valid = new Ajv({ strict: true, allowUnionTypes: true, validateFormats: false }).compile(
  schema,
);
const cleanup = cleanupAfterEach();

async function start(argv: readonly string[], ready: RegExp): Promise<[Running, number[]]> {
  const [r, [line]] = await startHelper(cleanup, argv, ready);
  return [r, (line.match(/\d+/g) ?? []).map(Number)];
}

/** The parent, and its zombies, which ended with 3. */
async function parentOf(count: number, program = fixture('zombies')): Promise<[Running, number[]]> {
  const [r, numbers] = await start([program, String(count)], /^\d+( \d+)+$/m);
  return [r, numbers.slice(1)];
}

/** The same under another name. */
function named(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'lychgate-named-'));
  cleanup.push(() => rmSync(folder, { recursive: true }));
  copyFileSync(fixture('zombies'), join(folder, name));
  return join(folder, name);
}

const reap = (...args: string[]) => run(lychgate('reap', ...args));
function report(...args: string[]): { code: number | null; report: ReapReport } {
  const r = reap('--format', 'json', ...args);
  expect(r.stderr).toBe('');
  const json = JSON.parse(r.stdout);
  expect(valid(json), JSON.stringify(valid.errors)).toBe(true);
  return { code: r.code, report: json };
}
function only(answer: { report: ReapReport }): FamilyReport {
  expect(answer.report.families).toHaveLength(1);
  return answer.report.families[0] as FamilyReport;
}
const NOW = ['--min-age', '0'];

describe('lychgate reap', () => {
  test('all zombies of a parent, each with how it ended; the parent lives', async () => {
    const [r, pids] = await parentOf(5);
    const did = reap(...NOW, String(r.pid));
    expect(did).toMatchObject({ code: 0, stderr: '' });
    expect(did.stdout).toMatch(
      /^reaped 5 zombies of \d+ \(zombies\): 5 with exit status 3; it stood still \d+ times?, for \d+\.\d\d ms at most$/m,
    );
    for (const pid of pids) expect(did.stdout).toContain(`  ${pid} (zombies): exit status 3\n`);
    expect(pids.map(stateOf)).toEqual(pids.map(() => undefined));
    expect(stateOf(r.pid)).toMatch(/[RS]/);
    r.child.stdin?.end();
    expect((await r.ended).code).toBe(0);
  });

  test('one zombie, and no other', async () => {
    const [, [first = 0, ...others]] = await parentOf(3);
    const family = only(report(...NOW, String(first)));
    expect(family.reaped).toEqual([{ pid: first, comm: 'zombies', code: 3, signal: null }]);
    expect(others.map(stateOf)).toEqual(['Z', 'Z']);
  });

  test('5,000 of them', async () => {
    const [r] = await parentOf(5000);
    const family = only(report(...NOW, String(r.pid)));
    expect(family).toMatchObject({ refused: null, left: [] });
    expect(family.reaped).toHaveLength(5000);
  });

  test('in another PID namespace, by the numbers of this one', async () => {
    const [r] = await start([...UNSHARE, fixture('zombies'), '3'], /^1( \d+)+$/m);
    const children = readFileSync(`/proc/${r.pid}/task/${r.pid}/children`, 'latin1');
    const family = only(report(...NOW, children.trim()));
    expect(family).toMatchObject({ refused: null, parent: { isInit: true } });
    expect(family.reaped).toHaveLength(3);
  });

  test('--dry-run: says what it would do', async () => {
    const [r, pids] = await parentOf(2);
    const would = reap(...NOW, '-n', String(r.pid));
    expect(would).toMatchObject({ code: 0, stderr: '' });
    expect(would.stdout).toContain('would reap 2 zombies');
    expect(pids.map(stateOf)).toEqual(['Z', 'Z']);
  });

  test('--min-age: looks, waits, looks again', async () => {
    const [r] = await parentOf(2);
    const answer = report('--min-age', '0.3', String(r.pid));
    expect(answer.code).toBe(0);
    expect(only(answer).reaped).toHaveLength(2);
  });

  test('a parent that waits for others in between is slow, not negligent', async () => {
    const argv = ['python3', join(ROOT, 'test', 'fixtures', 'slow_parent.py')];
    const [r, pids] = await start(argv, /^ready( \d+){3}$/m);
    const looking = new Running(lychgate('reap', '--min-age', '2', String(r.pid)));
    /* again and again, so that one falls between its two looks */
    const ended = looking.ended.then(() => true);
    do {
      r.child.stdin?.write('\n');
      await r.see(/waited\n$/);
    } while (!(await Promise.race([ended, new Promise((go) => setTimeout(go, 50, false))])));
    const { code, stdout } = await looking.ended;
    expect(code).toBe(1);
    expect(stdout).toMatch(/refused for \d+ \(python3.*\): it has a handler for SIGCHLD.*slow/);
    expect(pids.map(stateOf)).toEqual(['Z', 'Z', 'Z']);
    const forced = only(report('--force', String(r.pid)));
    expect(forced.reaped.map((z) => z.code)).toEqual([0, 1, 2]);
  });

  test('a stopped parent: refused, --force too, and it stays stopped', async () => {
    const [r, pids] = await parentOf(2);
    r.kill('SIGSTOP');
    await until(() => stateOf(r.pid) === 'T', 'it does not stop');
    const family = only(report('--force', String(r.pid)));
    expect(family.refused).toContain(`kill -CONT ${r.pid}`);
    expect(stateOf(r.pid)).toBe('T');
    expect(pids.map(stateOf)).toEqual(['Z', 'Z']);
  });

  for (const version of [1, 2] as const) {
    test.runIf(freezerMount(version))(`a frozen parent, cgroup v${version}: refused`, async () => {
      const [r, pids] = await parentOf(2);
      const cgroup = new Cgroup(version);
      cleanup.push(() => cgroup.remove());
      cgroup.add(r.pid);
      await cgroup.freezeNow();
      const family = only(report('--force', String(r.pid)));
      expect(family.refused).toContain(`lychgate freezer ${r.pid}`);
      expect(pids.map(stateOf)).toEqual(['Z', 'Z']);
    });
  }

  test.each([
    ['containerd-shim', 'the shim of a container'],
    ['conmon', 'the shim of a container'],
    ['cron', 'a daemon of the machine'],
    ['gdb', 'a debugger'],
  ])('a parent named %s: refused, --force too', async (name, why) => {
    const [r, pids] = await parentOf(2, named(name));
    const answer = report('--force', String(r.pid));
    expect(answer.code).toBe(1);
    expect(only(answer).refused).toContain(why);
    expect(pids.map(stateOf)).toEqual(['Z', 'Z']);
  });

  test('another user: refused, with what it needs', async () => {
    const [r, pids] = await parentOf(2);
    const copy = publicCopy();
    cleanup.push(copy.remove);
    const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
    const did = run([...nobody, NODE, copy.cli, 'reap', ...NOW, String(r.pid)]);
    expect(did.code).toBe(1);
    expect(did.stdout).toContain('CAP_SYS_PTRACE');
    expect(pids.map(stateOf)).toEqual(['Z', 'Z']);
  });

  test('what is no zombie and has none, and what is not there', () => {
    const did = reap(...NOW, String(process.pid), '4194304');
    expect(did.code).toBe(1);
    expect(did.stdout).toContain('is no zombie and has none');
    expect(did.stdout).toContain('4194304: there is no such process');
  });

  test('--audit: who, what, how they ended', async () => {
    const [r] = await parentOf(2);
    const folder = mkdtempSync(join(tmpdir(), 'lychgate-audit-'));
    cleanup.push(() => rmSync(folder, { recursive: true }));
    reap(...NOW, '--audit', join(folder, 'audit'), String(r.pid));
    expect(JSON.parse(readFileSync(join(folder, 'audit'), 'utf8'))).toMatchObject({
      action: 'reap',
      target: { pid: r.pid, comm: 'zombies' },
      reaped: [{ code: 3 }, { code: 3 }],
      refused: null,
    });
    const blocked = await parentOf(1);
    const not = reap(...NOW, '--audit', '/nonexistent/audit', String(blocked[0].pid));
    expect(not.code).toBe(2);
    expect(not.stderr).toContain('so nothing is done');
    expect(stateOf(blocked[1][0] as number)).toBe('Z');
  });

  test.each([
    [[], 'no PID given'],
    [['x'], "PID must be a whole number from 1, not 'x'"],
    [['0'], "PID must be a whole number from 1, not '0'"],
    [['--min-age', '-1', '1'], '--min-age'],
    [['--format', 'xml', '1'], '--format must be text or json'],
    [['--bogus', '1'], '--bogus'],
  ])('bad usage: %j', (args, said) => {
    const did = reap(...args);
    expect(did).toMatchObject({ code: 2, stdout: '' });
    expect(did.stderr).toContain(said);
    expect(did.stderr.trimEnd()).not.toContain('\n');
  });
});

describe('scan --action reap', () => {
  const scan = (pid: number, ...args: string[]) =>
    run(lychgate('scan', '--hold', '0', '--pid', String(pid), '--action', 'reap', ...args));

  test('without --yes nothing happens; with it they are gone, and it is written down', async () => {
    const [r, pids] = await parentOf(3);
    expect(scan(r.pid, ...NOW).stderr).toMatch(/would reap 3 of the zombies.*--yes does it/);
    expect(pids.map(stateOf)).toEqual(['Z', 'Z', 'Z']);
    const folder = mkdtempSync(join(tmpdir(), 'lychgate-audit-'));
    cleanup.push(() => rmSync(folder, { recursive: true }));
    const did = scan(r.pid, ...NOW, '--yes', '--audit', join(folder, 'audit'));
    expect(did.stderr).toMatch(/reaped 3 zombies of \d+ \(zombies\): 3 with exit status 3/);
    expect(pids.map(stateOf)).toEqual([undefined, undefined, undefined]);
    expect(JSON.parse(readFileSync(join(folder, 'audit'), 'utf8'))).toMatchObject({
      action: 'reap',
      result: 'reaped 3, left 0',
      finding: { class: 'negligent-parent', count: 3 },
    });
  });

  test('a shim: refused', async () => {
    const [r, pids] = await parentOf(1, named('containerd-shim'));
    expect(scan(r.pid, '--force', '--yes').stderr).toContain('reap refused');
    expect(pids.map(stateOf)).toEqual(['Z']);
  });
});

describe.each(LIVE_FORMS)('--neglected: $name', ({ addon, lychgate, asPid1 }) => {
  const warn = addon ? [] : ['--neglected=warn']; /* the default of one form only */
  /** A parent below the init that makes zombies when told to. */
  const init = (...options: string[]) =>
    new Running(asPid1('--log-format=json', ...options, '--', fixture('busy_parent'), 'sleep'));
  const make = async (r: Running, count: number, nth: number) => {
    r.child.stdin?.write(`zombies ${count}\n`);
    await r.see(new RegExp(`(?:made ${count}[ \\d]*\n[\\s\\S]*){${nth}}`));
  };
  const events = (r: Running, kind: string) =>
    r.stderr
      .split('\n')
      .filter((line) => line.includes(`"event":"${kind}"`))
      .map((line) => JSON.parse(line));
  const end = async (r: Running) => {
    r.child.stdin?.end();
    return await r.ended;
  };

  test('warn: once for a parent, and again when they have doubled', async () => {
    const r = init(...warn, '--neglected-after', '0.3');
    await make(r, 2, 1);
    await r.see(/"event":"neglected".*"count":2/, 'stderr');
    await make(r, 3, 1);
    await r.see(/"event":"neglected".*"count":5/, 'stderr');
    const told = events(r, 'neglected');
    expect(told.map((e) => e.count)).toEqual([2, 5]);
    expect(told[0]).toMatchObject({
      level: 'warn',
      parent: { comm: 'busy_parent' },
      limit: { name: expect.any(String) },
      message: expect.stringMatching(/does not wait for its children: 2 zombies.*To mend: /),
    });
    r.child.stdin?.write('check\n');
    await r.see(/^ok/m);
    expect(await end(r)).toMatchObject({ code: 0 });
  });

  test('reap: again and again, and the parent notices nothing', async () => {
    const r = init('--neglected=reap', '--neglected-after', '0.3');
    for (const nth of [1, 2, 3]) {
      await make(r, 4, nth);
      await r.see(
        new RegExp(`(?:"event":"neglected-reaped".*"count":4.*\n[\\s\\S]*){${nth}}`),
        'stderr',
      );
    }
    expect(events(r, 'neglected-refused')).toEqual([]);
    r.child.stdin?.write('check\n');
    await r.see(/^ok/m);
    expect(await end(r)).toMatchObject({ code: 0 });
  });

  test('reap: with the process gone that was kept for it', async () => {
    const r = init('--neglected=reap', '--neglected-after', '0.3');
    await make(r, 1, 1);
    await r.see(/neglected-reaped/, 'stderr');
    const kept = () => pidsNamed('lychgate-reap').find((pid) => isBelow(pid, r.pid));
    const first = kept() as number;
    process.kill(first, 'SIGKILL');
    await make(r, 1, 2);
    await r.see(/(?:neglected-reaped[\s\S]*){2}/, 'stderr');
    expect(kept()).not.toBe(first);
    expect(await end(r)).toMatchObject({ code: 0 });
  });

  test('reap: nothing is kept when COMMAND has ended, and --drain does not wait for us', async () => {
    const r = run(lychgate('--neglected=reap', '--drain', '30', '-s', '--', 'sh', '-c', 'exit 7'));
    expect(r).toMatchObject({ code: 7, stderr: '' });
    const one = run(asPid1('--neglected=reap', '--drain', '30', '--', 'sh', '-c', 'exit 8'));
    expect(one).toMatchObject({ code: 8, stderr: '' });
  });

  test('ignore: not a word', async () => {
    const r = init('--neglected=ignore', '--neglected-after', '0.1');
    await make(r, 2, 1);
    /* another init, started later and with a longer time, speaks: so this one had its chance */
    const other = init(...warn, '--neglected-after', '0.5');
    await make(other, 2, 1);
    await other.see(/"event":"neglected"/, 'stderr');
    expect(await end(r)).toMatchObject({ code: 0, stderr: '' });
    await end(other);
  });

  test('a subreaper looks at its own descendants only', async () => {
    const [, strangers] = await parentOf(3);
    const r = new Running(
      lychgate(
        '--log-format=json',
        '--neglected=reap',
        '--neglected-after=0.3',
        '--',
        fixture('busy_parent'),
        'sleep',
      ),
    );
    await make(r, 2, 1);
    await r.see(/neglected-reaped/, 'stderr');
    expect(events(r, 'neglected-reaped').map((e) => e.parent.comm)).toEqual(['busy_parent']);
    expect(strangers.map(stateOf)).toEqual(['Z', 'Z', 'Z']);
    expect(await end(r)).toMatchObject({ code: 0 });
  });

  test.each([
    [['--neglected=maybe'], "--neglected must be warn, reap, ignore, not 'maybe'"],
    [['--neglected-after=soon'], '--neglected-after must be a number of seconds'],
  ])('bad usage: %j', (options, said) => {
    const r = run(lychgate(...options, '--', 'true'));
    expect(r.code).toBe(2);
    expect(r.stderr).toContain(said);
  });
});

function pidsNamed(name: string): number[] {
  return readdirSync('/proc')
    .filter((d) => /^\d+$/.test(d))
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/comm`, 'latin1') === `${name}\n` && stateOf(pid) !== 'Z';
      } catch {
        return false;
      }
    });
}

function isBelow(pid: number, ancestor: number): boolean {
  for (let at = pid; at > 1; ) {
    const text = readFileSync(`/proc/${at}/stat`, 'latin1');
    at = Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1]);
    if (at === ancestor) return true;
  }
  return false;
}
