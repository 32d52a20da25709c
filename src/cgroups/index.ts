/** Where cgroup hierarchies are mounted, and where a cgroup's folder lies in them. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { isWithin, readMounts } from '../procfs';

export interface Hierarchy {
  version: 1 | 2;
  /** In our file system: --root is part of it. */
  mountPoint: string;
  /** The cgroup that is mounted there, `/` for the whole tree. */
  mountRoot: string;
  readOnly: boolean;
  /** Of --root, '' for the running system. */
  root: string;
}

/** A cgroup in one hierarchy. */
export interface Place {
  version: 1 | 2;
  path: string;
  /** For a process: the path as /proc/PID/cgroup has it. */
  named: string;
  /** null: the hierarchy exists but is not mounted here. */
  hierarchy: Hierarchy | null;
  directory: string | null;
  deleted: boolean;
}

/**
 * All mounts of a v1 controller (also when mounted together with others) and of
 * cgroup2, as mountinfo has them: no place is taken for granted. The widest view
 * comes first.
 * @throws when mountinfo cannot be read
 */
export function findHierarchies(controller: string, root = ''): Hierarchy[] {
  const file = `${root}/proc/${root === '' ? 'self' : '1'}/mountinfo`;
  const found = readMounts(file).flatMap((m): Hierarchy[] => {
    const v1 = m.fsType === 'cgroup' && m.superOptions.includes(controller);
    if (!v1 && m.fsType !== 'cgroup2') return [];
    return [
      {
        version: v1 ? 1 : 2,
        mountPoint: root + m.mountPoint,
        mountRoot: m.root,
        root,
        readOnly: m.options.includes('ro') || m.superOptions.includes('ro'),
      },
    ];
  });
  /* and one that can be written before one that cannot */
  return found.sort(
    (a, b) => depth(a.mountRoot) - depth(b.mountRoot) || Number(a.readOnly) - Number(b.readOnly),
  );
}

const depth = (path: string) => {
  const names = path.split('/').filter(Boolean);
  const up = names.filter((n) => n === '..').length;
  return names.length - 2 * up;
};

/** The folder of a cgroup path in this mount, undefined when it lies outside of it. */
export function directoryOf(h: Hierarchy, path: string): string | undefined {
  if (!isWithin(path, h.mountRoot)) return undefined;
  const rest = h.mountRoot === '/' ? path : path.slice(h.mountRoot.length);
  if (rest.split('/').includes('..')) return undefined;
  return rest === '/' || rest === '' ? h.mountPoint : join(h.mountPoint, rest);
}

/** The cgroup path of a folder below a mount. */
export function pathOf(h: Hierarchy, directory: string): string {
  const rest = directory.slice(h.mountPoint.length);
  if (rest === '') return h.mountRoot;
  return h.mountRoot === '/' ? rest : h.mountRoot + rest;
}

const MAX_FOLDERS = 200_000;

/** Every cgroup below a folder, itself first, parents before children. Vanishing ones are left out. */
export function* walk(top: string): Generator<string> {
  const queue = [top];
  for (let i = 0; i < queue.length && i < MAX_FOLDERS; i++) {
    const directory = queue[i] as string;
    let entries: import('node:fs').Dirent[];
    try {
      entries = readdirSync(directory, { withFileTypes: true });
    } catch {
      continue;
    }
    yield directory;
    for (const e of entries) if (e.isDirectory()) queue.push(`${directory}/${e.name}`);
  }
}
