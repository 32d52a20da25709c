/** From two looks to findings, one for each parent and class. */
import { ContainerLookup, climb, identifyCgroups } from '../containers';
import { readCgroups } from '../procfs';
import { ADVICE_BUSY, ADVICE_STUCK, adviseFrozen, adviseZombie } from './advice';
import {
  classifyLeader,
  classifyParent,
  classifyTraced,
  MAX_LOOKED_AT,
  type Verdict,
} from './classify';
import type { Facts } from './facts';
import type { Limits } from './limits';
import type { Look, StuckTask } from './look';
import type { Container, Finding, ProcessRef } from './model';
import { type ParentFacts, readParent } from './parents';
import type { FirstSeen } from './scan';

export interface Input {
  before: Look;
  now: Look;
  facts: Facts;
  limits: Limits;
  root: string;
  seen: FirstSeen;
}

const MAX_NAMED = 20;

interface Group {
  verdict: Verdict;
  parent: ParentFacts | undefined;
  rows: number[];
}

export function findings(input: Input): Finding[] {
  const whose = new Whose(input);
  const found = [...zombies(input, whose), ...stuckTasks(input, whose), ...frozen(input, whose)];
  return found.sort((a, b) => b.count - a.count || (a.parent?.pid ?? 0) - (b.parent?.pid ?? 0));
}

/** Zombies at both looks: the pid alone may have been used again in between. */
function confirmed({ before, now }: Input): number[] {
  const old = before.table;
  const { pid, startTicks } = now.table.columns;
  return now.zombies.filter((row) => {
    const was = old.indexOf(pid[row] as number);
    return (
      was >= 0 &&
      old.columns.startTicks[was] === startTicks[row] &&
      old.columns.state[was] === now.table.columns.state[row]
    );
  });
}

function* zombies(input: Input, whose: Whose): Generator<Finding> {
  const { now, facts, root } = input;
  const frozenPids = new Set(now.frozen.flatMap((f) => f.pids));
  const parents = new Map<number, ParentFacts | undefined>();
  const looked = new Map<number, number>();
  const groups = new Map<string, Group>();
  const { pid, ppid, threads } = now.table.columns;
  for (const row of confirmed(input)) {
    const above = ppid[row] as number;
    if (!parents.has(above)) parents.set(above, readParent(facts, now.table, above, root));
    const parent = parents.get(above);
    const n = looked.get(above) ?? 0;
    looked.set(above, n + 1);
    const verdict =
      classifyLeader(facts, pid[row] as number, threads[row] as number) ??
      (n < MAX_LOOKED_AT ? classifyTraced(facts, pid[row] as number, above) : null) ??
      classifyParent(parent, frozenPids);
    const key = `${above} ${verdict.class} ${verdict.by}`;
    const group = groups.get(key);
    if (group) group.rows.push(row);
    else groups.set(key, { verdict, parent, rows: [row] });
  }
  for (const group of groups.values()) yield zombieFinding(group, input, whose);
}

function zombieFinding({ verdict, parent, rows }: Group, input: Input, whose: Whose): Finding {
  const { table } = input.now;
  const { startTicks } = table.columns;
  const oldest = rows
    .toSorted((a, b) => (startTicks[a] as number) - (startTicks[b] as number))
    .slice(0, MAX_NAMED);
  const first = table.columns.pid[oldest[0] as number] as number;
  /* A zombie of v1 has no cgroup of its own any more, its parent has. A shim's is the shim's. */
  const container =
    parent && !parent.isMonitor ? whose.container(parent.parent.pid) : whose.container(first);
  const limited = parent?.parent.pid ?? first;
  return {
    state: 'Z',
    class: verdict.class,
    count: rows.length,
    processes: oldest.map((row) => reference(input, row)),
    parent: parent?.parent ?? null,
    container,
    seenSeconds: seenFor(
      input,
      rows.map((row) => table.columns.pid[row] as number),
    ),
    limit: input.limits.of(limited),
    where: verdict.class === 'leader-stuck' ? input.facts.where(first, verdict.by) : null,
    advice: adviseZombie(verdict, parent?.parent ?? null, container !== null),
  };
}

function reference({ now }: Input, row: number): ProcessRef {
  const { pid, startTicks, comm } = now.table.get(row);
  return { pid, tid: null, startTicks, comm };
}

function seenFor({ seen, now }: Input, ids: readonly number[]): number {
  let first = now.at;
  for (const id of ids) first = Math.min(first, seen.get(id)?.[1] ?? now.at);
  return Math.round((now.at - first) * 100) / 100;
}

function* stuckTasks(input: Input, whose: Whose): Generator<Finding> {
  const { before, now, facts, limits } = input;
  const frozenPids = new Set(now.frozen.flatMap((f) => f.pids));
  for (const [id, task] of now.stuck) {
    const was = before.stuck.get(id);
    if (!was || was.startTicks !== task.startTicks || frozenPids.has(task.pid)) continue;
    const stuck = before !== now && stoodStill(was, task);
    const { pid, tid, startTicks, comm } = task;
    yield {
      state: 'D',
      class: stuck ? 'd-stuck' : 'd-busy',
      count: 1,
      processes: [{ pid, tid, startTicks, comm }],
      parent: readParent(facts, now.table, ppidOf(input, pid), input.root)?.parent ?? null,
      container: whose.container(pid),
      seenSeconds: seenFor(input, [id]),
      limit: limits.of(pid),
      where: facts.where(pid, tid),
      advice: stuck ? ADVICE_STUCK : ADVICE_BUSY,
    };
  }
}

/** It was not given the processor once. */
const stoodStill = (was: StuckTask, is: StuckTask) =>
  was.switches === is.switches && was.cpuTicks === is.cpuTicks;

function ppidOf({ now }: Input, pid: number): number {
  const row = now.table.indexOf(pid);
  return row < 0 ? 0 : (now.table.columns.ppid[row] as number);
}

function* frozen(input: Input, whose: Whose): Generator<Finding> {
  const { before, now, limits } = input;
  for (const f of now.frozen) {
    const was = before.frozen.find((b) => b.version === f.version && b.directory === f.directory);
    const [pid] = f.pids;
    if (!was || pid === undefined) continue;
    const rows = f.pids.slice(0, MAX_NAMED).map((p) => now.table.indexOf(p));
    yield {
      state: 'frozen',
      class: 'frozen',
      count: f.pids.length,
      processes: rows.filter((row) => row >= 0).map((row) => reference(input, row)),
      parent: null,
      container: whose.container(pid),
      seenSeconds: Math.round((now.at - before.at) * 100) / 100,
      limit: limits.of(pid),
      where: f.directory,
      advice: adviseFrozen(f.directory, f.freezing),
    };
  }
}

/** Whose container is a process in? Each process is looked up once. */
class Whose {
  readonly #input: Input;
  readonly #lookup: ContainerLookup;
  readonly #known = new Map<number, Container | null>();

  constructor(input: Input) {
    this.#input = input;
    this.#lookup = new ContainerLookup(input.root);
  }

  container(pid: number): Container | null {
    let known = this.#known.get(pid);
    if (known === undefined) {
      known = this.#find(pid);
      this.#known.set(pid, known);
    }
    return known;
  }

  #find(pid: number): Container | null {
    const { table } = this.#input.now;
    const identity = identifyCgroups(readCgroups(pid, this.#input.root));
    const ancestry = climb(pid, (p) => {
      const row = table.indexOf(p);
      return row < 0 ? undefined : table.get(row);
    });
    if (!identity?.containerId && !identity?.podUid && ancestry.kind === null) return null;
    const info = this.#lookup.describe({
      containerId: identity?.containerId ?? null,
      podUid: identity?.podUid ?? null,
      runtime: identity?.runtime ?? null,
      ancestry,
      pid: ancestry.initPid ?? pid,
    });
    return {
      id: info.containerId,
      runtime: info.runtime,
      name: info.container,
      image: info.image,
      pod: info.pod,
      namespace: info.namespace,
      podUid: info.podUid,
    };
  }
}
