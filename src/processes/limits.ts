/**
 * Which limit makes the next fork fail with EAGAIN: the pids cgroup and those above
 * it, RLIMIT_NPROC, pid_max, threads-max. "Resource temporarily unavailable" tells none.
 */
import { readFileSync, statSync } from 'node:fs';
import { directoryOf, findHierarchies, type Hierarchy, pathOf } from '../cgroups';
import { readCgroups } from '../procfs';
import type { ProcessTable } from '../procfs/batch';
import type { Limit } from './model';

function read(file: string): string {
  try {
    return readFileSync(file, 'latin1').trim();
  } catch {
    return '';
  }
}

const count = (text: string) => (/^\d+$/.test(text) ? Number(text) : undefined);

/** The one that is used up most. */
export function nearest(limits: readonly (Limit | undefined)[]): Limit | null {
  let best: Limit | null = null;
  for (const limit of limits) {
    if (limit && (!best || limit.current / limit.max > best.current / best.max)) best = limit;
  }
  return best;
}

export class Limits {
  readonly #root: string;
  readonly #table: ProcessTable;
  #hierarchies: readonly Hierarchy[] | undefined;
  #perUser: Map<number, number> | undefined;

  constructor(root: string, table: ProcessTable) {
    this.#root = root;
    this.#table = table;
  }

  /** Of the machine: tasks, zombies among them, against pid_max and threads-max. */
  machine(): Limit | null {
    const kernel = `${this.#root}/proc/sys/kernel`;
    const tasks = count(/\/(\d+) /.exec(read(`${this.#root}/proc/loadavg`))?.[1] ?? '');
    if (tasks === undefined) return null;
    const limit = (name: Limit['name'], file: string): Limit | undefined => {
      const max = count(read(`${kernel}/${file}`));
      return max ? { name, current: tasks, max, of: null } : undefined;
    };
    return nearest([
      limit('kernel.pid_max', 'pid_max'),
      limit('kernel.threads-max', 'threads-max'),
    ]);
  }

  /** Of the process that forks, up to the machine. */
  of(pid: number): Limit | null {
    return nearest([...this.#pidsMax(pid), this.#nproc(pid), this.machine() ?? undefined]);
  }

  *#pidsMax(pid: number): Generator<Limit> {
    this.#hierarchies ??= this.#find();
    for (const line of readCgroups(pid, this.#root)) {
      const version = line.hierarchy === 0 ? 2 : 1;
      if (version === 1 && !line.controllers.includes('pids')) continue;
      for (const h of this.#hierarchies) {
        const directory = h.version === version ? directoryOf(h, line.path) : undefined;
        if (!directory) continue;
        for (
          let d = directory;
          d.length >= h.mountPoint.length /* in a container that is its own cgroup */;
          d = d.slice(0, d.lastIndexOf('/'))
        ) {
          const max = count(read(`${d}/pids.max`));
          const current = count(read(`${d}/pids.current`));
          if (max && current !== undefined)
            yield { name: 'pids.max', current, max, of: pathOf(h, d) };
        }
        break;
      }
    }
  }

  #find(): readonly Hierarchy[] {
    try {
      return findHierarchies('pids', this.#root);
    } catch {
      return [];
    }
  }

  /** Threads of the user; root is not held to it. Best effort: by the owner of /proc/PID. */
  #nproc(pid: number): Limit | undefined {
    const m = /^Max processes\s+(\d+)/m.exec(read(`${this.#root}/proc/${pid}/limits`));
    const max = count(m?.[1] ?? '');
    const uid = max ? this.#uid(pid) : undefined;
    if (!max || !uid) return undefined;
    this.#perUser ??= this.#countUsers();
    return { name: 'RLIMIT_NPROC', current: this.#perUser.get(uid) ?? 0, max, of: `uid ${uid}` };
  }

  #uid(pid: number): number | undefined {
    try {
      return statSync(`${this.#root}/proc/${pid}`).uid;
    } catch {
      return undefined;
    }
  }

  #countUsers(): Map<number, number> {
    const users = new Map<number, number>();
    const { pid, threads } = this.#table.columns;
    for (let i = 0; i < this.#table.size; i++) {
      const uid = this.#uid(pid[i] as number);
      if (uid !== undefined) users.set(uid, (users.get(uid) ?? 0) + (threads[i] as number));
    }
    return users;
  }
}
