/**
 * Which zombies may be reaped in place. After Solaris' preap(1): not those of a parent
 * that may still wait, not those just dead, and never where others keep watch.
 */
import {
  classifyLeader,
  classifyParent,
  classifyTraced,
  type Facts,
  MAX_LOOKED_AT,
  type ParentFacts,
} from '../processes';
import type { Family, Left, Zombie } from './model';

export interface Rules {
  /** A zombie is left alone until it was seen for so long, seconds. */
  minAge: number;
  /** Override the age and the slow parent; never the others. */
  force: boolean;
}

export interface Judged {
  /** To be reaped. */
  take: readonly Zombie[];
  left: readonly Left[];
  /** Why the whole family is left alone. */
  refused: string | null;
}

/** They wait for children of theirs, and for those of others they trace. */
const DEBUGGERS = /^(gdb|gdbserver|lldb|lldb-server|strace|ltrace|rr|dlv|delve)$/;

/** @param frozen is the parent in a frozen cgroup? On v1 its letter would only say D */
export function judge(
  family: Family & { facts: ParentFacts },
  facts: Facts,
  { minAge, force }: Rules,
  frozen: (pid: number) => boolean,
): Judged {
  const { zombies } = family;
  const refused = refuse(family, force, frozen);
  if (refused !== null) return { take: [], left: [], refused };
  const take: Zombie[] = [];
  const left: Left[] = [];
  let lookedAt = 0;
  for (const z of zombies) {
    const deep = lookedAt < MAX_LOOKED_AT; /* of more the addon says what it could not */
    const why = spare(z, family.parent.pid, facts, force ? 0 : minAge, deep);
    if (deep) lookedAt++;
    if (why === null) take.push(z);
    else left.push({ pid: z.pid, comm: z.comm, why });
  }
  return { take, left, refused: null };
}

function refuse(
  { parent, facts, hasReaped }: Family & { facts: ParentFacts },
  force: boolean,
  frozen: (pid: number) => boolean,
): string | null {
  const verdict = classifyParent(facts, frozen(parent.pid) ? new Set([parent.pid]) : new Set());
  switch (verdict.class) {
    case 'parent-frozen':
      return `it is frozen, and may wait when it is thawed: lychgate freezer ${parent.pid}`;
    case 'parent-stopped':
      return verdict.by
        ? `tracer ${verdict.by} holds it, and it may wait when it goes on; end the tracer`
        : `it is stopped, and may wait when it goes on: kill -CONT ${parent.pid}`;
    case 'parent-stuck':
      return 'it hangs in D and can run nothing; mend what that waits for';
    case 'shim-owned':
      return 'it is the shim of a container, and reaps by itself';
    case 'host-daemon':
      return 'it is a daemon of the machine; update or restart that service';
    default:
      break;
  }
  if (facts.status?.tracerPid)
    return `process ${facts.status.tracerPid} traces it; end the tracer first`;
  if (DEBUGGERS.test(parent.comm)) return 'it is a debugger, and waits in its own time';
  if (parent.pid === process.pid) return 'it is this very command';
  if (!force && hasReaped && parent.handlesSigchld !== false) {
    return 'it has a handler for SIGCHLD and has reaped a child since we look: slow, not negligent (--force overrides)';
  }
  return null;
}

function spare(
  z: Zombie,
  parent: number,
  facts: Facts,
  minAge: number,
  deep: boolean,
): string | null {
  if (z.seenSeconds < minAge) return `seen for ${z.seenSeconds} s only, of ${minAge} s`;
  const traced = deep ? classifyTraced(facts, z.pid, parent) : null;
  if (traced) return `process ${traced.by} traces it and must wait for it first`;
  const leader = z.threads > 1 ? classifyLeader(facts, z.pid) : null;
  return leader ? 'no zombie: other threads of it live' : null;
}
