/** What cannot be made on a test machine: trees of files that stand in for a node. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { type Finding, Scanner, type ScanReport } from '../../../src/scan';
import { formatTable } from '../../../src/scan/table';
import { formatTree } from '../../../src/scan/tree';
import { type Entry, removeTrees, stat, tree } from '../../support/tree';

afterEach(removeTrees);

const ID = 'cb1eadb7abe3a6545e9856411207073277838e1bdc003337c2f8685faeedc32c';
const UID = '74ba62da-1a3d-11e7-bb11-080027cb0e22';

/** A process of the tree. */
function process(
  pid: number,
  comm: string,
  about: {
    state?: string;
    ppid?: number;
    start?: number;
    threads?: number;
    status?: string;
    cgroup?: string;
  } = {},
): Record<string, Entry> {
  const { status = '', cgroup = '0::/\n', ...rest } = about;
  return {
    [`/proc/${pid}/stat`]: stat(pid, comm, rest),
    [`/proc/${pid}/status`]: `Name:\t${comm}\nThreads:\t${rest.threads ?? 1}\n${status}`,
    [`/proc/${pid}/cgroup`]: cgroup,
    [`/proc/${pid}/cmdline`]: `/bin/${comm}\0--flag\0`,
  };
}

/** Two looks, and what may happen in between. */
function looks(root: string, between: () => void = () => {}, options = {}): ScanReport {
  const scanner = new Scanner({ root, ...options });
  scanner.look();
  between();
  return scanner.look();
}

const findings = (report: ScanReport) => report.findings.map((f: Finding) => [f.class, f.count]);

describe('the same at both looks', () => {
  const files = {
    ...process(1, 'systemd', { ppid: 0, start: 1 }),
    ...process(50, 'app', { start: 500 }),
    ...process(60, 'ls', { state: 'Z', ppid: 50 }),
    ...process(61, 'ls', { state: 'Z', ppid: 50 }),
  };

  test('a pid that was used again in between is not confirmed', () => {
    const root = tree(files);
    const reuse = () =>
      writeFileSync(
        join(root, 'proc/60/stat'),
        stat(60, 'cat', { state: 'Z', ppid: 50, start: 2000 }),
      );
    const report = looks(root, reuse);
    expect(report).toMatchObject({ zombies: 1, processes: 4 });
    expect(report.findings[0]?.processes).toMatchObject([{ pid: 61 }]);
  });

  test('one that was reaped in between is not told', () => {
    const root = tree(files);
    const report = looks(root, () => rmSync(join(root, 'proc/61'), { recursive: true }));
    expect(report.zombies).toBe(1);
  });

  test('one that became a zombie in between is not told yet', () => {
    const root = tree({ ...files, ...process(62, 'ps', { ppid: 50 }) });
    const die = () =>
      writeFileSync(join(root, 'proc/62/stat'), stat(62, 'ps', { state: 'Z', ppid: 50 }));
    expect(looks(root, die).zombies).toBe(2);
  });

  test('its parent changed in between: it is still the same zombie, of the new one', () => {
    const root = tree(files);
    const adopt = () => {
      for (const pid of [60, 61]) {
        writeFileSync(join(root, `proc/${pid}/stat`), stat(pid, 'ls', { state: 'Z', ppid: 1 }));
      }
    };
    expect(findings(looks(root, adopt))).toEqual([['host-daemon', 2]]);
  });
});

describe('classes', () => {
  const base = { ...process(1, 'systemd', { ppid: 0, start: 1 }) };
  const zombie = (pid: number, ppid: number, more = {}) =>
    process(pid, 'x', { state: 'Z', ppid, ...more });

  test.each([
    ['app', {}, 'negligent-parent'],
    ['app', { state: 'T' }, 'parent-stopped'],
    ['app', { state: 't', status: 'TracerPid:\t9\n' }, 'parent-stopped'],
    ['app', { state: 'D' }, 'parent-stuck'],
    ['containerd-shim', {}, 'shim-owned'],
    ['conmon', {}, 'shim-owned'],
    ['kubelet', {}, 'host-daemon'],
    ['dockerd', {}, 'host-daemon'],
    /* whoever calls itself so inside of a container is no daemon of the machine */
    ['kubelet', { cgroup: `0::/docker/${ID}\n` }, 'negligent-parent'],
  ] as const)('parent %s %j: %s', (comm, about, expected) => {
    const root = tree({
      ...base,
      ...process(50, comm, { start: 10, ...about }),
      ...zombie(60, 50),
    });
    const found = looks(root).findings.find((f) => f.state === 'Z');
    expect(found?.class).toBe(expected);
  });

  test('traced by a stranger', () => {
    const status = 'TracerPid:\t77\n';
    const root = tree({
      ...base,
      ...process(50, 'app', { start: 10 }),
      ...zombie(60, 50, { status }),
    });
    expect(looks(root).findings[0]).toMatchObject({
      class: 'traced',
      advice: expect.stringContaining('77'),
    });
  });

  test('the parent is outside of what is seen', () => {
    const root = tree({ ...base, ...zombie(60, 0) });
    expect(looks(root).findings[0]).toMatchObject({ class: 'host-daemon', parent: null });
  });

  test('a first thread that has exited, with threads alive, and with one in D', () => {
    const task = (pid: number, tid: number, state: string): Record<string, Entry> => ({
      [`/proc/${pid}/task/${tid}/stat`]: stat(tid, 'x', { state }),
    });
    const root = tree({
      ...base,
      ...process(50, 'app', { start: 10 }),
      ...zombie(60, 50, { threads: 2 }),
      ...task(60, 60, 'Z'),
      ...task(60, 63, 'S'),
      ...zombie(61, 50, { threads: 2 }),
      ...task(61, 61, 'Z'),
      ...task(61, 64, 'D'),
      ...zombie(62, 50, { threads: 2 }),
      ...task(62, 62, 'Z'),
    });
    const report = looks(root, () => {}, { states: ['Z'] });
    expect(report.zombies).toBe(2);
    expect(Object.fromEntries(findings(report))).toEqual({
      'leader-alive': 1,
      'leader-stuck': 1,
      'negligent-parent': 1,
    });
  });

  test('D: stuck when it did not run between the looks, else busy', () => {
    const switches = (n: number) =>
      `voluntary_ctxt_switches:\t${n}\nnonvoluntary_ctxt_switches:\t1\n`;
    const root = tree({
      ...base,
      ...process(70, 'dd', { state: 'D', start: 10, status: switches(5) }),
      ...process(71, 'nfs', { state: 'D', start: 10, status: switches(5) }),
    });
    const run = () => writeFileSync(join(root, 'proc/70/status'), switches(6));
    const report = looks(root, run);
    expect(report.stuck).toBe(1);
    expect(report.findings.map((f) => [f.processes[0]?.comm, f.class])).toEqual(
      expect.arrayContaining([
        ['dd', 'd-busy'],
        ['nfs', 'd-stuck'],
      ]),
    );
  });
});

describe('whose it is', () => {
  test('a pod, by the mounts of the parent and the log links: no engine to ask', () => {
    const path = `/kubepods.slice/kubepods-pod${UID.replaceAll('-', '_')}.slice/cri-containerd-${ID}.scope`;
    const root = tree({
      ...process(1, 'systemd', { ppid: 0, start: 1 }),
      ...process(50, 'crawler', { start: 10, cgroup: `0::${path}\n`, status: 'NSpid:\t50\t1\n' }),
      ...process(60, 'chrome', { state: 'Z', ppid: 50, cgroup: `0::${path} (deleted)\n` }),
      [`/var/log/containers/crawler-5d9_prod_web-${ID}.log`]: '',
    });
    const report = looks(root);
    expect(report.findings[0]).toMatchObject({
      container: { id: ID, podUid: UID, pod: 'crawler-5d9', namespace: 'prod', name: 'web' },
      parent: { isInit: true, command: '/bin/crawler --flag' },
      advice: expect.stringContaining("container's first process does not reap"),
    });
    expect(formatTable(report, false)).toContain('prod/crawler-5d9/web');
  });

  test('which limit is near', () => {
    const files = {
      '/proc/1/mountinfo': '30 20 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n',
      ...process(1, 'systemd', { ppid: 0, start: 1 }),
      ...process(50, 'app', { start: 10, cgroup: '0::/pod/app\n' }),
      ...process(60, 'x', { state: 'Z', ppid: 50 }),
      '/sys/fs/cgroup/pod/pids.max': '100\n',
      '/sys/fs/cgroup/pod/pids.current': '97\n',
      '/sys/fs/cgroup/pod/app/pids.max': 'max\n',
      '/sys/fs/cgroup/pod/app/pids.current': '90\n',
      '/proc/loadavg': '0.1 0.1 0.1 1/120 99\n',
      '/proc/sys/kernel/pid_max': '32768\n',
    };
    const report = looks(tree(files));
    expect(report.findings[0]?.limit).toEqual({
      name: 'pids.max',
      current: 97,
      max: 100,
      of: '/pod',
    });
    expect(formatTable(report, false)).toContain(
      'near its limit: pids.max 97 of 100 (97 %) in /pod',
    );
  });
});

describe('what a process may call itself', () => {
  const hostile = ['a) Z 1 (b', 'line\nbreak', '\x1b[2J', '(', ')', '', '\xff\xfe', 'x'.repeat(15)];

  test.each(hostile)('%j: found, and harmless in the output', (comm) => {
    const root = tree({
      ...process(1, 'systemd', { ppid: 0, start: 1 }),
      ...process(50, comm, { start: 10 }),
      ...process(60, comm, { state: 'Z', ppid: 50 }),
    });
    const report = looks(root);
    expect(report.zombies).toBe(1);
    for (const text of [formatTable(report, false), formatTree(report, false)]) {
      expect(text).not.toContain('\x1b');
      expect(text.split('\n')[0]).toBe(
        '1 zombie of 1 parent (3 processes, held 0 s)'.replace(
          'held 0 s',
          `held ${report.holdSeconds} s`,
        ),
      );
    }
  });

  test('rubbish among the processes is counted, and stops nothing', () => {
    const root = tree({
      ...process(1, 'systemd', { ppid: 0, start: 1 }),
      ...process(50, 'app', { start: 10 }),
      ...process(60, 'x', { state: 'Z', ppid: 50 }),
      '/proc/70/stat': 'nonsense\n',
      '/proc/71/stat': '',
      '/proc/72/status': 'no stat at all\n',
      '/proc/self/stat': 'not a number\n',
    });
    const report = looks(root);
    expect(report.zombies).toBe(1);
    expect(report.blind.join('\n')).toContain('stat file of another form');
  });
});

test('400,000 zombies of one parent: one row, 80 columns', () => {
  const count = 400_000;
  const report: ScanReport = {
    schemaVersion: 1,
    time: '2026-01-01T00:00:00.000Z',
    host: 'node',
    holdSeconds: 10,
    processes: count + 100,
    zombies: count,
    stuck: 0,
    frozen: 0,
    findings: [
      {
        state: 'Z',
        class: 'negligent-parent',
        count,
        processes: [{ pid: 4194000, tid: null, startTicks: 5, comm: 'chrome_crashpad' }],
        parent: {
          pid: 4194303,
          tid: null,
          startTicks: 1,
          comm: 'chrome_crashpad',
          state: 'S',
          command: 'x'.repeat(4000),
          isInit: false,
          handlesSigchld: null,
        },
        container: {
          id: ID,
          runtime: 'containerd',
          name: 'a-container-of-a-rather-long-name',
          image: null,
          pod: 'a-deployment-of-a-long-name-5d9f8c7b6-abcde',
          namespace: 'a-namespace-of-a-long-name',
          podUid: UID,
        },
        seenSeconds: 360_000,
        limit: { name: 'kernel.pid_max', current: count, max: 4194304, of: null },
        where: null,
        advice: 'mend it',
      },
    ],
    limit: null,
    blind: [],
  };
  const table = formatTable(report, false);
  expect(Math.max(...table.split('\n').map((l) => l.length))).toBeLessThanOrEqual(80);
  expect(table).toMatch(/^400000 zombies of 1 parent/);
  expect(table).toContain('4194303 chrome_crashp');
});
