import { afterEach, describe, expect, test } from 'vitest';
import { climb, type Kin, readMonitor } from '../../../src/containers';
import { removeTrees, tree } from '../../support/tree';

afterEach(removeTrees);

const ID = 'cb1eadb7abe3a6545e9856411207073277838e1bdc003337c2f8685faeedc32c';
const UID = '74ba62da-1a3d-11e7-bb11-080027cb0e22';

/** pid: [comm, ppid, start] */
const among = (all: Record<number, [comm: string, ppid: number, start?: number]>) => {
  return (pid: number): Kin | undefined => {
    const found = all[pid];
    return found && { comm: found[0], ppid: found[1], startTicks: found[2] ?? 100 };
  };
};
const nothing = { kind: null, monitorPid: null, initPid: null };

describe('climb', () => {
  test.each([
    ['containerd-shim', 'containerd-shim'],
    ['docker-containe', 'docker-containerd-shim'],
    ['conmon', 'conmon'],
    ['conmonrs', 'conmon'],
    ['lxc-start', 'lxc'],
    ['[lxc monitor] /', 'lxc'],
  ])('%s', (comm, kind) => {
    const all = among({
      10: [comm, 1, 1],
      20: ['sh', 10, 2],
      30: ['node', 20, 3],
      40: ['x', 30, 4],
    });
    expect(climb(40, all)).toEqual({ kind, monitorPid: 10, initPid: 20, chain: [30, 20, 10] });
  });

  test("a monitor's own child is the init", () => {
    const all = among({ 10: ['conmon', 1], 20: ['sh', 10] });
    expect(climb(20, all)).toEqual({ kind: 'conmon', monitorPid: 10, initPid: 20, chain: [10] });
  });

  test('docker in docker: the innermost', () => {
    const all = among({
      10: ['containerd-shim', 1],
      20: ['dockerd', 10],
      30: ['containerd', 20],
      40: ['containerd-shim', 20],
      50: ['sh', 40],
    });
    expect(climb(50, all)).toMatchObject({ monitorPid: 40, initPid: 50, chain: [40] });
    expect(climb(40, all)).toMatchObject({ monitorPid: 10, initPid: 20, chain: [20, 10] });
  });

  test('on the host: up to init, which is not part of it', () => {
    const all = among({ 1: ['systemd', 0], 2: ['kthreadd', 0], 5: ['sshd', 1], 6: ['sh', 5] });
    expect(climb(6, all)).toEqual({ ...nothing, chain: [5] });
    expect(climb(1, all)).toEqual({ ...nothing, chain: [] });
    expect(climb(7, all)).toEqual({ ...nothing, chain: [] });
  });

  test('similar names are none', () => {
    const all = among({ 10: ['containerd', 1], 20: ['lxc-start-x', 10], 30: ['sh', 20] });
    expect(climb(30, all)).toEqual({ ...nothing, chain: [20, 10] });
  });

  test('a parent younger than its child is another process', () => {
    const all = among({ 10: ['containerd-shim', 1, 500], 20: ['sh', 10, 400] });
    expect(climb(20, all)).toEqual({ ...nothing, chain: [] });
  });

  test('a parent that is gone', () => {
    expect(climb(20, among({ 20: ['sh', 10] }))).toEqual({ ...nothing, chain: [] });
  });

  test('loops end', () => {
    expect(climb(10, among({ 10: ['a', 11], 11: ['b', 12], 12: ['c', 11] })).chain).toEqual([
      11, 12,
    ]);
    expect(climb(10, among({ 10: ['a', 11], 11: ['b', 10] })).chain).toEqual([11]);
    expect(climb(10, among({ 10: ['a', 10] })).chain).toEqual([]);
  });

  test('no higher than 64', () => {
    const endless = (pid: number) => ({ comm: 'sh', ppid: pid + 1, startTicks: 1 });
    expect(climb(10, endless)).toMatchObject({ kind: null });
    expect(climb(10, endless).chain).toHaveLength(64);
  });
});

describe('readMonitor', () => {
  const started = (...argv: string[]) =>
    tree({
      'proc/10/cmdline': argv.map((a) => `${a}\0`).join(''),
      'proc/10/cwd': { link: `/run/containerd/io.containerd.runtime.v2.task/k8s.io/${ID}` },
    });
  const none = {
    namespace: null,
    id: null,
    container: null,
    pod: null,
    podNamespace: null,
    podUid: null,
    bundle: null,
    runtime: null,
  };

  test.each([
    ['k8s.io', 'containerd'],
    ['default', 'containerd'],
    ['moby', 'docker'],
  ])('shim of %s', (namespace, runtime) => {
    const root = started(
      '/usr/bin/containerd-shim-runc-v2',
      '-namespace',
      namespace,
      '-id',
      ID,
      '-address',
      '/run/containerd/containerd.sock',
    );
    expect(readMonitor('containerd-shim', 10, root)).toEqual({
      ...none,
      namespace,
      id: ID,
      bundle: `/run/containerd/io.containerd.runtime.v2.task/k8s.io/${ID}`,
      runtime,
    });
  });

  test('shim of version 1: by the folder it works in', () => {
    const root = started(
      'containerd-shim',
      '-namespace',
      'moby',
      '-workdir',
      `/var/lib/containerd/io.containerd.runtime.v1.linux/moby/${ID}`,
      '-address',
      '/run/containerd/containerd.sock',
    );
    expect(readMonitor('containerd-shim', 10, root)).toMatchObject({ id: ID, runtime: 'docker' });
  });

  test('docker before 17.11', () => {
    const root = started(
      'docker-containerd-shim',
      ID,
      `/var/run/docker/libcontainerd/${ID}`,
      'docker-runc',
    );
    expect(readMonitor('docker-containerd-shim', 10, root)).toMatchObject({
      id: ID,
      namespace: null,
      runtime: 'docker',
    });
  });

  const crio = (name: string, log: string) => [
    '/usr/bin/conmon',
    '-b',
    `/run/containers/storage/overlay-containers/${ID}/userdata`,
    '-c',
    ID,
    '--exit-dir',
    '/var/run/crio/exits',
    '-l',
    log,
    '--log-level',
    'info',
    '-n',
    name,
    '-P',
    `/run/containers/storage/overlay-containers/${ID}/userdata/conmon-pidfile`,
    '--runtime-arg',
    '-n',
    '-r',
    '/usr/bin/runc',
    '--syslog',
    '-u',
    ID,
  ];
  const LOG = `/var/log/pods/default_web-0_${UID}/app/0.log`;
  const WEB = { container: 'app', pod: 'web-0', podNamespace: 'default', podUid: UID };

  test.each([
    ['its name', crio(`k8s_app_web-0_default_${UID}_3`, '/dev/null')],
    ['its log', crio('something', LOG)],
  ])('conmon of CRI-O: %s', (_, argv) => {
    expect(readMonitor('conmon', 10, started(...argv))).toEqual({
      ...none,
      ...WEB,
      id: ID,
      bundle: `/run/containers/storage/overlay-containers/${ID}/userdata`,
      runtime: 'cri-o',
    });
  });

  test('conmon of podman; what it passes on is not its own', () => {
    const root = started(
      '/usr/bin/conmon',
      '--api-version',
      '1',
      '--exit-command',
      '/usr/bin/podman',
      '--exit-command-arg',
      '--name=evil',
      '-c',
      ID,
      '-l',
      'journald',
      '-n',
      'web',
    );
    const told = { ...none, id: ID, container: 'web', runtime: 'podman' };
    expect(readMonitor('conmon', 10, root)).toEqual(told);
  });

  test.each([
    ['lxc-start', '-F', '-n', 'web'],
    ['lxc-start', '--name=web'],
    ['[lxc monitor] /var/lib/lxc web'],
  ])('%s %s %s %s', (...argv) => {
    expect(readMonitor('lxc', 10, started(...argv))).toEqual({
      ...none,
      id: 'web',
      runtime: 'lxc',
    });
  });

  test('hostile values are none', () => {
    const root = started('conmon', '-c', '../../etc', '-n', 'a\x1b[31m', '-b', '/run/../etc');
    expect(readMonitor('conmon', 10, root)).toEqual({ ...none, runtime: 'podman' });
    const shim = started('shim', '-namespace', '..', '-id', 'a/b');
    expect(readMonitor('containerd-shim', 10, shim)).toMatchObject({ namespace: null, id: null });
  });

  test.each(['containerd-shim', 'conmon', 'lxc'] as const)('%s is gone', (kind) => {
    const runtime = kind === 'lxc' ? 'lxc' : null;
    expect(readMonitor(kind, 11, tree({}))).toEqual({ ...none, runtime });
  });
});
