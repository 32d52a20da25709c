/** What is said of a cgroup's freezer. JSON is this, as docs/schema/freezer.schema.json has it. */

/** Bad input, or a state that could not be read or written: exit code 2. */
export class FreezerError extends Error {
  override name = 'FreezerError';
}

/**
 * running  no freeze is asked for, or all is undone
 * freezing asked for, and some task has not got there
 * frozen   every task stands still
 * root     the root cgroup, which has no freezer
 * gone     the cgroup was removed
 * unknown  the hierarchy is not mounted here, or its files cannot be read
 */
export type FreezerState = 'running' | 'freezing' | 'frozen' | 'root' | 'gone' | 'unknown';

/** The files of one cgroup. */
export interface CgroupFreezer {
  state: FreezerState;
  /** This very cgroup was asked to freeze; null = cannot be known. */
  self: boolean | null;
  /** An ancestor was. */
  parent: boolean | null;
}

export interface FrozenRelative {
  /** Within the hierarchy. */
  path: string;
  /** In the file system. */
  directory: string;
  state: FreezerState;
  self: boolean | null;
  owner: Owner | null;
}

/** The engine whose record says whether this cgroup is paused. */
export interface Owner {
  engine: string;
  /** Container id or unit. */
  name: string;
  /** The engine's own command. */
  thaw: string;
  /** Does the engine's own record say paused? null = not known. */
  paused: boolean | null;
  /** What the engine believes after a thaw behind its back. */
  afterRawThaw: string;
}

export interface ResistingTask {
  /** Thread id. */
  tid: number;
  comm: string;
  state: string;
  /** Kernel function it sleeps in, null when not readable. */
  wchan: string | null;
  /** Top of the kernel stack, [] when not readable (root only). */
  stack: readonly string[];
}

export interface HierarchyReport extends CgroupFreezer {
  version: 1 | 2;
  mountPoint: string | null;
  /** Within the hierarchy; for a PID as /proc/PID/cgroup has it. */
  path: string;
  /** In the file system, null when the hierarchy is not mounted here. */
  directory: string | null;
  /** Ancestors that were asked to freeze, nearest first. */
  frozenAncestors: readonly FrozenRelative[];
  /** Cgroups below that were asked to freeze by themselves. */
  frozenDescendants: readonly FrozenRelative[];
  /** While freezing: the tasks that are not there yet. */
  resisting: readonly ResistingTask[];
  /** Seconds it stood frozen in all its life; null before Linux 6.18 and on v1. */
  frozenSeconds: number | null;
  /**
   * When its state file was last written, ISO 8601: best effort, the kernel notes
   * it only for writers that truncate, as shells, systemd and containerd do.
   */
  lastWritten: string | null;
  owner: Owner | null;
  /** One sentence: what it means and what to do. */
  advice: string;
}

export interface FreezerReport {
  schemaVersion: 1;
  target: {
    kind: 'self' | 'pid' | 'cgroup' | 'container';
    /** As it was given; null for the self-check. */
    argument: string | null;
    pid: number | null;
    comm: string | null;
    containerId: string | null;
  };
  /** The worst of the hierarchies. */
  state: FreezerState;
  frozenBy: 'self' | 'ancestor' | 'both' | null;
  hierarchies: readonly HierarchyReport[];
}
