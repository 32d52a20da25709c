/**
 * From a process up to the one that watches over its container. Every engine
 * leaves such a monitor on the host: the shim, conmon, lxc-start.
 */

export type MonitorKind = 'containerd-shim' | 'docker-containerd-shim' | 'conmon' | 'lxc';

/** Enough of /proc/PID/stat to climb. */
export interface Kin {
  ppid: number;
  /** Clock ticks since boot. */
  startTicks: number;
  comm: string;
}

export interface Ancestry {
  kind: MonitorKind | null;
  monitorPid: number | null;
  /**
   * The last process below the monitor: the container's init, or one that was
   * executed into it, for the monitor adopts those as well.
   */
  initPid: number | null;
  /** From the parent upwards, the monitor included. */
  chain: number[];
}

const DEPTH = 64;
/** The kernel's own and the host's init; no monitor is among them. */
const LAST_OF_THE_SYSTEM = 2;

/** @param comm 15 bytes at most, thus the same for every containerd-shim-* */
export function monitorKind(comm: string): MonitorKind | null {
  if (comm === 'containerd-shim') return 'containerd-shim';
  /* docker-containerd is cut to the same, but no container hangs below it directly */
  if (comm === 'docker-containe') return 'docker-containerd-shim';
  if (comm === 'conmon' || comm === 'conmonrs') return 'conmon';
  if (comm === 'lxc-start' || comm.startsWith('[lxc monitor]')) return 'lxc';
  return null;
}

/**
 * The innermost monitor above a process. It is known by its name only, which
 * any process may give itself.
 * @param parentOf what /proc tells of a pid: its parent's pid, its own start and name
 */
export function climb(pid: number, parentOf: (pid: number) => Kin | undefined): Ancestry {
  const chain: number[] = [];
  let below = pid;
  let child = parentOf(pid);
  while (child && chain.length < DEPTH) {
    const above = child.ppid;
    if (above <= LAST_OF_THE_SYSTEM || above === pid || chain.includes(above)) break;
    const parent = parentOf(above);
    /* a parent younger than its child: the pid was given anew between two reads */
    if (!parent || parent.startTicks > child.startTicks) break;
    chain.push(above);
    const kind = monitorKind(parent.comm);
    if (kind) return { kind, monitorPid: above, initPid: below, chain };
    below = above;
    child = parent;
  }
  return { kind: null, monitorPid: null, initPid: null, chain };
}
