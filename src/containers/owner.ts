/** Who may pause and thaw a cgroup by its own command, because it keeps a record of it. */
import { identifyCgroupPath, type Runtime } from './identify';

export interface CgroupOwner {
  /** docker, containerd, ..., systemd. */
  engine: string;
  /** Container id, container name or unit. */
  name: string;
  freeze: string;
  thaw: string;
}

const COMMANDS: Readonly<
  Record<Runtime, (id: string, space: string) => readonly [freeze: string, thaw: string]>
> = {
  docker: (id) => [`docker pause ${id.slice(0, 12)}`, `docker unpause ${id.slice(0, 12)}`],
  nerdctl: (id) => [`nerdctl pause ${id.slice(0, 12)}`, `nerdctl unpause ${id.slice(0, 12)}`],
  podman: (id) => [`podman pause ${id.slice(0, 12)}`, `podman unpause ${id.slice(0, 12)}`],
  containerd: (id, space) => [
    `ctr -n ${space} tasks pause ${id}`,
    `ctr -n ${space} tasks resume ${id}`,
  ],
  'cri-o': (id) => [`runc pause ${id}`, `runc resume ${id}`],
  ecs: (id) => [`docker pause ${id.slice(0, 12)}`, `docker unpause ${id.slice(0, 12)}`],
  lxc: (id) => [`lxc-freeze -n ${id}`, `lxc-unfreeze -n ${id}`],
  garden: (id) => [`runc pause ${id}`, `runc resume ${id}`],
};

/**
 * The owner of this very cgroup. What lies inside of a container is nobody's but
 * the container's own; crun's `/container` is the container itself.
 */
export function ownerOf(path: string): CgroupOwner | null {
  const identity = identifyCgroupPath(path);
  const last = path.split('/').at(-1) ?? '';
  if (identity?.containerId && identity.kind !== 'monitor') {
    if (identity.below !== '' && identity.below !== '/container') return null;
    /* Under kubepods a bare id does not name its engine; containerd is the usual one. */
    const runtime = identity.runtime ?? 'containerd';
    const { containerId } = identity;
    /* CRI-O has no command of its own; only crun makes the `/container`. */
    const [freeze, thaw] =
      runtime === 'cri-o' && identity.below !== ''
        ? [`crun pause ${containerId}`, `crun resume ${containerId}`]
        : COMMANDS[runtime](containerId, namespaceOf(path));
    return { engine: runtime, name: containerId, freeze, thaw };
  }
  if (/\.(slice|service|scope)$/.test(last)) {
    return {
      engine: 'systemd',
      name: last,
      freeze: `systemctl freeze ${last}`,
      thaw: `systemctl thaw ${last}`,
    };
  }
  return null;
}

/** ctr's namespace: the first folder on cgroupfs, else that of Kubernetes. */
function namespaceOf(path: string): string {
  const [, first, , more] = path.split('/');
  return more === undefined && first && /^(default|moby)$/.test(first) ? first : 'k8s.io';
}
