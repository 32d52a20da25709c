import { describe, expect, test } from 'vitest';
import { identifyCgroupPath, identifyCgroups, ownerOf } from '../../../src/containers';
import { parseCgroupFile } from '../../../src/procfs';

const ID = 'cb1eadb7abe3a6545e9856411207073277838e1bdc003337c2f8685faeedc32c';
const OUTER = 'c3bfd81b7da0be97190a74a7d459f4dfa18f57c88765cde2613af112020a1c4b';
const UID = '74ba62da-1a3d-11e7-bb11-080027cb0e22';
const UID_ = UID.replaceAll('-', '_');
const STATIC = '9729a196c4723b60ab401eaff722982d';
const slice = (qos: string, uid: string) =>
  `/kubepods.slice/kubepods-${qos}.slice/kubepods-${qos}-pod${uid}.slice`;

type Row = [
  path: string,
  id: string | null,
  runtime: string | null,
  pod: string | null,
  qos: string | null,
  kind?: string,
];

describe('every form of path', () => {
  test.each<Row>([
    /* cgroupfs driver */
    [`/kubepods/besteffort/pod${UID}/${ID}`, ID, null, UID, 'besteffort'],
    [`/kubepods/pod${UID}/${ID}`, ID, null, UID, 'guaranteed'],
    [`/kubepods/burstable/pod${STATIC}/${ID}`, ID, null, STATIC, 'burstable'],
    [`/kubepods/besteffort/pod${UID}/crio-${ID}`, ID, 'cri-o', UID, 'besteffort'],
    [`/kubepods/besteffort/pod${UID}/${ID}/kube-proxy`, ID, null, UID, 'besteffort'],
    [`/kubepods/kubepods/besteffort/pod${UID}/${ID}`, ID, null, UID, 'besteffort'],
    [`/kubelet/kubepods/burstable/pod${UID}/${ID}`, ID, null, UID, 'burstable'],
    /* systemd driver */
    [`${slice('burstable', UID_)}/cri-containerd-${ID}.scope`, ID, 'containerd', UID, 'burstable'],
    [
      `/kubepods.slice/kubepods-pod${UID_}.slice/crio-${ID}.scope/container`,
      ID,
      'cri-o',
      UID,
      'guaranteed',
    ],
    [
      `${slice('burstable', UID_)}/crio-conmon-${ID}.scope`,
      null,
      'cri-o',
      UID,
      'burstable',
      'monitor',
    ],
    [`${slice('burstable', UID_)}/crio-${ID}`, ID, 'cri-o', UID, 'burstable', 'sandbox'],
    [`${slice('burstable', STATIC)}/crio-${ID}.scope`, ID, 'cri-o', STATIC, 'burstable'],
    [`${slice('besteffort', UID_)}/docker-${ID}.scope`, ID, 'docker', UID, 'besteffort'],
    [
      `/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod${UID_}.slice/cri-containerd-${ID}.scope`,
      ID,
      'containerd',
      UID,
      'besteffort',
    ],
    /* kubelet and engine of two minds */
    [
      `/kubepods-burstable-pod${STATIC}.slice:cri-containerd:${ID}`,
      ID,
      'containerd',
      STATIC,
      'burstable',
    ],
    [
      `/system.slice/containerd.service/kubepods-burstable-pod${UID_}.slice:cri-containerd:${ID}`,
      ID,
      'containerd',
      UID,
      'burstable',
    ],
    /* without Kubernetes */
    [`/docker/${ID}`, ID, 'docker', null, null],
    [`/system.slice/docker-${ID}.scope`, ID, 'docker', null, null],
    [`/docker.slice/docker-${ID}.scope`, ID, 'docker', null, null],
    [`/system.slice/nerdctl-${ID}.scope`, ID, 'nerdctl', null, null],
    ['/default/test_container', 'test_container', 'containerd', null, null],
    [`/k8s.io/${ID}`, ID, 'containerd', null, null],
    [`/machine.slice/libpod-${ID}.scope/container`, ID, 'podman', null, null],
    [
      `/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-${ID}.scope/container`,
      ID,
      'podman',
      null,
      null,
    ],
    [`/system.slice/system-mon.slice/x@mon.service/libpod-payload-${ID}`, ID, 'podman', null, null],
    [`/machine.slice/libpod-conmon-${ID}.scope`, null, 'podman', null, null, 'monitor'],
    [`/ecs/test-ecs-classic/5a0d5ceddf6c44c1928d367a815d890f/${ID}`, ID, 'ecs', null, null],
    [
      '/ecs/5a0d5ceddf6c44c1928d367a815d890f/5a0d5ceddf6c44c1928d367a815d890f-2625983654',
      '5a0d5ceddf6c44c1928d367a815d890f-2625983654',
      'ecs',
      null,
      null,
    ],
    [
      `/ecstasks.slice/ecstasks-5a0d5ceddf6c44c1928d367a815d890f.slice/docker-${ID}.scope`,
      ID,
      'docker',
      null,
      null,
    ],
    ['/lxc/web', 'web', 'lxc', null, null],
    ['/lxc.payload/web', 'web', 'lxc', null, null],
    ['/lxc.payload.web', 'web', 'lxc', null, null],
    ['/machine.slice/machine-lxc\\x2d4711\\x2dweb.scope', 'web', 'lxc', null, null],
    ['/garden/9f5b4a4c-0d8e-4d5f-6a7b-1c2d', '9f5b4a4c-0d8e-4d5f-6a7b-1c2d', 'garden', null, null],
    ['/lxc.monitor.web', null, 'lxc', null, null, 'monitor'],
    ['/lxc.monitor/web', null, 'lxc', null, null, 'monitor'],
    /* a unit of the systemd inside */
    [`/docker/${ID}/system.slice/data.mount`, ID, 'docker', null, null],
    /* seen from a cgroup namespace */
    [
      `/../../kubepods-besteffort-pod${UID_}.slice/docker-${ID}.scope`,
      ID,
      'docker',
      UID,
      'besteffort',
    ],
    [`/../docker-${ID}.scope`, ID, 'docker', null, null],
    /* the pod itself */
    [slice('burstable', UID_), null, null, UID, 'burstable', 'pod'],
  ])('%s', (path, containerId, runtime, podUid, qos, kind = 'container') => {
    expect(identifyCgroupPath(path)).toMatchObject({ containerId, runtime, podUid, qos, kind });
  });

  test.each([
    '/',
    '/init.scope',
    '/user.slice/user-1000.slice/session-3.scope',
    '/system.slice/crio.service',
    `/system.slice/var-lib-docker-containers-${ID}-mounts-shm.mount`,
    '/kubepods.slice',
    '/kubepods.slice/kubepods-burstable.slice',
    '/podruntime/kubelet',
    '/system/dashboard',
    '/..',
  ])('%s is no container', (path) => {
    expect(identifyCgroupPath(path)).toBeNull();
  });
});

describe('nested: the innermost, and what it runs in', () => {
  test('kind on podman', () => {
    const path = `/machine.slice/libpod-${OUTER}.scope/container/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod${UID_}.slice/cri-containerd-${ID}.scope`;
    expect(identifyCgroupPath(path)).toMatchObject({
      containerId: ID,
      podUid: UID,
      outer: { containerId: OUTER, runtime: 'podman' },
    });
  });

  test('the class of a pod is its own, not that of the pod its node runs in', () => {
    const outer = `${slice('besteffort', UID_)}/cri-containerd-${OUTER}.scope`;
    const uid = '9729a196-c472-3b60-ab40-1eaff722982d';
    const path = `${outer}/kubelet/kubepods/pod${uid}/${ID}`;
    expect(identifyCgroupPath(path)).toMatchObject({
      podUid: uid,
      qos: 'guaranteed',
      outer: { containerId: OUTER },
    });
  });

  test('docker in docker', () => {
    expect(identifyCgroupPath(`/docker/${OUTER}/docker/${ID}`)).toMatchObject({
      containerId: ID,
      runtime: 'docker',
      outer: { containerId: OUTER, runtime: 'docker' },
    });
  });

  test('Kubernetes on mesos', () => {
    const uuid = '0d7e1f1c-6f0a-4b0f-9d3e-1a2b3c4d5e6f';
    const path = `/mesos/${uuid}/mesos/${uuid}/kubepods/besteffort/pod${UID}/${ID}`;
    expect(identifyCgroupPath(path)).toMatchObject({ containerId: ID, podUid: UID, outer: null });
  });

  test('a pod of kind that has no container of its own yet', () => {
    const path = `/docker/${OUTER}/kubelet/kubepods/pod${UID}`;
    expect(identifyCgroupPath(path)).toMatchObject({
      containerId: null,
      podUid: UID,
      kind: 'pod',
      outer: { containerId: OUTER },
    });
  });
});

describe('which line', () => {
  test('an unmanaged controller at the root does not hide the container', () => {
    const text = `13:rdma:/\n12:pids:/docker/${ID}\n1:name=systemd:/docker/${ID}\n0::/system.slice/containerd.service\n`;
    expect(identifyCgroups(parseCgroupFile(text))).toMatchObject({ containerId: ID });
  });

  test('hybrid: only systemd knows', () => {
    const text = `6:freezer:/\n0::${slice('burstable', UID_)}/cri-containerd-${ID}.scope (deleted)\n`;
    expect(identifyCgroups(parseCgroupFile(text))).toMatchObject({ containerId: ID, podUid: UID });
  });

  test('a zombie on version 1: nothing', () => {
    expect(identifyCgroups(parseCgroupFile('12:pids:/\n6:freezer:/\n0::/\n'))).toBeNull();
  });

  test('colons in a path, two controllers, a name with a blank', () => {
    expect(
      parseCgroupFile('5:cpuset,freezer:/a:b c\n1:name=systemd:/\n0::/x (deleted)\nnonsense\n'),
    ).toEqual([
      { hierarchy: 5, controllers: ['cpuset', 'freezer'], path: '/a:b c', deleted: false },
      { hierarchy: 1, controllers: ['name=systemd'], path: '/', deleted: false },
      { hierarchy: 0, controllers: [], path: '/x', deleted: true },
    ]);
  });
});

test.each([
  [`/docker/${ID}`, 'docker', 'docker unpause cb1eadb7abe3'],
  [`/docker/${ID}/inside`, undefined, undefined],
  [`/machine.slice/libpod-${ID}.scope/container`, 'podman', 'podman unpause cb1eadb7abe3'],
  [
    `${slice('burstable', UID_)}/cri-containerd-${ID}.scope`,
    'containerd',
    `ctr -n k8s.io tasks resume ${ID}`,
  ],
  ['/default/web', 'containerd', 'ctr -n default tasks resume web'],
  [`/kubepods.slice/crio-${ID}.scope`, 'cri-o', `runc resume ${ID}`],
  [`/kubepods.slice/crio-${ID}.scope/container`, 'cri-o', `crun resume ${ID}`],
  ['/lxc.monitor.web', undefined, undefined],
  [slice('burstable', UID_), 'systemd', `systemctl thaw kubepods-burstable-pod${UID_}.slice`],
  ['/system.slice/cron.service', 'systemd', 'systemctl thaw cron.service'],
  ['/lxc.payload.web', 'lxc', 'lxc-unfreeze -n web'],
  ['/my/own', undefined, undefined],
])('who owns %s', (path, engine, thaw) => {
  expect(ownerOf(path)?.engine).toBe(engine);
  expect(ownerOf(path)?.thaw).toBe(thaw);
});
