/** The names of a container, without an API server: from what lies on the node. */
import type { Ancestry } from './ancestor';
import { agree, asName, type Facts, isComplete, merge, NOTHING } from './facts';
import type { Runtime } from './identify';
import { type Monitor, readMonitor } from './monitor';
import { fromBundle, fromCrio, fromDocker, fromMounts, readLogLinks } from './sources';

export type ContainerInfo = Facts;

export interface Subject {
  /** From the cgroup. */
  containerId: string | null;
  podUid: string | null;
  runtime: Runtime | null;
  ancestry: Ancestry | null;
  /** A living process in the container: its mounts tell. */
  pid: number;
}

/** Each container is looked up once; what cannot be read is null. */
export class ContainerLookup {
  readonly #root: string;
  readonly #known = new Map<string, ContainerInfo>();
  #logs: Map<string, Facts> | undefined;

  constructor(root = '') {
    this.#root = root;
  }

  describe(subject: Subject): ContainerInfo {
    const { containerId, podUid, ancestry, pid } = subject;
    const key =
      containerId ?? `${podUid} ${ancestry?.monitorPid} ${containerId === null ? pid : ''}`;
    let info = this.#known.get(key);
    if (!info) {
      info = this.#describe(subject);
      this.#known.set(key, info);
    }
    return info;
  }

  #describe({ containerId, podUid, runtime, ancestry, pid }: Subject): ContainerInfo {
    const monitor =
      ancestry?.kind && ancestry.monitorPid !== null
        ? readMonitor(ancestry.kind, ancestry.monitorPid, this.#root)
        : null;
    /* One shim watches over the whole pod; its id is the sandbox's. */
    const own = monitor && monitor.namespace !== 'k8s.io' ? monitor.id : null;
    const id = asName(containerId ?? own);
    let known: Facts = { ...NOTHING, containerId: id, podUid, runtime };
    /* Nested in another container, its monitor is the other's: nothing of it is ours. */
    const ours = monitor && (own === null || id === null || own === id) ? monitor : null;
    for (const ask of this.#sources(id, ours, pid)) {
      const told = ask();
      if (agree(known, told)) known = merge(known, told);
      if (isComplete(known)) break;
    }
    const engine = known.runtime ?? ours?.runtime ?? null;
    const named = known.container ?? (id !== null && !/^[0-9a-f]{64}$/.test(id) ? id : null);
    return { ...known, runtime: engine, container: named };
  }

  #links(): Map<string, Facts> {
    this.#logs ??= readLogLinks(this.#root);
    return this.#logs;
  }

  #sources(id: string | null, monitor: Monitor | null, pid: number): (() => Facts)[] {
    const root = this.#root;
    const bundles = monitor?.bundle ? bundlesOf(monitor.bundle, monitor.id, id) : [];
    const sources = bundles.map((b) => () => fromBundle(root, b));
    if (monitor) sources.push(() => fromMonitor(monitor));
    if (id !== null) {
      sources.push(() => fromDocker(root, id, pid));
      sources.push(() => fromCrio(root, id));
      sources.push(() => this.#links().get(id) ?? NOTHING);
    }
    sources.push(() => fromMounts(root, pid));
    return sources;
  }
}

/** The shim's folder is the bundle of its first container; those of the others lie beside it. */
function bundlesOf(bundle: string, first: string | null, id: string | null): string[] {
  if (id === null || id === first) return [bundle];
  return [`${bundle.slice(0, bundle.lastIndexOf('/'))}/${id}`];
}

function fromMonitor({ container, pod, podNamespace, podUid }: Monitor): Facts {
  return { ...NOTHING, container, pod, namespace: podNamespace, podUid };
}
