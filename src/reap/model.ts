/** What reaping in place is asked, and what comes of it. Times in seconds unless named otherwise. */
import type { Ending } from '../ending';
import type { Parent, ProcessRef } from '../processes';

/** Bad input, or nothing could be looked at: exit code 2. */
export class ReapError extends Error {
  override name = 'ReapError';
}

/** A zombie as the newest look has it. */
export interface Zombie extends ProcessRef {
  /** As waitpid(2) gives it; 0 also when we are not permitted to know. */
  status: number;
  /** More than one: perhaps only its first thread has ended. */
  threads: number;
  /** Since we saw it first; the kernel does not tell when it died. */
  seenSeconds: number;
}

/** The zombies of one parent. */
export interface Family {
  parent: Parent;
  zombies: readonly Zombie[];
  /** It has waited for a child since we saw it first. */
  hasReaped: boolean;
}

/** How one ended whose parent can no longer learn it. */
export type Reaped = { pid: number; comm: string } & Ending;

export interface Left {
  pid: number;
  comm: string;
  why: string;
}

export interface FamilyReport {
  parent: Parent;
  reaped: readonly Reaped[];
  left: readonly Left[];
  /** Why nothing, or nothing more, was done for this parent; null: all went well. */
  refused: string | null;
  /** How often a thread of the parent was stopped, and for how long, milliseconds. */
  rounds: number;
  longestMs: number;
  totalMs: number;
}

export interface ReapReport {
  schemaVersion: 1;
  /** ISO 8601. */
  time: string;
  host: string;
  dryRun: boolean;
  families: readonly FamilyReport[];
  /** Asked for, and neither a zombie nor a parent of one. */
  others: readonly { pid: number; why: string }[];
}
