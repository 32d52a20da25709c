/** What is to be known of the parent of zombies: once for each, however many it has. */
import { identifyCgroups } from '../containers';
import { readCgroups } from '../procfs';
import type { ProcessTable } from '../procfs/batch';
import type { Facts, Status } from './facts';
import type { Parent } from './model';

const SIGCHLD_BIT = 1n << 16n;

/** Processes that belong to the machine or the engine, by their name (15 bytes kept). */
const DAEMONS =
  /^(systemd.*|init|kubelet|dockerd|docker-current|containerd|crio|cri-dockerd|k3s.*|rke2|k0s|node-problem-.*|podman|buildkitd|sshd|crond|cron)$/;
const MONITORS =
  /^(containerd-shim.*|docker-containe|conmon|conmonrs|lxc-start|\[lxc monitor\].*)$/;

export interface ParentFacts {
  parent: Parent;
  status: Status | null;
  /** A shim or conmon: it reaps for the container, and is not to be killed. */
  isMonitor: boolean;
  /** Of the machine, not of a container. */
  isDaemon: boolean;
  /** In a container as its cgroup says. */
  inContainer: boolean;
}

/** undefined: the parent is not to be seen (it is outside of this PID namespace, or just gone). */
export function readParent(
  facts: Facts,
  table: ProcessTable,
  pid: number,
  root: string,
): ParentFacts | undefined {
  const row = table.indexOf(pid);
  if (row < 0) return undefined;
  const { comm, state, startTicks } = table.get(row);
  const status = facts.status(pid);
  const inContainer = identifyCgroups(readCgroups(pid, root))?.containerId != null;
  const isInit = pid === 1 || ((status?.nsPids.length ?? 0) > 1 && status?.nsPids.at(-1) === 1);
  const caught = status ? (status.caught & SIGCHLD_BIT) !== 0n : null;
  const blocked = status ? (status.blocked & SIGCHLD_BIT) !== 0n : false;
  return {
    parent: {
      pid,
      tid: null,
      startTicks,
      comm,
      state,
      command: facts.command(pid),
      isInit,
      handlesSigchld: caught === null ? null : caught && !blocked,
    },
    status,
    isMonitor: !inContainer && MONITORS.test(comm),
    /* in a PID namespace of its own, 1 is a container's program */
    isDaemon: pid === 1 ? facts.ofMachine : pid === 2 || (!inContainer && DAEMONS.test(comm)),
    inContainer,
  };
}
