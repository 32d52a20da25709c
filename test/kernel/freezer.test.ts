/** `lychgate freezer` with the freezers of this kernel. */
import { mkdtempSync, rmdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Ajv from 'ajv/dist/2020';
import { afterEach, describe, expect, test } from 'vitest';
import schema from '../../docs/schema/freezer.schema.json';
import type { FreezerReport, HierarchyReport } from '../../src/freezer';
import { FreezerError, inspectFreezer, thaw } from '../../src/freezer';
import { Cgroup, freezerMount, until, type Version } from '../support/cgroups';
import { fixture, lychgate, NODE, publicCopy, Running, run } from '../support/init';

const valid = new Ajv({ strict: true, allowUnionTypes: true, validateFormats: false }).compile(
  schema,
);

interface Answer {
  code: number | null;
  stderr: string;
  report: FreezerReport & { thawed?: string[]; refused?: string | null };
}

const command = (...args: string[]) => lychgate('freezer', '--format', 'json', ...args);

function answer(r: { code: number | null; stdout: string; stderr: string }): Answer {
  const report = JSON.parse(r.stdout);
  expect(valid(report), JSON.stringify(valid.errors)).toBe(true);
  return { code: r.code, stderr: r.stderr, report };
}

const freezer = (...args: string[]) => answer(run(command(...args)));

const of = (version: Version, { report }: Answer): HierarchyReport =>
  report.hierarchies.find((h) => h.version === version) as HierarchyReport;

const made: Cgroup[] = [];
function cgroup(version: Version, parent?: Cgroup): Cgroup {
  const c = new Cgroup(version, parent);
  if (!parent) made.push(c);
  return c;
}
afterEach(async () => {
  for (const c of made.splice(0)) await c.remove();
});

const alive = (pid: number) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

for (const version of [1, 2] as const) {
  const missing = freezerMount(version) === undefined;
  if (missing) console.log(`SKIP freezer v${version}: it is not mounted for writing here`);
  describe.skipIf(missing)(`v${version}`, () => {
    test('running', async () => {
      const c = cgroup(version);
      const pid = await c.start();
      const a = freezer(String(pid));
      expect(a).toMatchObject({
        code: 0,
        stderr: '',
        report: { state: 'running', frozenBy: null },
      });
      expect(of(version, a)).toMatchObject({ state: 'running', self: false, parent: false });
    });

    test('frozen by itself: named by pid, by path, by folder; thawed', async () => {
      const c = cgroup(version);
      const pid = await c.start();
      await c.freezeNow();
      for (const name of [String(pid), c.path, c.path.slice(1), c.directory]) {
        const a = freezer(name);
        expect(a).toMatchObject({ code: 1, report: { state: 'frozen', frozenBy: 'self' } });
        expect(of(version, a)).toMatchObject({
          path: c.path,
          directory: c.directory,
          self: true,
          parent: false,
        });
      }
      const t = freezer('--thaw', String(pid));
      expect(t).toMatchObject({
        code: 0,
        report: {
          state: 'running',
          thawed: [c.directory],
          refused: null,
          before: { state: 'frozen' },
        },
      });
      expect(c.frozen).toBe(false);
    });

    test('frozen by the parent: refused with its name, done with --ancestors', async () => {
      const top = cgroup(version);
      const c = cgroup(version, top);
      const pid = await c.start();
      await top.freezeNow();
      const a = freezer(String(pid));
      expect(a).toMatchObject({ code: 1, report: { state: 'frozen', frozenBy: 'ancestor' } });
      expect(of(version, a)).toMatchObject({ self: false, parent: true });
      expect(of(version, a).frozenAncestors.map((r) => r.path)).toEqual([top.path]);

      const refused = freezer('--thaw', String(pid));
      expect(refused).toMatchObject({ code: 3, report: { thawed: [], state: 'frozen' } });
      expect(refused.stderr).toContain(`frozen by its ancestor ${top.path}`);
      expect(top.frozen).toBe(true);

      expect(freezer('--thaw', '--ancestors', String(pid))).toMatchObject({
        code: 0,
        report: { thawed: [top.directory], state: 'running' },
      });
    });

    test('frozen by itself and by the grandparent', async () => {
      const top = cgroup(version);
      const c = cgroup(version, cgroup(version, top));
      const pid = await c.start();
      await c.freezeNow();
      await top.freezeNow();
      const a = freezer(String(pid));
      expect(a.report.frozenBy).toBe('both');
      expect(of(version, a).frozenAncestors.map((r) => r.path)).toEqual([top.path]);
      const half = freezer('--thaw', String(pid));
      expect(half).toMatchObject({
        code: 3,
        report: { thawed: [c.directory], frozenBy: 'ancestor' },
      });
      c.freeze();
      const whole = freezer('--thaw', '--ancestors', String(pid));
      expect(whole).toMatchObject({ code: 0, report: { thawed: [top.directory, c.directory] } });
    });

    test('frozen descendants are named with --recursive', async () => {
      const top = cgroup(version);
      const c = cgroup(version, top);
      const pid = await top.start();
      await c.start();
      await c.freezeNow();
      expect(freezer(String(pid))).toMatchObject({ code: 0, report: { state: 'running' } });
      const a = freezer('--recursive', String(pid));
      expect(a.code).toBe(1);
      expect(of(version, a).frozenDescendants).toMatchObject([
        { path: c.path, state: 'frozen', self: true },
      ]);
      const text = run(lychgate('freezer', '-r', String(pid)));
      expect(text.stdout).toContain(`below       ${c.path} (frozen)`);
    });

    test('an empty cgroup can be frozen and thawed', async () => {
      const c = cgroup(version);
      await c.freezeNow();
      expect(freezer(c.directory)).toMatchObject({ code: 1, report: { state: 'frozen' } });
      expect(freezer('--thaw', c.directory)).toMatchObject({ code: 0 });
    });

    test('the root cgroup', () => {
      const mount = freezerMount(version) as string;
      expect(freezer(mount)).toMatchObject({ code: 0, report: { state: 'root' } });
      const t = freezer('--thaw', mount);
      expect(t).toMatchObject({ code: 0, report: { thawed: [] } });
      expect(t.stderr).toContain('nothing to thaw');
    });

    test('a removed cgroup, a process that is gone', async () => {
      const c = cgroup(version);
      const pid = await c.start();
      await c.remove();
      const path = run(command(c.path));
      expect(path).toMatchObject({ code: 2, stdout: '' });
      expect(path.stderr).toMatch(/^lychgate freezer: there is no cgroup .*\n$/);
      await until(() => !alive(pid), 'sleep did not end');
      expect(run(command(String(pid))).stderr).toContain(`there is no process ${pid}`);
      expect(() => inspectFreezer(pid)).toThrow(FreezerError);
    });

    test('a cgroup that is removed while it is waited for', async () => {
      const c = cgroup(version);
      const waiting = new Running(command('--wait', '60', '--until', 'frozen', c.directory));
      await waiting.see(/waiting/, 'stderr');
      await c.remove();
      expect(answer(await waiting.ended).report.state).toBe('gone');
    });

    test('--wait: until thawed, until frozen, and the time over', async () => {
      const c = cgroup(version);
      await c.start();
      await c.freezeNow();
      const thawed = new Running(command('--wait', '60', c.directory));
      await thawed.see(/until it is thawed/, 'stderr');
      c.thaw();
      expect(answer(await thawed.ended)).toMatchObject({ code: 0, report: { state: 'running' } });
      const frozen = new Running(command('--wait', '60', '--until', 'frozen', c.directory));
      await frozen.see(/until it is frozen/, 'stderr');
      c.freeze();
      expect(answer(await frozen.ended)).toMatchObject({ code: 1, report: { state: 'frozen' } });
      const over = freezer('--wait', '0.05', '--until', 'thawed', c.directory);
      expect(over).toMatchObject({ code: 1, report: { state: 'frozen' } });
      expect(over.stderr).toContain('not thawed after 0.05 s');
    });

    test('read-only mount: refused, nothing written', async () => {
      const c = cgroup(version);
      const pid = await c.start();
      await c.freezeNow();
      const mount = freezerMount(version) as string;
      const script = `mount -o remount,bind,ro ${mount} && exec "$@"`;
      const r = run(['unshare', '-m', 'sh', '-c', script, 'sh', ...command('--thaw', String(pid))]);
      expect(r).toMatchObject({ code: 2, stdout: '' });
      expect(r.stderr).toContain('read-only');
      expect(c.frozen).toBe(true);
    });

    test('without root: it can be looked at, not thawed', async () => {
      const c = cgroup(version);
      const pid = await c.start();
      await c.freezeNow();
      const copy = publicCopy();
      const nobody = (...args: string[]) =>
        run([
          ...['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'],
          ...[NODE, copy.cli, 'freezer', '--format', 'json', ...args],
        ]);
      const look = answer(nobody(c.directory));
      expect(look).toMatchObject({ code: 1, report: { state: 'frozen', frozenBy: 'self' } });
      const t = nobody('--thaw', String(pid));
      copy.remove();
      expect(t).toMatchObject({ code: 2, stdout: '' });
      expect(t.stderr).toMatch(/may not write .* run it as root/);
      expect(c.frozen).toBe(true);
    });

    test('a process that moves between the look and the write: nothing is written', async () => {
      const from = cgroup(version);
      const to = cgroup(version);
      const pid = await from.start();
      await from.freezeNow();
      const attempt = thaw(pid, { onBefore: () => to.add(pid) });
      await expect(attempt).rejects.toThrow(
        `process ${pid} moved from ${from.path} to ${to.path} meanwhile; nothing was written`,
      );
      expect(from.read(version === 1 ? 'freezer.self_freezing' : 'cgroup.freeze')).toBe('1');
    });

    test('a freeze that cannot finish: the task that waits for a dead file system is named', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'lychgate-fuse-'));
      const fuse = new Running([fixture('deaf_fuse'), folder]);
      try {
        await fuse.see(/mounted/);
        const c = cgroup(version);
        const pid = await c.start(['cat', join(folder, 'file')]);
        await until(() => /request_wait|fuse/.test(wchan(pid)), 'cat does not hang');
        c.freeze();
        const a = freezer(String(pid));
        expect(a).toMatchObject({ code: 1, report: { state: 'freezing', frozenBy: 'self' } });
        expect(of(version, a).resisting).toMatchObject([{ tid: pid, comm: 'cat', state: 'D' }]);
        expect(of(version, a).advice).toContain('waits for a FUSE file system');
        expect(freezer('--thaw', String(pid))).toMatchObject({ code: 0 });
      } finally {
        fuse.child.stdin?.end();
        await fuse.ended;
        rmdirSync(folder);
      }
    });

    test('a cgroup that was made anew under its name: nothing is written', async () => {
      const c = cgroup(version);
      await c.freezeNow();
      let second: Cgroup | undefined;
      const attempt = thaw(c.directory, {
        onBefore: () => {
          run(['rmdir', c.directory]);
          run(['mkdir', c.directory]);
          second = c;
          c.freeze();
        },
      });
      await expect(attempt).rejects.toThrow('made anew');
      expect(second?.read(version === 1 ? 'freezer.self_freezing' : 'cgroup.freeze')).toBe('1');
    });
  });
}

const hybrid = freezerMount(1) !== undefined && freezerMount(2) !== undefined;
if (!hybrid) console.log('SKIP hybrid: not both freezers are mounted for writing here');

describe.skipIf(!hybrid)('hybrid', () => {
  test.each([
    [1, 2],
    [2, 1],
  ] as const)('frozen in v%i while v%i says /', async (version, other) => {
    const c = cgroup(version);
    const pid = await c.start();
    await c.freezeNow();
    const a = freezer(String(pid));
    expect(a).toMatchObject({ code: 1, report: { state: 'frozen', frozenBy: 'self' } });
    expect(of(other, a)).toMatchObject({ path: '/', state: 'root' });
  });

  test('frozen in both: one thaw for both', async () => {
    const one = cgroup(1);
    const two = cgroup(2);
    const pid = await one.start();
    two.add(pid);
    await one.freezeNow();
    two.freeze();
    expect(freezer('--thaw', String(pid))).toMatchObject({
      code: 0,
      report: { thawed: expect.arrayContaining([one.directory, two.directory]) },
    });
  });
});

/* Time is what is tested here: it has to pass. */
const pass = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe('the init notices that it was frozen', () => {
  const told = (line: string) => JSON.parse(line) as Record<string, unknown>;

  /** An init with the watch in a cgroup of its own, COMMAND running. */
  async function watching(version: Version): Promise<[Cgroup, Running]> {
    const c = cgroup(version);
    const inside = `echo $$ > ${c.directory}/cgroup.procs && exec "$@"`;
    const init = lychgate('--watch-freezer', '0.1', '--log-format', 'json', '-v', '--', 'cat');
    const r = new Running(['sh', '-c', inside, 'sh', ...init]);
    r.child.stdin?.write('up\n');
    await r.see(/up/);
    return [c, r];
  }

  for (const version of [1, 2] as const) {
    test.skipIf(freezerMount(version) === undefined)(`v${version}`, async () => {
      const [c, r] = await watching(version);
      await c.freezeNow();
      await pass(1000);
      c.thaw();
      const [line] = await r.see(/.*"event":"was-frozen".*/, 'stderr');
      r.child.stdin?.end();
      expect((await r.ended).code).toBe(0);
      const counted = run(['test', '-e', `${c.directory}/cgroup.stat.local`]).code === 0;
      expect(told(line)).toMatchObject({ level: 'warn', confirmed: counted });
      expect(told(line).seconds).toBeGreaterThanOrEqual(0.8);
    });
  }

  test.skipIf(freezerMount(2) === undefined)('a stop is not taken for it', async () => {
    const [c, r] = await watching(2);
    r.kill('SIGSTOP');
    await pass(1000);
    r.kill('SIGCONT');
    const [line] = await r.see(/.*"event":"(was-frozen|stood-still)".*/, 'stderr');
    r.child.stdin?.end();
    await r.ended;
    const counted = run(['test', '-e', `${c.directory}/cgroup.stat.local`]).code === 0;
    if (counted) expect(told(line)).toMatchObject({ event: 'stood-still', cause: 'stopped' });
    else expect(told(line)).toMatchObject({ event: 'was-frozen', confirmed: false });
  });
});

describe.skipIf(freezerMount(1) === undefined)('v1 only', () => {
  /* Whether a vfork parent can be frozen where it sleeps depends on the kernel, and on 6.12
   * and newer on whether the scheduler has taken it from its queue: both ends are right. */
  test('a vfork parent: what the kernel says is told, and thawing undoes it', async () => {
    const c = cgroup(1);
    const r = new Running([fixture('vfork_parent')]);
    await until(() => /fork|clone/.test(wchan(r.pid)), 'it does not sleep in vfork');
    for (const pid of [r.pid, ...children(r.pid)]) c.add(pid);
    c.freeze();
    const a = freezer(String(r.pid));
    const kernel = c.read('freezer.state') === 'FROZEN' ? 'frozen' : 'freezing';
    expect(a).toMatchObject({ code: 1, report: { state: kernel, frozenBy: 'self' } });
    const named = of(1, a).resisting.map((t) => t.tid);
    expect(named).toEqual(kernel === 'freezing' ? [r.pid] : []);
    expect(freezer('--thaw', String(r.pid))).toMatchObject({
      code: 0,
      report: { before: { state: kernel }, state: 'running' },
    });
  });

  test('a SIGKILL that waits in a frozen process takes effect after the thaw', async () => {
    const c = cgroup(1);
    const pid = await c.start();
    await c.freezeNow();
    process.kill(pid, 'SIGKILL');
    expect(freezer(String(pid)).report.state).toBe('frozen');
    expect(alive(pid)).toBe(true);
    run(command('--thaw', c.directory));
    await until(() => !alive(pid), 'it did not die');
  });
});

describe.skipIf(freezerMount(2) === undefined)('v2 only', () => {
  test('how long it stood still, where the kernel tells', async () => {
    const c = cgroup(2);
    await c.start();
    await c.freezeNow();
    const told = /^frozen_usec (\d+)/m.exec(
      run(['cat', `${c.directory}/cgroup.stat.local`]).stdout,
    );
    const seconds = of(2, freezer(c.directory)).frozenSeconds;
    if (told) expect(seconds).toBeGreaterThanOrEqual(Number(told[1]) / 1e6);
    else expect(seconds).toBeNull();
  });
});

function children(pid: number): number[] {
  const r = run(['cat', `/proc/${pid}/task/${pid}/children`]);
  return r.stdout.split(' ').filter(Boolean).map(Number);
}

const wchan = (pid: number) => run(['cat', `/proc/${pid}/wchan`]).stdout;

test('no argument: where we run ourselves', () => {
  expect(freezer()).toMatchObject({
    code: 0,
    report: { target: { kind: 'self', argument: null } },
  });
});

test.each([
  [['--bad'], "Unknown option '--bad'"],
  [['1', '2'], 'one PID, cgroup or container at a time'],
  [['--wait', 'x'], '--wait must be a number of seconds'],
  [['--wait'], '--wait'],
  [['--until', 'frozen'], '--until goes with --wait'],
  [['--wait', '1', '--until', 'x'], '--until must be frozen or thawed'],
  [['--ancestors'], '--ancestors goes with --thaw'],
  [['--format', 'xml'], '--format must be text or json'],
  [['--root', 'x'], '--root must be an absolute path'],
  [['--root', '/nonexistent'], '/nonexistent/proc/1/mountinfo'],
  [[''], 'the argument is empty'],
  [['4194303'], 'there is no process'],
  [['fffffffffffff'], 'no PID, no cgroup and no container id'],
])('bad input %j: exit 2 and one line', (args, line) => {
  const r = run(lychgate('freezer', ...args));
  expect(r).toMatchObject({ code: 2, stdout: '' });
  expect(r.stderr).toMatch(/^lychgate freezer: [^\n]+\n$/);
  expect(r.stderr).toContain(line);
});

test('a command called freezer is run behind --', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lychgate-path-'));
  writeFileSync(join(folder, 'freezer'), '#!/bin/sh\nexit 7\n', { mode: 0o755 });
  const r = run(lychgate('--', 'freezer'), {
    env: { PATH: `${folder}:${process.env.PATH}` },
  });
  run(['rm', '-r', folder]);
  expect(r.code).toBe(7);
});
