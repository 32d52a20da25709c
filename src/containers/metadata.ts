/** The names of a container without an API server, from what engines and kubelet leave on the node. */
import { type Mount, parseMountinfo, readCgroups } from '../procfs';
import type { Ancestry } from './ancestor';
import { fromShimBundle, fromStorage, readBundle } from './bundle';
import { fromDocker } from './docker';
import { agree, asName, complete, type Facts, isComplete, NOTHING } from './facts';
import { readText } from './files';
import { identifyCgroups, type Runtime } from './identify';
import { fromLogLink, fromMounts, listLogLinks } from './kubelet';
import { type Monitor, readMonitor } from './monitor';

export type Source = 'bundle' | 'monitor' | 'storage' | 'docker' | 'log-link' | 'mountinfo';

export interface ContainerInfo extends Facts {
  /** Which told something new, in the order they were asked. */
  sources: Source[];
}

export interface Subject {
  containerId: string | null;
  podUid: string | null;
  runtime: Runtime | null;
  ancestry: Ancestry | null;
  /** The nearest living process in the container. */
  pid: number;
}

/** For one look at the node: what was found out once is not read again. */
export class ContainerLookup {
  readonly #root: string;
  readonly #known = new Map<string, ContainerInfo>();
  #links: Map<string, string> | undefined;

  /** @param root '' for the live system, else the folder that holds its proc, run and var */
  constructor(root = '') {
    this.#root = root;
  }

  /** What nobody tells is null. Never throws. */
  describe(subject: Subject): ContainerInfo {
    const { containerId, podUid, runtime, ancestry } = subject;
    const key =
      containerId && [containerId, podUid, runtime, ancestry?.kind, ancestry?.monitorPid].join('/');
    const known = key ? this.#known.get(key) : undefined;
    const info = known ?? this.#gather(subject);
    if (key && !known) this.#known.set(key, info);
    return { ...info, sources: [...info.sources] };
  }

  #gather({ podUid, runtime, ancestry, pid, ...subject }: Subject): ContainerInfo {
    const root = this.#root;
    const containerId = asName(subject.containerId);
    const info: ContainerInfo = { ...NOTHING, containerId, podUid, runtime, sources: [] };
    const mounts = once(() => readMounts(pid, root));
    const monitor = monitorOf(ancestry, containerId, root);
    const byId = (tell: (id: string) => Facts | null) => () =>
      info.containerId && tell(info.containerId);
    const asked: [Source, () => Facts | '' | null][] = [
      ['bundle', () => monitor && fromBundle(monitor, containerId, root)],
      ['monitor', () => monitor && fromMonitor(monitor)],
      ['storage', byId((id) => fromStorage(id, root))],
      ['docker', byId((id) => fromDocker(id, mounts, root))],
      ['log-link', byId((id) => this.#fromLogLink(id))],
      ['mountinfo', () => fromMounts(mounts(), info.podUid)],
    ];
    for (const [source, tell] of asked) {
      if (isComplete(info)) break;
      const facts = tell();
      /* what contradicts speaks of another container: a nested one, or a lie */
      if (facts && agree(info, facts) && complete(info, facts)) info.sources.push(source);
    }
    return info;
  }

  #fromLogLink(id: string): Facts | null {
    this.#links ??= listLogLinks(this.#root);
    const name = this.#links.get(id);
    return name === undefined ? null : fromLogLink(name, this.#root);
  }
}

type Found = Monitor & Pick<Ancestry, 'kind'> & { pid: number };

/** Anyone may be called conmon; one that runs inside of this very container is not its monitor. */
function monitorOf(ancestry: Ancestry | null, containerId: string | null, root: string) {
  const { kind, monitorPid: pid } = ancestry ?? {};
  if (!kind || !pid) return null;
  const own = identifyCgroups(readCgroups(pid, root));
  if (containerId !== null && own?.containerId === containerId) return null;
  return { kind, pid, ...readMonitor(kind, pid, root) };
}

const isShim = ({ kind }: Found) => kind === 'containerd-shim' || kind === 'docker-containerd-shim';

function fromBundle(monitor: Found, containerId: string | null, root: string): Facts | null {
  if (isShim(monitor)) return fromShimBundle(monitor.pid, monitor, containerId, root);
  const ours = containerId === null || monitor.id === containerId;
  return ours && monitor.bundle ? readBundle(monitor.bundle, root) : null;
}

function fromMonitor(monitor: Found): Facts {
  const { container, pod, podUid, runtime, podNamespace: namespace } = monitor;
  /* In Kubernetes a shim is called by the sandbox, in any other namespace by its only container. */
  const containerId = isShim(monitor) && monitor.namespace === 'k8s.io' ? null : monitor.id;
  return { ...NOTHING, containerId, container, pod, podUid, namespace, runtime };
}

function readMounts(pid: number, root: string): Mount[] {
  return parseMountinfo(readText(root, `/proc/${pid}/mountinfo`) ?? '');
}

function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
