/** From two looks to findings, one for each parent and class. */
import { ContainerLookup, climb, identifyCgroups } from '../containers';
import {
  classifyLeader,
  classifyParent,
  classifyTraced,
  type Facts,
  type Limits,
  MAX_LOOKED_AT,
  type ParentFacts,
  readParent,
  type Verdict,
} from '../processes';
import { readCgroups } from '../procfs';
import { ADVICE_BUSY, ADVICE_STUCK, adviseFrozen, adviseZombie } from './advice';
import type { Look, StuckTask } from './look';
import type { Container, Finding, ProcessRef } from './model';
import type { FirstSeen } from './seen';

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

/** The zombies of one parent. */
interface Family {
  parent: ParentFacts | undefined;
  lookedAt: number;
  /** Those with nothing of their own to tell. */
  plain: Group | undefined;
}

export function findings(input: Input): Finding[] {
  const whose = new Whose(input);
  const found = [...zombies(input, whose), ...stuckTasks(input, whose), ...frozen(input, whose)];
  return found.sort((a, b) => b.count - a.count || (a.parent?.pid ?? 0) - (b.parent?.pid ?? 0));
}

/** Zombies at both looks: the pid alone may have been used again in between. */
function confirmed({ before, now }: Input): number[] {
  if (before === now) return [...now.zombies];
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
  const families = new Map<number, Family>();
  const groups: Group[] = [];
  const odd = new Map<string, Group>();
  const { pid, ppid, threads } = now.table.columns;
  const start = (verdict: Verdict, parent: ParentFacts | undefined): Group => {
    const group = { verdict, parent, rows: [] };
    groups.push(group);
    return group;
  };
  let family: Family | undefined;
  let parentPid = 0;
  for (const row of confirmed(input)) {
    const above = ppid[row] as number;
    /* those of one parent mostly stand together */
    if (!family || above !== parentPid) family = families.get(above);
    parentPid = above;
    if (!family) {
      const parent = readParent(facts, now.table, above, root);
      family = { parent, lookedAt: 0, plain: undefined };
      families.set(above, family);
    }
    let own: Verdict | null = null;
    if ((threads[row] as number) > 1) {
      own = classifyLeader(facts, pid[row] as number);
    }
    if (!own && family.lookedAt < MAX_LOOKED_AT) {
      family.lookedAt++;
      own = classifyTraced(facts, pid[row] as number, above);
    }
    let group: Group | undefined;
    if (own) {
      const key = `${above} ${own.class} ${own.by}`;
      group = odd.get(key) ?? start(own, family.parent);
      odd.set(key, group);
    } else {
      family.plain ??= start(classifyParent(family.parent, frozenPids), family.parent);
      group = family.plain;
    }
    group.rows.push(row);
  }
  for (const group of groups) yield zombieFinding(group, input, whose);
}

function zombieFinding({ verdict, parent, rows }: Group, input: Input, whose: Whose): Finding {
  const { table } = input.now;
  const { startTicks } = table.columns;
  const oldest = lowest(rows, startTicks, MAX_NAMED);
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
    seenSeconds: input.seen.zombies(rows),
    limit: input.limits.of(limited),
    where: verdict.class === 'leader-stuck' ? input.facts.where(first, verdict.by) : null,
    advice: adviseZombie(verdict, parent?.parent ?? null, container !== null),
  };
}

function reference({ now }: Input, row: number): ProcessRef {
  const { pid, startTicks, comm } = now.table.get(row);
  return { pid, tid: null, startTicks, comm };
}

/** The first `most` of these rows by a column, without putting all of them in order. */
function lowest(rows: readonly number[], column: Float64Array, most: number): number[] {
  const kept: number[] = [];
  let bound = Number.POSITIVE_INFINITY;
  for (const row of rows) {
    const value = column[row] as number;
    if (value >= bound) continue;
    let i = kept.length;
    while (i > 0 && (column[kept[i - 1] as number] as number) > value) i--;
    kept.splice(i, 0, row);
    if (kept.length > most) kept.pop();
    if (kept.length === most) bound = column[kept[most - 1] as number] as number;
  }
  return kept;
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
      seenSeconds: input.seen.stuck(id),
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
