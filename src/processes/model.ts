/** What is told of a process and of the limits it is held to. */

/** With both numbers a process is named for good. */
export interface ProcessRef {
  pid: number;
  /** The thread that is meant, when it is not the first one. */
  tid: number | null;
  /** Clock ticks since boot. */
  startTicks: number;
  comm: string;
}

export interface Parent extends ProcessRef {
  state: string;
  /** Its arguments, null when they cannot be read. */
  command: string | null;
  /** PID 1 of a PID namespace. */
  isInit: boolean;
  /** It has a handler for SIGCHLD, and does not block it. null = not known. */
  handlesSigchld: boolean | null;
}

export interface Limit {
  name: 'pids.max' | 'RLIMIT_NPROC' | 'kernel.pid_max' | 'kernel.threads-max';
  current: number;
  max: number;
  /** The cgroup or user it holds for; null: the machine. */
  of: string | null;
}
