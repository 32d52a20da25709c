/** Thawing: only what was asked to freeze, only if it still is what was looked at. */
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readFileSync,
  statSync,
  writeSync,
} from 'node:fs';
import type { Hierarchy } from '../cgroups';
import { parseStat, readCgroups } from '../procfs';
import { compose, type InspectOptions, inspect, inspectPlace } from './inspect';
import { FreezerError, type FreezerReport, type Owner } from './model';
import type { Target } from './target';
import { waitForState } from './wait';

export interface ThawOptions extends InspectOptions {
  /** Also thaw the ancestors that were asked to freeze. Default false. */
  ancestors?: boolean;
  /** How long to wait for the tasks to run again, seconds. Default 5. */
  wait?: number;
  /** Told before a cgroup is thawed: whose it is, whose command would be kinder. */
  onBefore?: (directory: string, owner: Owner | null) => void;
  /** Told right after it was written. */
  onThawed?: (directory: string) => void;
}

export interface ThawReport {
  before: FreezerReport;
  after: FreezerReport;
  /** Folders of the cgroups that were thawed, in order. */
  thawed: readonly string[];
  /** Why the target is not running although asked for, null when it is. */
  refused: string | null;
}

interface Step {
  hierarchy: Hierarchy;
  directory: string;
  inode: number;
  owner: Owner | null;
}

/**
 * Thaw the target where it was asked to freeze, wait, and look again.
 * @throws FreezerError when the target is not found, moved, or cannot be written
 */
export async function thaw(
  argument?: string | number,
  options: ThawOptions = {},
): Promise<ThawReport> {
  const { report: before, target } = inspect(
    argument === undefined ? undefined : String(argument),
    options,
  );
  const root = (options.root ?? '').replace(/\/+$/, '');
  const steps = plan(before, target, options.ancestors === true);
  for (const step of steps) checkFolder(step);
  const thawed: string[] = [];
  for (const step of steps) {
    options.onBefore?.(step.directory, step.owner);
    checkIdentity(target, root, thawed);
    writeThaw(step);
    thawed.push(step.directory);
    options.onThawed?.(step.directory);
  }
  const until = Date.now() + (options.wait ?? 5) * 1000;
  const hopeful = before.hierarchies.map(
    (h) => thawed.length > 0 && !(h.parent && !options.ancestors),
  );
  for (const place of target.places.filter((_, i) => hopeful[i])) {
    await waitForState(place, (s) => s !== 'frozen' && s !== 'freezing', until - Date.now());
  }
  const after = compose(
    target,
    target.places.map((p) => inspectPlace(p, target, options.recursive === true, root)),
  );
  return { before, after, thawed, refused: refusal(after, options.ancestors === true) };
}

function plan(report: FreezerReport, target: Target, ancestors: boolean): Step[] {
  return report.hierarchies.flatMap((h, i): Step[] => {
    const hierarchy = target.places[i]?.hierarchy;
    if (!hierarchy || !h.directory || (h.state !== 'frozen' && h.state !== 'freezing')) return [];
    const own = h.self ? [{ directory: h.directory, owner: h.owner }] : [];
    /* From the top: else the lower one stays frozen for a moment by the upper. */
    const above = ancestors ? h.frozenAncestors.toReversed() : [];
    return [...above, ...own].map(({ directory, owner }) => {
      return { hierarchy, directory, owner, inode: inodeOf(directory) };
    });
  });
}

function inodeOf(directory: string): number {
  try {
    return statSync(directory).ino;
  } catch {
    throw new FreezerError(`${directory} was removed meanwhile; nothing was written`);
  }
}

/** The process we were asked about must still be that process, in that cgroup. */
function checkIdentity(target: Target, root: string, thawed: readonly string[]): void {
  if (target.pid === null || target.kind === 'self') return;
  const { pid } = target;
  const done = thawed.length === 0 ? 'nothing was written' : `thawed before: ${thawed.join(', ')}`;
  let line = '';
  try {
    line = readFileSync(`${root}/proc/${pid}/stat`, 'latin1');
  } catch {
    /* gone: told below */
  }
  if (parseStat(line)?.startTicks !== target.startTicks) {
    throw new FreezerError(`process ${pid} is gone; ${done}`);
  }
  const now = readCgroups(pid, root);
  for (const place of target.places) {
    const is = now.find((l) =>
      place.version === 2 ? l.hierarchy === 0 : l.controllers.includes('freezer'),
    );
    if (is && is.path !== place.named) {
      throw new FreezerError(
        `process ${pid} moved from ${place.path} to ${is.path} meanwhile; ${done}`,
      );
    }
  }
}

function checkFolder(step: Step): void {
  if (step.hierarchy.readOnly) throw readOnly(step.directory);
}

const readOnly = (directory: string) =>
  new FreezerError(
    `${directory} is mounted read-only: run it on the host, or in a container that has the cgroups mounted for writing`,
  );

/**
 * Through a handle on the folder, compared with the one that was looked at: a
 * cgroup that was removed and made anew under the same name is another one.
 */
function writeThaw({ hierarchy, directory, inode }: Step): void {
  const name = hierarchy.version === 1 ? 'freezer.state' : 'cgroup.freeze';
  let folder = -1;
  let file = -1;
  try {
    folder = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
    if (fstatSync(folder).ino !== inode) {
      throw new FreezerError(
        `${directory} was removed and made anew meanwhile; nothing was written to it`,
      );
    }
    file = openSync(`/proc/self/fd/${folder}/${name}`, constants.O_WRONLY | constants.O_TRUNC);
    writeSync(file, hierarchy.version === 1 ? 'THAWED' : '0');
  } catch (error) {
    throw error instanceof FreezerError
      ? error
      : explainWrite(`${directory}/${name}`, directory, error);
  } finally {
    if (file >= 0) closeSync(file);
    if (folder >= 0) closeSync(folder);
  }
}

function explainWrite(file: string, directory: string, error: unknown): FreezerError {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'EROFS') return readOnly(directory);
  if (code === 'EACCES' || code === 'EPERM') {
    return new FreezerError(`may not write ${file} (${code}): run it as root on the host`);
  }
  if (code === 'ENOENT' || code === 'ENODEV') {
    return new FreezerError(`${directory} was removed meanwhile`);
  }
  return new FreezerError(`cannot write ${file}: ${message}`);
}

function refusal(after: FreezerReport, ancestors: boolean): string | null {
  const still = after.hierarchies.find((h) => h.state === 'frozen' || h.state === 'freezing');
  if (!still) return null;
  const [nearest] = still.frozenAncestors;
  if (still.parent && !ancestors) {
    return nearest
      ? `frozen by its ancestor ${nearest.path}; thaw that one too with --ancestors, or alone: lychgate freezer --thaw ${nearest.directory}`
      : 'frozen by an ancestor above what is mounted here; look on the host';
  }
  if (still.parent && !nearest)
    return 'frozen by an ancestor above what is mounted here; look on the host';
  if (still.self) return 'somebody asked for it again, or its tasks do not run on yet';
  return still.advice;
}
