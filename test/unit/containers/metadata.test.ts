import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { type Ancestry, ContainerLookup, type Subject } from '../../../src/containers';
import { type Entry, removeTrees, tree } from '../../support/tree';

afterEach(removeTrees);

const ID = 'cb1eadb7abe3a6545e9856411207073277838e1bdc003337c2f8685faeedc32c';
const SANDBOX = 'c3bfd81b7da0be97190a74a7d459f4dfa18f57c88765cde2613af112020a1c4b';
const UID = '74ba62da-1a3d-11e7-bb11-080027cb0e22';
const OTHER = '0d7e1f1c-6f0a-4b0f-9d3e-1a2b3c4d5e6f';

const TASKS = 'run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io';
const STORAGE = `containers/storage/overlay-containers/${ID}/userdata`;
const DOCKER = `containers/${ID}/config.v2.json`;
const LINK = `var/log/containers/web-0_default_app-${ID}.log`;
const LOG = `/var/log/pods/default_web-0_${UID}/app/0.log`;
const KUBE_NAME = `k8s_app_web-0_default_${UID}_3`;

const POD = { namespace: 'default', pod: 'web-0', podUid: UID };
const NONE = {
  containerId: null,
  runtime: null,
  namespace: null,
  pod: null,
  podUid: null,
  container: null,
  image: null,
  sources: [],
};

const under = (kind: Ancestry['kind']): Ancestry => ({
  kind,
  monitorPid: 10,
  initPid: 20,
  chain: [20, 10],
});
const subject = (more: Partial<Subject> = {}): Subject => ({
  containerId: ID,
  podUid: null,
  runtime: null,
  ancestry: null,
  pid: 20,
  ...more,
});
const describeIn = (files: Readonly<Record<string, Entry>>, more: Partial<Subject> = {}) =>
  new ContainerLookup(tree(files)).describe(subject(more));

const config = (annotations: Record<string, string>) => JSON.stringify({ annotations });
const cri = (all: Record<string, string>) =>
  config(Object.fromEntries(Object.entries(all).map(([k, v]) => [`io.kubernetes.cri.${k}`, v])));
const argv = (...all: string[]) => all.map((a) => `${a}\0`).join('');
const shim = (namespace: string, id: string) => ({
  'proc/10/cmdline': argv('/usr/bin/containerd-shim-runc-v2', '-namespace', namespace, '-id', id),
});
const mount = (root: string, at: string) =>
  `1284 1256 8:1 ${root} ${at} rw,relatime - ext4 /dev/sda1 rw\n`;

const APP = cri({
  'container-type': 'container',
  'container-name': 'app',
  'image-name': 'docker.io/library/nginx:1.27',
  'sandbox-id': SANDBOX,
  'sandbox-name': 'web-0',
  'sandbox-namespace': 'default',
  'sandbox-uid': UID,
});
const CRIO = config({
  'io.kubernetes.cri-o.ContainerID': ID,
  'io.kubernetes.cri-o.ContainerName': KUBE_NAME,
  'io.kubernetes.cri-o.ImageName': 'quay.io/org/app:1',
  'io.kubernetes.cri-o.Labels': JSON.stringify({
    'io.kubernetes.container.name': 'app',
    'io.kubernetes.pod.name': 'web-0',
    'io.kubernetes.pod.namespace': 'default',
    'io.kubernetes.pod.uid': UID,
  }),
});
const CONMON = argv('/usr/bin/conmon', '-c', ID, '-n', KUBE_NAME, '-l', LOG);
const RECORD = JSON.stringify({
  ID,
  Name: '/web',
  State: { Pid: 20 },
  Config: { Image: 'nginx:1.27', Labels: {} },
});

describe('each source alone', () => {
  test('nothing', () => {
    expect(describeIn({})).toEqual({ ...NONE, containerId: ID });
    expect(describeIn({}, { containerId: null })).toEqual(NONE);
    expect(describeIn({}, { ancestry: under('containerd-shim') })).toMatchObject({ sources: [] });
  });

  test("bundle: beside that of the pod's sandbox", () => {
    const files = {
      ...shim('k8s.io', SANDBOX),
      'proc/10/cwd': { link: `/${TASKS}/${SANDBOX}` },
      [`${TASKS}/${ID}/config.json`]: APP,
    };
    const app = { ...POD, container: 'app', image: 'docker.io/library/nginx:1.27' };
    expect(describeIn(files, { ancestry: under('containerd-shim') })).toEqual({
      ...app,
      containerId: ID,
      runtime: 'containerd',
      sources: ['bundle'],
    });
  });

  test('bundle: without an id only the pod is known', () => {
    const sandbox = cri({
      'container-type': 'sandbox',
      'sandbox-log-directory': `/var/log/pods/default_web-0_${UID}`,
      'podsandbox.image-name': 'registry.k8s.io/pause:3.10',
    });
    const files = {
      ...shim('k8s.io', SANDBOX),
      'proc/10/cwd': { link: `/${TASKS}/${SANDBOX}` },
      [`${TASKS}/${SANDBOX}/config.json`]: sandbox,
    };
    const ancestry = under('containerd-shim');
    const pod = { ...NONE, ...POD, runtime: 'containerd', sources: ['bundle'] };
    expect(describeIn(files, { ancestry, containerId: null })).toEqual(pod);
    /* old containerd: the container tells its own name only */
    const old = cri({ 'container-type': 'container', 'container-name': 'app' });
    const both = { ...files, [`${TASKS}/${ID}/config.json`]: old };
    expect(describeIn(both, { ancestry })).toEqual({ ...pod, containerId: ID, container: 'app' });
    /* of the sandbox itself */
    expect(describeIn(files, { ancestry, containerId: SANDBOX })).toEqual({
      ...pod,
      containerId: SANDBOX,
      image: 'registry.k8s.io/pause:3.10',
    });
  });

  test('bundle: of nerdctl', () => {
    const tasks = 'run/containerd/io.containerd.runtime.v2.task/default';
    const files = {
      ...shim('default', ID),
      'proc/10/cwd': { link: `/${tasks}/${ID}` },
      [`${tasks}/${ID}/config.json`]: config({ 'nerdctl/name': 'web' }),
    };
    for (const containerId of [ID, null]) {
      expect(describeIn(files, { ancestry: under('containerd-shim'), containerId })).toMatchObject({
        containerId: ID,
        runtime: 'nerdctl',
        container: 'web',
      });
    }
  });

  test('bundle: where conmon says', () => {
    const files = {
      'proc/10/cmdline': argv('conmon', '-c', ID, '-b', '/srv/bundle'),
      'srv/bundle/config.json': CRIO,
    };
    expect(describeIn(files, { ancestry: under('conmon') })).toMatchObject({
      ...POD,
      container: 'app',
      sources: ['bundle'],
    });
  });

  test.each([
    ['moby', 'docker', ID],
    ['default', 'containerd', ID],
    ['k8s.io', 'containerd', null],
  ])('monitor: a shim of %s', (namespace, runtime, containerId) => {
    const more = { ancestry: under('containerd-shim'), containerId: null };
    expect(describeIn(shim(namespace, ID), more)).toEqual({
      ...NONE,
      containerId,
      runtime,
      sources: ['monitor'],
    });
  });

  test('monitor: conmon', () => {
    const files = { 'proc/10/cmdline': CONMON };
    const told = { ...NONE, ...POD, container: 'app', containerId: ID, runtime: 'cri-o' };
    for (const containerId of [ID, null]) {
      expect(describeIn(files, { ancestry: under('conmon'), containerId })).toEqual({
        ...told,
        sources: ['monitor'],
      });
    }
  });

  test.each(['run', 'var/lib'])('storage: below /%s', (at) => {
    expect(describeIn({ [`${at}/${STORAGE}/config.json`]: CRIO })).toEqual({
      ...POD,
      containerId: ID,
      runtime: 'cri-o',
      container: 'app',
      image: 'quay.io/org/app:1',
      sources: ['storage'],
    });
  });

  test('storage: without labels, by name; by log', () => {
    const own = { 'io.kubernetes.cri-o.ContainerID': ID, 'io.kubernetes.cri-o.Labels': '{' };
    for (const [key, value] of [
      ['ContainerName', KUBE_NAME],
      ['LogPath', LOG],
    ] as const) {
      const text = config({ ...own, [`io.kubernetes.cri-o.${key}`]: value });
      expect(describeIn({ [`run/${STORAGE}/config.json`]: text })).toMatchObject({
        ...POD,
        container: 'app',
      });
    }
  });

  test('docker: a plain container', () => {
    expect(describeIn({ [`var/lib/docker/${DOCKER}`]: RECORD })).toEqual({
      ...NONE,
      containerId: ID,
      runtime: 'docker',
      container: 'web',
      image: 'nginx:1.27',
      sources: ['docker'],
    });
  });

  test.each([
    ['name', { Name: `/${KUBE_NAME}` }],
    ['name after a clash', { Name: `/${KUBE_NAME}_1f2e3d4c` }],
    [
      'labels',
      {
        Name: '/renamed',
        Config: {
          Labels: {
            'io.kubernetes.container.name': 'app',
            'io.kubernetes.pod.name': 'web-0',
            'io.kubernetes.pod.namespace': 'default',
            'io.kubernetes.pod.uid': UID,
          },
        },
      },
    ],
  ])('docker: of Kubernetes, by %s', (_, record) => {
    const files = { [`var/lib/docker/${DOCKER}`]: JSON.stringify(record) };
    expect(describeIn(files)).toMatchObject({ ...POD, container: 'app', runtime: 'docker' });
  });

  test('docker: in another folder, found by what it binds; and through a link', () => {
    const mountinfo = mount(`/data/docker/containers/${ID}/hostname`, '/etc/hostname');
    const files = { 'proc/20/mountinfo': mountinfo, [`data/docker/${DOCKER}`]: RECORD };
    expect(describeIn(files)).toMatchObject({ container: 'web' });
    const linked = { 'var/lib/docker': { link: '/srv/d' }, [`srv/d/${DOCKER}`]: RECORD };
    expect(describeIn(linked)).toMatchObject({ container: 'web' });
  });

  test('log-link; where it leads to tells the uid', () => {
    const told = { ...NONE, ...POD, containerId: ID, container: 'app', sources: ['log-link'] };
    expect(describeIn({ [LINK]: { link: LOG } })).toEqual(told);
    expect(describeIn({ [LINK]: { link: 'gone' } })).toEqual({ ...told, podUid: null });
  });

  test.each(['/var/lib/kubelet', '/var/lib/docker/volumes/0e8b3f/_data'])(
    'mountinfo: kubelet in %s',
    (kubelet) => {
      const hosts = mount(`${kubelet}/pods/${UID}/etc-hosts`, '/etc/hosts');
      const log = mount(`${kubelet}/pods/${UID}/containers/app/3d1f`, '/dev/termination-log');
      const alien = mount(`${kubelet}/pods/${OTHER}/etc-hosts`, '/mnt/hosts');
      const named = { ...NONE, containerId: ID, podUid: UID, container: 'app' };
      const told = { ...named, sources: ['mountinfo'] };
      expect(describeIn({ 'proc/20/mountinfo': hosts + log })).toEqual(told);
      expect(describeIn({ 'proc/20/mountinfo': hosts })).toMatchObject({ container: null });
      expect(
        describeIn({ 'proc/20/mountinfo': alien + hosts + log }, { podUid: UID }),
      ).toMatchObject(told);
    },
  );
});

describe('together', () => {
  test('later ones fill what is missing, and change nothing', () => {
    const files = {
      'proc/10/cmdline': argv('conmon', '-c', ID, '-n', 'first'),
      [`run/${STORAGE}/config.json`]: config({
        'io.kubernetes.cri-o.ContainerID': ID,
        'io.kubernetes.cri-o.KubeName': 'second',
      }),
      [`var/lib/docker/${DOCKER}`]: RECORD,
      'var/log/containers': { link: '/logs' },
      [`logs/third_ns_app-${ID}.log`]: '',
      'proc/20/mountinfo': mount(`/k/pods/${UID}/etc-hosts`, '/etc/hosts'),
    };
    expect(describeIn(files, { ancestry: under('conmon') })).toEqual({
      containerId: ID,
      runtime: 'podman',
      container: 'first',
      pod: 'second',
      image: 'nginx:1.27',
      namespace: 'ns',
      podUid: UID,
      sources: ['monitor', 'storage', 'docker', 'log-link', 'mountinfo'],
    });
  });

  test('what the cgroup told stays', () => {
    const files = { [LINK]: { link: LOG } };
    expect(describeIn(files, { runtime: 'garden', podUid: UID })).toMatchObject({
      runtime: 'garden',
      podUid: UID,
      pod: 'web-0',
    });
  });

  test('each container once, and nobody changes what is kept', () => {
    const root = tree({ [LINK]: { link: LOG } });
    const lookup = new ContainerLookup(root);
    const first = lookup.describe(subject());
    first.sources.push('docker');
    first.pod = 'changed';
    rmSync(`${root}/var`, { recursive: true });
    expect(lookup.describe(subject({ pid: 21 }))).toMatchObject({
      pod: 'web-0',
      sources: ['log-link'],
    });
    const other = lookup.describe(subject({ containerId: SANDBOX }));
    expect(other).toEqual({ ...NONE, containerId: SANDBOX });
  });
});

describe('what is not believed', () => {
  test.each(['', '{', 'null', '[]', '{"annotations":[]}', '{"annotations":{"x":1}}'])(
    'malformed: %s',
    (text) => {
      const files = {
        ...shim('moby', ID),
        'proc/10/cwd': { link: `/${TASKS}/${ID}` },
        [`${TASKS}/${ID}/config.json`]: text,
        [`run/${STORAGE}/config.json`]: text,
        [`var/lib/docker/${DOCKER}`]: text,
        [LINK.replace('app-', '')]: text,
        'proc/20/mountinfo': text,
      };
      expect(describeIn(files, { ancestry: under('containerd-shim') })).toMatchObject({
        pod: null,
        container: null,
      });
    },
  );

  test('values of another type, names with control characters', () => {
    const record = {
      Name: [[]],
      Config: { Image: 'a\nb', Labels: { 'io.kubernetes.pod.name': 3 } },
    };
    expect(describeIn({ [`var/lib/docker/${DOCKER}`]: JSON.stringify(record) })).toMatchObject({
      container: null,
      image: null,
      pod: null,
    });
    const odd = JSON.stringify({ Name: '/a\x1b[2J' });
    expect(describeIn({ [`var/lib/docker/${DOCKER}`]: odd }).container).toBeNull();
  });

  test.each(['..', '.', '../../evil', 'a/b', '', 'a\0b'])('the id %j is no path', (id) => {
    const evil = {
      'var/lib/docker/config.v2.json': RECORD,
      'var/lib/docker/containers/config.v2.json': RECORD,
      'var/evil/config.v2.json': RECORD,
      'var/lib/docker/containers/a/b/config.v2.json': RECORD,
      ...shim('k8s.io', SANDBOX),
      'proc/10/cwd': { link: `/${TASKS}/${SANDBOX}` },
      [`${TASKS}/config.json`]: APP,
      [`${TASKS}/a/b/config.json`]: APP,
    };
    const ancestry = under('containerd-shim');
    const told = { ...NONE, runtime: 'containerd', sources: ['monitor'] };
    expect(describeIn(evil, { containerId: id, ancestry })).toEqual(told);
  });

  test('a conmon that runs inside of the container, or watches another', () => {
    const inside = {
      'proc/10/cmdline': CONMON,
      'proc/10/cgroup': `0::/system.slice/docker-${ID}.scope\n`,
    };
    expect(describeIn(inside, { ancestry: under('conmon') })).toMatchObject({ sources: [] });
    const other = { 'proc/10/cmdline': CONMON };
    const ancestry = under('conmon');
    expect(describeIn(other, { ancestry, containerId: SANDBOX })).toMatchObject({ sources: [] });
    expect(describeIn(other, { ancestry, podUid: OTHER })).toMatchObject({ sources: [] });
    const own = {
      'proc/10/cmdline': CONMON,
      'proc/10/cgroup': `0::/kubepods.slice/crio-conmon-${ID}.scope\n`,
    };
    expect(describeIn(own, { ancestry })).toMatchObject({ pod: 'web-0' });
  });

  test('a record of another container', () => {
    const files = { [`var/lib/docker/${DOCKER}`]: JSON.stringify({ ID: SANDBOX, Name: '/web' }) };
    expect(describeIn(files)).toMatchObject({ container: null });
  });

  test('a FIFO, a folder, a loop of links, a file without end', () => {
    const path = `var/lib/docker/${DOCKER}`;
    const root = tree({
      [`var/lib/docker/containers/${ID}/x`]: '',
      'run/containers': { link: '/run/containers' },
    });
    const look = () => new ContainerLookup(root).describe(subject());
    execFileSync('mkfifo', [`${root}/${path}`]);
    expect(look()).toMatchObject({ sources: [] });
    rmSync(`${root}/${path}`);
    mkdirSync(`${root}/${path}`);
    expect(look()).toMatchObject({ sources: [] });
    rmSync(`${root}/${path}`, { recursive: true });
    writeFileSync(`${root}/${path}`, RECORD.padEnd(2 ** 20 + 1));
    expect(look()).toMatchObject({ container: 'web' }); /* only blanks were cut */
    writeFileSync(`${root}/${path}`, RECORD.padStart(2 ** 20 + 1));
    expect(look()).toMatchObject({ sources: [] });
  });

  test('links lead no further than the root', () => {
    const outside = tree({ 'config.v2.json': RECORD });
    const folder = `var/lib/docker/containers/${ID}`;
    expect(describeIn({ [folder]: { link: outside } })).toMatchObject({ sources: [] });
    const up = `${'../'.repeat(20)}${outside.slice(1)}`;
    expect(describeIn({ [folder]: { link: up } })).toMatchObject({ sources: [] });
  });
});

test('the live system: whatever it tells of this process, without an error', () => {
  const live = new ContainerLookup().describe(
    subject({
      pid: process.pid,
      ancestry: { ...under('containerd-shim'), monitorPid: process.pid },
    }),
  );
  expect(live).toMatchObject({ containerId: ID });
});
