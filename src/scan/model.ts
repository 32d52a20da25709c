/** What a scan finds. JSON is this, as docs/schema/scan.schema.json has it. Times in seconds. */

import type { Limit, Parent, ProcessRef } from '../processes';

export type { Limit, Parent, ProcessRef };

/** Bad input, or nothing could be looked at: exit code 2. */
export class ScanError extends Error {
  override name = 'ScanError';
}

export type FindingState = 'Z' | 'D' | 'frozen';

/**
 * negligent-parent  zombies whose living parent does not wait
 * leader-alive      the first thread has exited, others live: no zombie, never touch
 * leader-stuck      the same, and a thread is in D: an exit that cannot finish
 * traced            a tracer must wait for it first
 * parent-frozen, parent-stopped, parent-stuck: the parent cannot wait now
 * shim-owned        the parent is a shim or conmon
 * host-daemon       the parent is a daemon of the machine, or outside of what is seen
 * d-stuck           in D at both looks, and did not run in between
 * d-busy            in D at both looks, and ran in between
 * frozen            a cgroup that stands still
 */
export const CLASSES = [
  'negligent-parent',
  'leader-alive',
  'leader-stuck',
  'traced',
  'parent-frozen',
  'parent-stopped',
  'parent-stuck',
  'shim-owned',
  'host-daemon',
  'd-stuck',
  'd-busy',
  'frozen',
] as const;
export type FindingClass = (typeof CLASSES)[number];

export interface Container {
  id: string | null;
  runtime: string | null;
  name: string | null;
  image: string | null;
  pod: string | null;
  namespace: string | null;
  podUid: string | null;
}

export interface Finding {
  state: FindingState;
  class: FindingClass;
  /** Processes; for D threads. */
  count: number;
  /** Some of them, the oldest first. */
  processes: readonly ProcessRef[];
  /** null: the process is looked at for itself (D, frozen), or its parent is not to be seen. */
  parent: Parent | null;
  container: Container | null;
  /** Since we saw it first; the kernel does not tell when a process died. */
  seenSeconds: number;
  /** The limit that is nearest, null when none is set. */
  limit: Limit | null;
  /** D: the kernel function and stack; frozen: the cgroup's folder. */
  where: string | null;
  advice: string;
}

export interface ScanReport {
  schemaVersion: 1;
  /** ISO 8601. */
  time: string;
  host: string;
  holdSeconds: number;
  /** Processes looked at. */
  processes: number;
  zombies: number;
  stuck: number;
  frozen: number;
  findings: readonly Finding[];
  /** The nearest limit of the machine. */
  limit: Limit | null;
  /** What could not be seen, and why. */
  blind: readonly string[];
}
