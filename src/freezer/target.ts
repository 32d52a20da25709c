/** From the argument to the cgroups it means. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { basename, normalize } from 'node:path';
import { directoryOf, type Hierarchy, type Place, pathOf, walk } from '../cgroups';
import { type CgroupLine, isWithin, parseStat, readCgroups } from '../procfs';
import { FreezerError, type FreezerReport } from './model';

export interface Target {
  kind: FreezerReport['target']['kind'];
  argument: string | null;
  pid: number | null;
  /** With the pid it names one process for good; null when there is no pid. */
  startTicks: number | null;
  comm: string | null;
  containerId: string | null;
  places: readonly Place[];
}

const PID_MAX = 4194304; /* PID_MAX_LIMIT of the kernel */

/**
 * @param argument a PID, a cgroup path (in the file system or within its mount), a container
 * id or unique prefix, or undefined: the container we run in.
 * @throws FreezerError when there is no such thing, or more than one
 */
export function findTarget(
  argument: string | undefined,
  hierarchies: readonly Hierarchy[],
  root = '',
): Target {
  if (argument === undefined) return ofPid('self', null, hierarchies, root);
  if (argument === '')
    throw new FreezerError('the argument is empty; give a PID, cgroup or container id');
  if (/^\d+$/.test(argument) && Number(argument) <= PID_MAX) {
    return ofPid(Number(argument), argument, hierarchies, root);
  }
  return ofPath(argument, hierarchies, root) ?? ofContainer(argument, hierarchies);
}

function ofPid(
  who: number | 'self',
  argument: string | null,
  hierarchies: readonly Hierarchy[],
  root: string,
): Target {
  /* Our own line is in our own /proc, whatever --root says. */
  const proc = who === 'self' ? '/proc' : `${root}/proc`;
  let line: string;
  try {
    line = readFileSync(`${proc}/${who}/stat`, 'latin1');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') {
      throw new FreezerError(`there is no process ${who} in ${proc}`);
    }
    throw new FreezerError(`cannot read ${proc}/${who}/stat: ${(error as Error).message}`);
  }
  const stat = parseStat(line);
  const lines = readCgroups(who, who === 'self' ? '' : root);
  if (!stat || lines.length === 0) {
    throw new FreezerError(`process ${who} ended while it was looked at`);
  }
  const places = lines.flatMap((l) => placeOf(l, hierarchies, stat.pid));
  if (places.length === 0) {
    throw new FreezerError(`process ${who} is in no cgroup that has a freezer`);
  }
  return {
    kind: who === 'self' ? 'self' : 'pid',
    argument,
    pid: stat.pid,
    startTicks: stat.startTicks,
    comm: stat.comm,
    containerId: null,
    places,
  };
}

function placeOf(line: CgroupLine, hierarchies: readonly Hierarchy[], pid: number): Place[] {
  const version = line.hierarchy === 0 ? 2 : 1;
  if (version === 1 && !line.controllers.includes('freezer')) return [];
  const { path, deleted } = line;
  const named = path;
  const ours = hierarchies.filter((h) => h.version === version);
  for (const hierarchy of ours) {
    const directory = directoryOf(hierarchy, path);
    if (directory) return [{ version, path, named, hierarchy, directory, deleted }];
  }
  /* A path outside of our cgroup namespace has no name here: look who has the pid. */
  for (const hierarchy of ours) {
    for (const directory of walk(hierarchy.mountPoint)) {
      if (holds(directory, pid)) {
        return [{ ...placeAt(hierarchy, directory), named, deleted }];
      }
    }
  }
  /* On a hybrid machine the one that is not mounted here is still worth a word. */
  return [{ version, path, named, hierarchy: null, directory: null, deleted }];
}

function holds(directory: string, pid: number): boolean {
  try {
    return readFileSync(`${directory}/cgroup.procs`, 'latin1').split('\n').includes(String(pid));
  } catch {
    return false;
  }
}

function ofPath(
  argument: string,
  hierarchies: readonly Hierarchy[],
  root: string,
): Target | undefined {
  const found: Place[] = [];
  const add = (hierarchy: Hierarchy, directory: string) => {
    const { version } = hierarchy;
    if (found.some((p) => p.version === version) || !isFolder(directory)) return;
    found.push(placeAt(hierarchy, directory));
  };
  const clean = normalize(argument).replace(/(.)\/$/, '$1');
  for (const base of argument.startsWith('/') ? ['', root] : []) {
    /* the deepest mount: /sys/fs/cgroup/unified is below /sys/fs/cgroup */
    const inside = hierarchies
      .filter((h) => isWithin(base + clean, h.mountPoint))
      .sort((a, b) => b.mountPoint.length - a.mountPoint.length)[0];
    if (inside && found.length === 0) add(inside, base + clean);
  }
  if (found.length === 0) {
    const path = clean.startsWith('/') ? clean : `/${clean}`;
    for (const h of hierarchies) {
      const directory = directoryOf(h, path);
      if (directory) add(h, directory);
    }
  }
  if (found.length === 0 && argument.includes('/')) {
    throw new FreezerError(
      `there is no cgroup ${argument} below ${hierarchies.map((h) => h.mountPoint).join(', ')}`,
    );
  }
  return found.length === 0 ? undefined : base(argument, 'cgroup', null, found);
}

function placeAt(hierarchy: Hierarchy, directory: string): Place {
  const path = pathOf(hierarchy, directory);
  return { version: hierarchy.version, path, named: path, hierarchy, directory, deleted: false };
}

function isFolder(path: string): boolean {
  try {
    return existsSync(path) && statSync(path).isDirectory();
  } catch {
    return false;
  }
}

function base(
  argument: string,
  kind: Target['kind'],
  containerId: string | null,
  places: readonly Place[],
): Target {
  return { kind, argument, pid: null, startTicks: null, comm: null, containerId, places };
}

/** `docker-<id>.scope`, `cri-containerd-<id>.scope`, `x.slice:cri-containerd:<id>`, `<id>` ... */
const CONTAINER = /^(?:.*[-:])?([0-9a-f]{12,64})(?:\.scope)?$/;

function ofContainer(argument: string, hierarchies: readonly Hierarchy[]): Target {
  const byId = new Map<string, Place[]>();
  for (const hierarchy of hierarchies) {
    for (const directory of walk(hierarchy.mountPoint)) {
      const name = basename(directory);
      const id = /conmon-/.test(name) ? undefined : CONTAINER.exec(name)?.[1];
      const key = name === argument ? (id ?? name) : id?.startsWith(argument) ? id : undefined;
      if (key === undefined) continue;
      const places = byId.get(key) ?? [];
      byId.set(key, places);
      /* the outermost of a name is the container, those below are inside of it */
      if (places.some((p) => p.version === hierarchy.version)) continue;
      places.push(placeAt(hierarchy, directory));
    }
  }
  const [first, ...others] = byId;
  if (!first) {
    throw new FreezerError(
      `${argument} is no PID, no cgroup and no container id or prefix of one that has a cgroup here`,
    );
  }
  if (others.length > 0) {
    const ids = [...byId.keys()].sort().map((id) => id.slice(0, 20));
    throw new FreezerError(
      `${argument} fits ${ids.length} containers: ${ids.slice(0, 8).join(', ')}; write more of the id`,
    );
  }
  return base(argument, 'container', first[0], first[1]);
}
