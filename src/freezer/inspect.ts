/** The whole answer: who is frozen, by whom, since when, and what to do. */
import { readFileSync, statSync } from 'node:fs';
import { findHierarchies, type Hierarchy, type Place } from '../cgroups';
import {
  FreezerError,
  type FreezerReport,
  type FreezerState,
  type FrozenRelative,
  type HierarchyReport,
  type Owner,
} from './model';
import { ownerOf } from './owner';
import { field, frozenAncestors, frozenDescendants, readState } from './state';
import { findTarget, type Target } from './target';
import { explainTask, resistingTasks } from './tasks';

export interface InspectOptions {
  /** Also look for cgroups below that were frozen by themselves. Default false. */
  recursive?: boolean;
  /** Read ROOT/proc and ROOT/sys. Default: the running system. */
  root?: string;
}

/** What inspection found, with what is needed to act on it. */
export interface Inspection {
  report: FreezerReport;
  target: Target;
}

/**
 * Who froze it?
 * @param argument PID, cgroup path, container id or prefix; undefined: this container
 * @throws FreezerError when the target cannot be found or no freezer is mounted
 */
export function inspectFreezer(
  argument?: string | number,
  options: InspectOptions = {},
): FreezerReport {
  return inspect(argument === undefined ? undefined : String(argument), options).report;
}

export function inspect(argument: string | undefined, options: InspectOptions = {}): Inspection {
  const root = (options.root ?? '').replace(/\/+$/, '');
  const target = findTarget(argument, freezers(root), root);
  const hierarchies = target.places.map((p) =>
    inspectPlace(p, target, options.recursive === true, root),
  );
  return { target, report: compose(target, hierarchies) };
}

/** @throws FreezerError when mountinfo cannot be read or holds no freezer */
export function freezers(root: string): Hierarchy[] {
  let found: Hierarchy[];
  try {
    found = findHierarchies('freezer', root);
  } catch (error) {
    throw new FreezerError(`cannot read where cgroups are mounted: ${(error as Error).message}`);
  }
  if (found.length > 0) return found;
  throw new FreezerError(
    'neither cgroup2 nor the v1 freezer is mounted; mount the /sys of the host and name it with --root',
  );
}

const RANK: Readonly<Record<FreezerState, number>> = {
  frozen: 5,
  freezing: 4,
  running: 3,
  unknown: 2,
  gone: 1,
  root: 0,
};

export function compose(target: Target, hierarchies: readonly HierarchyReport[]): FreezerReport {
  const [worst] = hierarchies.toSorted((a, b) => RANK[b.state] - RANK[a.state]);
  const stopped = hierarchies.filter((h) => h.state === 'frozen' || h.state === 'freezing');
  const self = stopped.some((h) => h.self);
  const ancestor = stopped.some((h) => h.parent);
  const { kind, argument, pid, comm, containerId } = target;
  return {
    schemaVersion: 1,
    target: { kind, argument, pid, comm, containerId },
    state: worst?.state ?? 'unknown',
    frozenBy: self ? (ancestor ? 'both' : 'self') : ancestor ? 'ancestor' : null,
    hierarchies,
  };
}

export function inspectPlace(
  place: Place,
  target: Target,
  recursive: boolean,
  root: string,
): HierarchyReport {
  const { version, path, hierarchy, directory } = place;
  const bare: HierarchyReport = {
    version,
    mountPoint: hierarchy?.mountPoint ?? null,
    path,
    directory,
    state: place.deleted ? 'gone' : 'unknown',
    self: null,
    parent: null,
    frozenAncestors: [],
    frozenDescendants: [],
    resisting: [],
    frozenSeconds: null,
    lastWritten: null,
    owner: ownerOf(path, root),
    advice: '',
  };
  if (!hierarchy || !directory || place.deleted) {
    const advice = place.deleted
      ? 'the cgroup was removed; a task that still shows it is a zombie'
      : `this hierarchy is not mounted here, so its state is not known; run it on the host`;
    return { ...bare, advice };
  }
  const state = readState(hierarchy, directory);
  const seen = {
    ...bare,
    ...state,
    frozenAncestors: frozenAncestors(hierarchy, directory),
    frozenDescendants: recursive ? frozenDescendants(hierarchy, directory) : [],
    resisting: state.state === 'freezing' ? resistingTasks(version, directory, root) : [],
    frozenSeconds: frozenSeconds(version, directory),
    lastWritten: state.self ? lastWritten(version, directory) : null,
  };
  return { ...seen, advice: advise(seen, refrigerated(version, state.state, target.pid, root)) };
}

/** cgroup.stat.local has it since Linux 6.18 (afa3701c0e45); microseconds there. */
function frozenSeconds(version: 1 | 2, directory: string): number | null {
  const usec = version === 2 ? field(`${directory}/cgroup.stat.local`, 'frozen_usec') : null;
  return usec === null ? null : usec / 1e6;
}

function lastWritten(version: 1 | 2, directory: string): string | null {
  try {
    const file = version === 1 ? 'freezer.state' : 'cgroup.freeze';
    const { mtimeMs } = statSync(`${directory}/${file}`);
    /* Just now: the kernel made the inode for our own look, and knows nothing. */
    return Date.now() - mtimeMs < 1000 ? null : new Date(mtimeMs).toISOString();
  } catch {
    return null;
  }
}

/** THAWED, and yet in the refrigerator: a kernel defect, or the machine is being suspended. */
function refrigerated(
  version: 1 | 2,
  state: FreezerState,
  pid: number | null,
  root: string,
): boolean {
  if (version !== 1 || state !== 'running' || pid === null) return false;
  try {
    return /refrigerator/.test(readFileSync(`${root}/proc/${pid}/wchan`, 'latin1'));
  } catch {
    return false;
  }
}

const list = (relatives: readonly FrozenRelative[]) => relatives.map((r) => r.path).join(', ');

/** One sentence. The order is that of what must be known first. */
function advise(h: HierarchyReport, refrigerator: boolean): string {
  if (h.state === 'root') return 'the root cgroup has no freezer';
  if (h.state === 'gone') return 'the cgroup was removed';
  if (h.state === 'unknown') return 'its files cannot be read; run it as root, on the host';
  if (h.state === 'running') {
    if (refrigerator) {
      return 'not frozen, and yet the task is in the refrigerator: a system suspend, or a defect of this kernel; freeze and thaw the cgroup once';
    }
    if (h.frozenDescendants.length > 0)
      return `running, but below it is frozen: ${list(h.frozenDescendants)}`;
    return 'not frozen';
  }
  const what = h.state === 'frozen' ? 'frozen' : 'about to freeze';
  const own = howToThaw(h.owner, `lychgate freezer --thaw ${h.directory}`);
  if (h.state === 'freezing') {
    const [task] = h.resisting;
    const why = task ? `; ${task.tid} (${task.comm}) ${explainTask(task)}` : '';
    if (h.self)
      return `${what} and cannot finish${why}. Waiting does not help, thawing does: ${own}`;
    if (h.parent) return `${what} by an ancestor and cannot finish${why}. ${ancestorAdvice(h)}`;
  }
  if (h.self && h.parent) return `${what} by itself and by an ancestor. ${ancestorAdvice(h)}`;
  if (h.self) return `${what} by itself. To thaw: ${own}`;
  if (h.parent) return `${what} by an ancestor. ${ancestorAdvice(h)}`;
  return `${what}, and no request for it is to be seen`;
}

function ancestorAdvice(h: HierarchyReport): string {
  const [nearest] = h.frozenAncestors;
  if (!nearest) return 'It lies above what is mounted here: look on the host';
  const raw = `lychgate freezer --thaw --ancestors ${h.directory}`;
  return `Frozen there: ${list(h.frozenAncestors)}. To thaw: ${howToThaw(nearest.owner, raw)}`;
}

/** The owner's command first; but one that knows nothing of it would refuse. */
function howToThaw(owner: Owner | null, raw: string): string {
  if (!owner) return raw;
  if (owner.paused === false) return `${raw} (${owner.engine} does not know of it)`;
  return `${owner.thaw}, or ${raw}`;
}
