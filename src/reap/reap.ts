/** The doing: judged zombies of one parent, through the addon, and what came of each. */
import { setImmediate as turn } from 'node:timers/promises';
import { decodeStatus } from '../ending';
import { type PreapCore, PreapOutcome, type PreapRequest } from '../native';
import type { Facts, Parent } from '../processes';
import type { FamilyReport, Left, Reaped, Zombie } from './model';
import { explainRefusal, WHY_LEFT } from './words';

/** Between two turns of the loop, so that nobody waits long for us. */
const CHUNK = 512;
const CHUNK_MS = 500;

export interface Doing {
  core: PreapCore;
  facts: Facts;
  /** The parent descends from this process (PreapRequest.descends). */
  descends: boolean;
}

const untouched = (parent: Parent): FamilyReport => ({
  parent,
  reaped: [],
  left: [],
  refused: null,
  rounds: 0,
  longestMs: 0,
  totalMs: 0,
});

/** What is lost to its parent. */
export const asReaped = ({ pid, comm, status }: Zombie): Reaped => ({
  pid,
  comm,
  ...decodeStatus(status),
});

/** Of a family that was refused, or only looked at. */
export function notDone(parent: Parent, left: readonly Left[], refused: string | null) {
  return { ...untouched(parent), left, refused };
}

/**
 * Make a parent wait for these zombies. Each one's identity (pid, start time) and the
 * parent's are compared right before by the addon.
 */
export async function reapInPlace(
  { core, facts, descends }: Doing,
  parent: Parent,
  zombies: readonly Zombie[],
): Promise<FamilyReport> {
  const reaped: Reaped[] = [];
  const left: Left[] = [];
  let { rounds, longestMs, totalMs, refused } = untouched(parent);
  let rest = zombies;
  let idle = 0;
  while (rest.length > 0 && refused === null) {
    const batch = rest.slice(0, CHUNK);
    const result = core.preap(request(facts, parent, descends, batch));
    rounds += result.rounds;
    longestMs = Math.max(longestMs, result.longestMs);
    totalMs += result.totalMs;
    if (result.refusal) refused = explainRefusal(result);
    const again: Zombie[] = [];
    batch.forEach((z, i) => {
      const outcome = result.outcomes[i] as PreapOutcome;
      if (outcome === PreapOutcome.Reaped) {
        reaped.push(asReaped(z));
      } else if (outcome === PreapOutcome.Left) again.push(z);
      else left.push({ pid: z.pid, comm: z.comm, why: WHY_LEFT[outcome] });
    });
    idle = again.length === batch.length ? idle + 1 : 0;
    if (idle === 3) refused ??= 'it hardly runs: nothing was reaped in three attempts';
    rest = [...again, ...rest.slice(CHUNK)];
    await turn();
  }
  for (const z of rest) left.push({ pid: z.pid, comm: z.comm, why: WHY_LEFT[PreapOutcome.Left] });
  return { parent, reaped, left, refused, rounds, longestMs, totalMs };
}

function request(
  facts: Facts,
  parent: Parent,
  descends: boolean,
  batch: readonly Zombie[],
): PreapRequest {
  /* wait4 is made in the parent: the pids must be those of its own PID namespace */
  const depth = facts.status(parent.pid)?.nsPids.length ?? 1;
  const inner = (pid: number) => (depth > 1 ? (facts.status(pid)?.nsPids[depth - 1] ?? pid) : pid);
  return {
    parent: parent.pid,
    parentStart: parent.startTicks,
    descends,
    limitMs: CHUNK_MS,
    pids: Int32Array.from(batch, (z) => z.pid),
    inner: Int32Array.from(batch, (z) => inner(z.pid)),
    starts: Float64Array.from(batch, (z) => z.startTicks),
  };
}
