/** What an engine could leave behind on the host: looked at before and after. */
import { readdirSync, readFileSync } from 'node:fs';
import { MARK } from './engine';
import { run } from './init';

/** Of the engine and its containers; others come and go on the host. */
function processes(): string[] {
  const found: string[] = [];
  for (const pid of readdirSync('/proc').filter((n) => /^\d+$/.test(n))) {
    try {
      const read = (file: string) => readFileSync(`/proc/${pid}/${file}`, 'latin1');
      const ours =
        read('environ').split('\0').includes(MARK) || read('cgroup').includes('/docker/');
      if (ours) found.push(`${pid} (${read('comm').trim()})`);
    } catch {
      // It ended while we looked.
    }
  }
  return found;
}

function lines(argv: readonly string[]): string[] {
  return run(argv).stdout.split('\n').filter(Boolean);
}

/** Where an engine keeps its things by default: on the host ours must not. */
const FOLDERS = ['docker', 'containerd', 'runc'].flatMap((x) => [`/run/${x}`, `/var/lib/${x}`]);

export interface Leftovers {
  processes: string[];
  mounts: string[];
  cgroups: string[];
  files: string[];
}

export function survey(): Leftovers {
  return {
    processes: processes(),
    mounts: readFileSync('/proc/self/mountinfo', 'utf8').split('\n'),
    // By name, for other tests make cgroups too.
    cgroups: lines(['find', '/sys/fs/cgroup', '-maxdepth', '4', '-type', 'd']).filter((d) =>
      /docker|moby|k8s\.io|containerd|runc|\.(slice|scope)/.test(d),
    ),
    files: lines(['find', ...FOLDERS, '-xdev', '-maxdepth', '3']),
  };
}

/** What was not there before. */
export function since(before: Leftovers, after: Leftovers = survey()): Leftovers {
  const added = (key: keyof Leftovers) => after[key].filter((x) => !before[key].includes(x));
  return {
    processes: added('processes'),
    mounts: added('mounts'),
    cgroups: added('cgroups'),
    files: added('files'),
  };
}

export const NOTHING: Leftovers = { processes: [], mounts: [], cgroups: [], files: [] };
