/** One look: all processes in one pass, and what of them is suspect. */
import { readFileSync } from 'node:fs';
import { findHierarchies, type Hierarchy, pathOf, walk } from '../cgroups';
import { readState } from '../freezer';
import { type Facts, threadsOf } from '../processes';
import { type ProcessTable, readProcessTable } from '../procfs/batch';
import { ScanError } from './model';

const Z = 'Z'.charCodeAt(0);
const D = 'D'.charCodeAt(0);

/** A thread in D. */
export interface StuckTask {
  pid: number;
  /** null: the first thread. */
  tid: number | null;
  startTicks: number;
  comm: string;
  switches: number;
  cpuTicks: number;
}

export interface FrozenCgroup {
  version: 1 | 2;
  path: string;
  directory: string;
  /** Asked for and not reached. */
  freezing: boolean;
  pids: readonly number[];
}

export interface Look {
  /** CLOCK_MONOTONIC, seconds. */
  at: number;
  table: ProcessTable;
  /** Rows in state Z. */
  zombies: readonly number[];
  /** By thread id. */
  stuck: ReadonlyMap<number, StuckTask>;
  frozen: readonly FrozenCgroup[];
}

export interface Wanted {
  zombies: boolean;
  stuck: boolean;
  frozen: boolean;
}

/** @throws ScanError when /proc cannot be read at all */
export function takeLook(facts: Facts, root: string, wanted: Wanted): Look {
  let table: ProcessTable;
  try {
    table = readProcessTable(facts.proc);
  } catch (error) {
    throw new ScanError((error as Error).message);
  }
  if (table.size === 0) {
    throw new ScanError(`${facts.proc} holds no process: is the proc of the host mounted there?`);
  }
  const at = Number(process.hrtime.bigint()) / 1e9;
  const zombies: number[] = [];
  const stuck = new Map<number, StuckTask>();
  const { state, threads } = table.columns;
  for (let i = 0; i < table.size; i++) {
    if (state[i] === Z) {
      zombies.push(i);
      continue;
    }
    if (!wanted.stuck) continue;
    if (state[i] === D) addStuck(stuck, facts, table, i, null);
    if ((threads[i] as number) > 1) addThreads(stuck, facts, table, i);
  }
  return { at, table, zombies, stuck, frozen: wanted.frozen ? findFrozen(root) : [] };
}

/** Sleepers in D behind a first thread that is not. */
function addThreads(
  stuck: Map<number, StuckTask>,
  facts: Facts,
  all: ProcessTable,
  row: number,
): void {
  const pid = all.columns.pid[row] as number;
  const threads = threadsOf(facts, pid);
  if (!threads) return;
  for (let i = 0; i < threads.size; i++) {
    if (threads.columns.state[i] !== D || threads.columns.pid[i] === pid) continue;
    addStuck(stuck, facts, threads, i, pid);
  }
}

function addStuck(
  stuck: Map<number, StuckTask>,
  facts: Facts,
  table: ProcessTable,
  row: number,
  leader: number | null,
): void {
  const { pid: id, comm, startTicks, cpuTicks } = table.get(row);
  const pid = leader ?? id;
  const tid = leader === null ? null : id;
  const switches = facts.status(pid, tid)?.switches ?? 0;
  stuck.set(id, { pid, tid, startTicks, comm, switches, cpuTicks });
}

/**
 * From the freezer's files, never from a letter: on v2 a frozen task is S. Of
 * cgroups within each other the outermost is told.
 */
function findFrozen(root: string): FrozenCgroup[] {
  let hierarchies: Hierarchy[];
  try {
    hierarchies = findHierarchies('freezer', root);
  } catch {
    return [];
  }
  const found: FrozenCgroup[] = [];
  const seen = new Set<string>();
  for (const h of hierarchies) {
    for (const directory of walk(h.mountPoint)) {
      const { state } = readState(h, directory);
      if (state !== 'frozen' && state !== 'freezing') continue;
      const path = pathOf(h, directory);
      const key = `${h.version}:${path}`;
      const inside = found.find(
        (f) => f.version === h.version && directory.startsWith(`${f.directory}/`),
      );
      if (seen.has(key) || inside) continue;
      seen.add(key);
      found.push({
        version: h.version,
        path,
        directory,
        freezing: state === 'freezing',
        pids: pidsBelow(directory),
      });
    }
  }
  return found.filter((f) => f.pids.length > 0); /* an empty one hinders nobody */
}

function pidsBelow(directory: string): number[] {
  const pids: number[] = [];
  for (const d of walk(directory)) {
    try {
      for (const word of readFileSync(`${d}/cgroup.procs`, 'latin1').split('\n')) {
        if (Number(word) > 0) pids.push(Number(word));
      }
    } catch {
      /* removed meanwhile; or threaded, and then it is in the domain's list */
    }
  }
  return pids;
}
