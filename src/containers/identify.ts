/**
 * From a cgroup path to the container and pod it belongs to. Paths are what the
 * engines write, and each has its own way; the innermost container counts.
 */
import type { CgroupLine } from '../procfs';

export type Runtime =
  | 'docker'
  | 'containerd'
  | 'cri-o'
  | 'podman'
  | 'nerdctl'
  | 'ecs'
  | 'lxc'
  | 'garden';

export interface CgroupIdentity {
  /** null for a pod's own cgroup and for a monitor (conmon, lxc). */
  containerId: string | null;
  /** null where the path does not tell. */
  runtime: Runtime | null;
  /** With dashes; a static pod's is 32 hexadecimal digits. */
  podUid: string | null;
  qos: 'guaranteed' | 'burstable' | 'besteffort' | null;
  /** monitor: conmon or lxc, not the container; sandbox: the pod's pause container. */
  kind: 'container' | 'sandbox' | 'monitor' | 'pod';
  /** What it runs in, when containers are nested. */
  outer: { containerId: string; runtime: Runtime | null } | null;
  /** The rest of the path, below the container: '' or '/sub'. */
  below: string;
}

const PREFIX: Readonly<Record<string, Runtime>> = {
  'cri-containerd': 'containerd',
  containerd: 'containerd',
  crio: 'cri-o',
  docker: 'docker',
  libpod: 'podman',
  'libpod-payload': 'podman',
  nerdctl: 'nerdctl',
  lxc: 'lxc',
};

const ID = '[0-9a-f]{64}';
const NAMED = new RegExp(`^(?:([a-z-]+?)-)?(${ID})(\\.scope)?$`);
const MONITOR = new RegExp(`^(crio|libpod)-conmon-(${ID})(\\.scope)?$`);
/** kubelet on the systemd driver, the engine on cgroupfs: one name of three parts. */
const MISMATCHED = new RegExp(`^(.+\\.slice):([a-z-]+):(${ID})$`);
const FARGATE = /^[0-9a-f]{32}-\d+$/;
const GARDEN = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{4,12}$/;
const MACHINE_LXC = /^machine-lxc\\x2d\d+\\x2d(.+)\.scope$/;
const POD =
  /^(?:.*-)?pod([0-9a-f]{32}|[0-9a-f]{8}([-_])[0-9a-f]{4}\2[0-9a-f]{4}\2[0-9a-f]{4}\2[0-9a-f]{12})(?:\.slice)?$/;

interface Found {
  id: string;
  runtime: Runtime | null;
  kind: CgroupIdentity['kind'];
  at: number;
}

function container(segments: readonly string[], at: number): Found | undefined {
  const segment = segments[at] as string;
  const before = segments[at - 1] ?? '';
  const monitor = MONITOR.exec(segment);
  if (monitor)
    return {
      id: monitor[2] as string,
      runtime: PREFIX[monitor[1] as string] ?? null,
      kind: 'monitor',
      at,
    };
  const named = NAMED.exec(segment);
  if (named) {
    const [, prefix, id = '', scope] = named;
    /* CRI-O's pause container lies in the pod's slice without a scope of its own. */
    const sandbox = prefix === 'crio' && !scope && before.endsWith('.slice');
    const runtime = prefix === undefined ? byFolder(segments, at) : (PREFIX[prefix] ?? null);
    return { id, runtime, kind: sandbox ? 'sandbox' : 'container', at };
  }
  const mismatched = MISMATCHED.exec(segment);
  if (mismatched) {
    return {
      id: mismatched[3] as string,
      runtime: PREFIX[mismatched[2] as string] ?? null,
      kind: 'container',
      at,
    };
  }
  if (FARGATE.test(segment) && segments.includes('ecs'))
    return { id: segment, runtime: 'ecs', kind: 'container', at };
  if (before === 'garden' && GARDEN.test(segment))
    return { id: segment, runtime: 'garden', kind: 'container', at };
  return lxc(segment, before, at) ?? freeForm(segments, at);
}

/** An id alone: the folder above may tell whose it is. */
function byFolder(segments: readonly string[], at: number): Runtime | null {
  const before = segments[at - 1] ?? '';
  if (before === 'docker') return 'docker';
  if (before === 'libpod_parent' || before === 'libpod') return 'podman';
  if (before === 'k8s.io') return 'containerd';
  if (segments.slice(0, at).includes('ecs')) return 'ecs';
  return null;
}

function lxc(segment: string, before: string, at: number): Found | undefined {
  const monitor =
    /^lxc\.monitor\.(.+)$/.exec(segment)?.[1] ?? (before === 'lxc.monitor' ? segment : undefined);
  if (monitor !== undefined) return { id: monitor, runtime: 'lxc', kind: 'monitor', at };
  const [, machine] = MACHINE_LXC.exec(segment) ?? [];
  const name =
    machine ??
    (/^lxc\.payload\.(.+)$/.exec(segment)?.[1] ||
      (before === 'lxc' || before === 'lxc.payload' ? segment : undefined));
  return name === undefined ? undefined : { id: name, runtime: 'lxc', kind: 'container', at };
}

/** ctr and nerdctl on cgroupfs: /NAMESPACE/NAME, any name. */
function freeForm(segments: readonly string[], at: number): Found | undefined {
  if (at !== 1 || !['default', 'k8s.io', 'moby'].includes(segments[0] ?? '')) return undefined;
  return { id: segments[1] as string, runtime: 'containerd', kind: 'container', at };
}

function podOf(segment: string): string | undefined {
  const own = MISMATCHED.exec(segment)?.[1] ?? segment;
  return POD.exec(own)?.[1]?.replaceAll('_', '-');
}

/** @returns null for what is no container's: `/`, services, sessions, mounts. */
export function identifyCgroupPath(path: string): CgroupIdentity | null {
  const segments = path.split('/').filter(Boolean);
  const found: Found[] = [];
  let podUid: string | null = null;
  let podAt = -1;
  for (const [at, segment] of segments.entries()) {
    if (segment.endsWith('.mount')) break; /* named after a container's files, perhaps */
    const pod = podOf(segment);
    if (pod !== undefined) {
      podUid = pod;
      podAt = at;
    }
    const here = container(segments, at);
    if (here) found.push(here);
  }
  const inner = found.at(-1);
  if (!inner && podUid === null) return null;
  /* a pod below the last container is a pod of its own: kind, dind */
  const own = inner && inner.at >= podAt ? inner : undefined;
  const around = found.filter((f) => f !== own && f.kind === 'container').at(-1);
  const node = found.findLast((f) => f.at < podAt)?.at ?? -1; /* that kubelet runs in */
  const slices = segments.slice(node + 1, podAt + 1).join('/');
  const qos =
    podUid === null
      ? null
      : slices.includes('besteffort')
        ? 'besteffort'
        : slices.includes('burstable')
          ? 'burstable'
          : 'guaranteed';
  const rest = segments.slice((own?.at ?? podAt) + 1);
  return {
    containerId: own && own.kind !== 'monitor' ? own.id : null,
    runtime: own?.runtime ?? null,
    podUid,
    qos,
    kind: own?.kind ?? 'pod',
    outer: around ? { containerId: around.id, runtime: around.runtime } : null,
    below: rest.length > 0 ? `/${rest.join('/')}` : '',
  };
}

/** Which line tells most: those that engines use first, whatever says most among them. */
const PREFERRED = ['pids', 'memory', 'freezer', 'name=systemd'];

/** @param lines of /proc/PID/cgroup; of a zombie on v1 they all read `/` (ask for its parent) */
export function identifyCgroups(lines: readonly CgroupLine[]): CgroupIdentity | null {
  const rank = ({ controllers, hierarchy }: CgroupLine) => {
    const i = PREFERRED.findIndex((c) => controllers.includes(c));
    return i >= 0 ? i : hierarchy === 0 ? PREFERRED.length : PREFERRED.length + 1;
  };
  let best: CgroupIdentity | null = null;
  for (const line of lines.toSorted((a, b) => rank(a) - rank(b))) {
    const identity = identifyCgroupPath(line.path);
    if (identity && (best === null || weight(identity) > weight(best))) best = identity;
  }
  return best;
}

const weight = (i: CgroupIdentity) => (i.containerId ? 2 : 0) + (i.podUid ? 1 : 0);
