/** What the kernel of the test machine cannot be made to say: fixture trees. */
import { afterEach, describe, expect, test } from 'vitest';
import { inspectFreezer } from '../../../src/freezer';
import { parseMountinfo, visibleMounts } from '../../../src/procfs';
import { type Entry, removeTrees, stat, tree } from '../../support/tree';

afterEach(removeTrees);

const V1 = '/sys/fs/cgroup/freezer';
const mount = (id: number, parent: number, root: string, point: string, fs: string) =>
  `${id} ${parent} 0:${id} ${root} ${point} rw,relatime shared:1 - ${fs}\n`;
const v1Mount = mount(30, 20, '/', V1, 'cgroup cgroup rw,freezer');
const v2Mount = mount(31, 20, '/', '/sys/fs/cgroup/unified', 'cgroup2 cgroup2 rw');

const v1 = (dir: string, state: string, self: 0 | 1, parent: 0 | 1): Record<string, Entry> => ({
  [`${dir}/freezer.state`]: `${state}\n`,
  [`${dir}/freezer.self_freezing`]: `${self}\n`,
  [`${dir}/freezer.parent_freezing`]: `${parent}\n`,
  [`${dir}/cgroup.procs`]: '',
});
const v2 = (dir: string, freeze: 0 | 1, frozen: 0 | 1): Record<string, Entry> => ({
  [`${dir}/cgroup.freeze`]: `${freeze}\n`,
  [`${dir}/cgroup.events`]: `populated 1\nfrozen ${frozen}\n`,
  [`${dir}/cgroup.procs`]: '',
});

describe('v1: every state with every request', () => {
  test.each([
    ['THAWED', 0, 0, 'running', null, 'not frozen'],
    ['FREEZING', 1, 0, 'freezing', 'self', 'Waiting does not help'],
    ['FREEZING', 0, 1, 'freezing', 'ancestor', 'Frozen there: /a'],
    ['FREEZING', 1, 1, 'freezing', 'both', 'Waiting does not help'],
    ['FROZEN', 1, 0, 'frozen', 'self', 'frozen by itself. To thaw: '],
    ['FROZEN', 0, 1, 'frozen', 'ancestor', 'frozen by an ancestor. Frozen there: /a'],
    ['FROZEN', 1, 1, 'frozen', 'both', 'frozen by itself and by an ancestor'],
    ['FROZEN', 0, 0, 'frozen', null, 'no request for it is to be seen'],
  ] as const)('%s self=%i parent=%i', (state, self, parent, expected, by, advice) => {
    const root = tree({
      '/proc/1/mountinfo': v1Mount,
      ...v1(`${V1}/a`, parent ? 'FROZEN' : 'THAWED', parent, 0),
      ...v1(`${V1}/a/b`, state, self, parent),
    });
    const report = inspectFreezer('/a/b', { root });
    expect(report).toMatchObject({ state: expected, frozenBy: by });
    const [h] = report.hierarchies;
    expect(h?.advice).toContain(advice);
    expect(h?.frozenAncestors.map((a) => a.path)).toEqual(parent ? ['/a'] : []);
  });

  test('before Linux 3.8 there is freezer.state alone: whoever is frozen was asked', () => {
    const root = tree({ '/proc/1/mountinfo': v1Mount, [`${V1}/a/freezer.state`]: 'FROZEN\n' });
    expect(inspectFreezer('/a', { root }).hierarchies[0]).toMatchObject({
      self: true,
      parent: null,
    });
  });
});

describe('v2: every state with every request', () => {
  test.each([
    [0, 0, 0, 'running', null],
    [1, 1, 0, 'frozen', 'self'],
    [1, 0, 0, 'freezing', 'self'],
    [0, 1, 1, 'frozen', 'ancestor'],
    [0, 0, 1, 'freezing', 'ancestor'],
    [1, 1, 1, 'frozen', 'both'],
    [0, 1, 0, 'frozen', 'ancestor'] /* asked for above what is mounted */,
  ] as const)('freeze=%i frozen=%i, ancestor=%i', (freeze, frozen, above, state, by) => {
    const root = tree({
      '/proc/1/mountinfo': v2Mount,
      ...v2('/sys/fs/cgroup/unified/a', above, above),
      ...v2('/sys/fs/cgroup/unified/a/b', freeze, frozen),
    });
    expect(inspectFreezer('a/b', { root })).toMatchObject({ state, frozenBy: by });
  });
});

describe('which tasks resist', () => {
  const at = (tid: number, state: string, wchan: string): Record<string, Entry> => ({
    [`/proc/${tid}/stat`]: stat(tid, `t${tid}`, { state }),
    [`/proc/${tid}/wchan`]: wchan,
    [`/proc/${tid}/stack`]: `[<0>] ${wchan}+0x1a/0x2b\n[<0>] do_syscall_64+0x1/0x2\n`,
  });

  test('v1: the refrigerated and those frozen where they sleep do not', () => {
    const root = tree({
      '/proc/1/mountinfo': v1Mount,
      ...v1(`${V1}/a`, 'FREEZING', 1, 0),
      [`${V1}/a/tasks`]: '10\n11\n12\n13\n14\n15\n999\n',
      ...at(10, 'D', '__refrigerator'),
      ...at(11, 'D', 'hrtimer_nanosleep'),
      ...at(12, 'D', 'kernel_clone'),
      ...at(13, 'R', '0'),
      ...at(14, 'D', 'rpc_wait_bit_killable'),
      ...at(15, 'Z', '0'),
    });
    const [h] = inspectFreezer('/a', { root }).hierarchies;
    expect(h?.resisting).toEqual([
      {
        tid: 12,
        comm: 't12',
        state: 'D',
        wchan: 'kernel_clone',
        stack: ['kernel_clone', 'do_syscall_64'],
      },
      { tid: 13, comm: 't13', state: 'R', wchan: null, stack: ['0', 'do_syscall_64'] },
      {
        tid: 14,
        comm: 't14',
        state: 'D',
        wchan: 'rpc_wait_bit_killable',
        stack: ['rpc_wait_bit_killable', 'do_syscall_64'],
      },
    ]);
    expect(h?.advice).toContain('12 (t12) waits in vfork until its child runs a program');
  });

  test('v2: the trapped, the stopped and a vfork parent do not', () => {
    const root = tree({
      '/proc/1/mountinfo': v2Mount,
      ...v2('/sys/fs/cgroup/unified/a', 1, 0),
      '/sys/fs/cgroup/unified/a/cgroup.threads': '10\n11\n12\n13\n',
      ...at(10, 'S', 'do_freezer_trap'),
      ...at(11, 'T', 'do_signal_stop'),
      ...at(12, 'D', 'kernel_clone'),
      ...at(13, 'D', 'io_schedule'),
    });
    const [h] = inspectFreezer('/a', { root }).hierarchies;
    expect(h?.resisting.map((t) => t.tid)).toEqual([13]);
  });
});

describe('where it is mounted', () => {
  const pid = { '/proc/7/stat': stat(7, 'app') };

  test('the freezer mounted together with another controller', () => {
    const root = tree({
      ...pid,
      '/proc/1/mountinfo': mount(
        30,
        20,
        '/',
        '/cg/cpuset,freezer',
        'cgroup cgroup rw,cpuset,freezer',
      ),
      '/proc/7/cgroup': '5:cpuset,freezer:/x\n4:memory:/other\n',
      ...v1('/cg/cpuset,freezer/x', 'FROZEN', 1, 0),
    });
    expect(inspectFreezer(7, { root })).toMatchObject({ state: 'frozen', frozenBy: 'self' });
  });

  test('version 2 elsewhere than at /sys/fs/cgroup, with a blank in its name', () => {
    const root = tree({
      ...pid,
      '/proc/1/mountinfo': mount(30, 20, '/', '/my\\040cgroups', 'cgroup2 none rw,nsdelegate'),
      '/proc/7/cgroup': '0::/x\n',
      ...v2('/my cgroups/x', 1, 1),
    });
    expect(inspectFreezer(7, { root })).toMatchObject({ state: 'frozen', frozenBy: 'self' });
  });

  test('seen from a cgroup namespace: the mount and the path begin above it', () => {
    const root = tree({
      ...pid,
      '/proc/1/mountinfo': mount(30, 20, '/../..', '/sys/fs/cgroup', 'cgroup2 cgroup rw'),
      '/proc/7/cgroup': '0::/../../kubepods/pod1/c1\n',
      ...v2('/sys/fs/cgroup/kubepods/pod1/c1', 0, 0),
      ...v2('/sys/fs/cgroup/kubepods', 0, 0),
    });
    const [h] = inspectFreezer(7, { root }).hierarchies;
    expect(h).toMatchObject({
      state: 'running',
      directory: `${root}/sys/fs/cgroup/kubepods/pod1/c1`,
    });
  });

  test('a sibling of our namespace, whose parent has no name here: found by its pid', () => {
    const root = tree({
      ...pid,
      '/proc/1/mountinfo': mount(30, 20, '/../..', '/sys/fs/cgroup', 'cgroup2 cgroup rw'),
      '/proc/7/cgroup': '0::/../sibling\n',
      ...v2('/sys/fs/cgroup/pod1/sibling', 1, 1),
      '/sys/fs/cgroup/pod1/sibling/cgroup.procs': '6\n7\n',
    });
    const [h] = inspectFreezer(7, { root }).hierarchies;
    expect(h).toMatchObject({ state: 'frozen', directory: `${root}/sys/fs/cgroup/pod1/sibling` });
  });

  test('hybrid with one that is not mounted here: said, and the other one counts', () => {
    const root = tree({
      ...pid,
      '/proc/1/mountinfo': v2Mount,
      '/proc/7/cgroup': '6:freezer:/x\n0::/x\n',
      ...v2('/sys/fs/cgroup/unified/x', 0, 0),
    });
    const report = inspectFreezer(7, { root });
    expect(report.state).toBe('running');
    expect(report.hierarchies).toMatchObject([
      { version: 1, state: 'unknown', directory: null },
      { version: 2, state: 'running' },
    ]);
  });

  test('the cgroup of a zombie was removed', () => {
    const root = tree({
      '/proc/7/stat': stat(7, 'app', { state: 'Z' }),
      '/proc/1/mountinfo': v2Mount,
      '/proc/7/cgroup': '0::/x (deleted)\n',
    });
    expect(inspectFreezer(7, { root })).toMatchObject({ state: 'gone' });
  });

  test('a mount on a folder above hides those below', () => {
    const text =
      mount(20, 1, '/', '/', 'ext4 /dev/sda rw') +
      mount(21, 20, '/', '/sys/fs/cgroup', 'tmpfs tmpfs rw') +
      mount(22, 21, '/', '/sys/fs/cgroup/freezer', 'cgroup cgroup rw,freezer') +
      mount(23, 21, '/', '/sys/fs/cgroup', 'cgroup2 cgroup2 rw');
    expect(visibleMounts(parseMountinfo(text)).map((m) => m.id)).toEqual([20, 23]);
  });
});

describe('containers by id', () => {
  const id = 'ab12'.repeat(16);
  const other = `ab13${'0'.repeat(60)}`;
  const base = '/sys/fs/cgroup/unified';
  const files = {
    '/proc/1/mountinfo': v2Mount,
    ...v2(`${base}/system.slice/docker-${id}.scope`, 1, 1),
    ...v2(`${base}/system.slice/docker-${id}.scope/init`, 0, 1),
    ...v2(`${base}/kubepods.slice/kubepods-pod1.slice/crio-conmon-${id}.scope`, 0, 0),
    ...v2(`${base}/kubepods.slice/kubepods-pod1.slice:cri-containerd:${other}`, 0, 0),
  };

  test.each([id, id.slice(0, 12), 'ab12'])('%s', (name) => {
    const report = inspectFreezer(name, { root: tree(files) });
    expect(report).toMatchObject({
      state: 'frozen',
      target: { kind: 'container', containerId: id },
      hierarchies: [{ path: `/system.slice/docker-${id}.scope`, self: true }],
    });
  });

  test('a prefix of two: both are named', () => {
    expect(() => inspectFreezer('ab1', { root: tree(files) })).toThrow(
      /fits 2 containers: ab12.*ab13/,
    );
  });
});
