/** Why a zombie stays. The first reason that holds is the one to mend first. */
import { type ProcessTable, readProcessTable } from '../procfs/batch';
import type { Facts } from './facts';
import type { ParentFacts } from './parents';

const D = 'D'.charCodeAt(0);
const GONE = new Set(['Z', 'X', 'x'].map((c) => c.charCodeAt(0)));

export type ZombieClass =
  | 'negligent-parent'
  | 'leader-alive'
  | 'leader-stuck'
  | 'traced'
  | 'parent-frozen'
  | 'parent-stopped'
  | 'parent-stuck'
  | 'shim-owned'
  | 'host-daemon';

export interface Verdict {
  class: ZombieClass;
  /** traced: who traces it. leader-stuck: the thread that hangs. */
  by: number | null;
}

/** Of so many zombies of one parent the status is read; the rest is taken to be like them. */
export const MAX_LOOKED_AT = 64;

/** undefined when the process is gone. */
export function threadsOf(facts: Facts, pid: number): ProcessTable | undefined {
  try {
    return readProcessTable(`${facts.proc}/${pid}/task`);
  } catch {
    return undefined;
  }
}

/**
 * A first thread that has exited shows Z while others of its process live
 * (delay_group_leader): never a zombie. null: it is one, see its parent. To be asked
 * only of processes with more than one thread.
 */
export function classifyLeader(facts: Facts, pid: number): Verdict | null {
  const table = threadsOf(facts, pid);
  if (!table) return null;
  const { state, pid: tids } = table.columns;
  let alive = false;
  for (let i = 0; i < table.size; i++) {
    if (state[i] === D) return { class: 'leader-stuck', by: tids[i] as number };
    alive ||= !GONE.has(state[i] as number);
  }
  return alive ? { class: 'leader-alive', by: null } : null;
}

/** @param frozen process ids in frozen cgroups */
export function classifyParent(
  parent: ParentFacts | undefined,
  frozen: ReadonlySet<number>,
): Verdict {
  if (!parent) return { class: 'host-daemon', by: null };
  const { state, pid } = parent.parent;
  if (frozen.has(pid)) return { class: 'parent-frozen', by: null };
  if (state === 'T' || state === 't') {
    return { class: 'parent-stopped', by: parent.status?.tracerPid || null };
  }
  if (state === 'D') return { class: 'parent-stuck', by: null };
  if (parent.isMonitor) return { class: 'shim-owned', by: null };
  if (parent.isDaemon) return { class: 'host-daemon', by: null };
  return { class: 'negligent-parent', by: null };
}

/** ptrace(2): the tracer is told of the end first, and the parent cannot wait before it. */
export function classifyTraced(facts: Facts, pid: number, ppid: number): Verdict | null {
  const tracer = facts.tracer(pid);
  return tracer > 0 && tracer !== ppid ? { class: 'traced', by: tracer } : null;
}
