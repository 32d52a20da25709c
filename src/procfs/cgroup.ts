/**
 * /proc/PID/cgroup (cgroups(7)).
 */
import { readFileSync } from 'node:fs';

export interface CgroupLine {
  /** 0 for version 2. */
  hierarchy: number;
  /** ['name=systemd'] for a named one, [] for version 2. */
  controllers: readonly string[];
  path: string;
  /** The cgroup was removed while this task, a zombie, still shows it. */
  deleted: boolean;
}

export function parseCgroupFile(text: string): CgroupLine[] {
  const lines: CgroupLine[] = [];
  for (const line of text.split('\n')) {
    const m = /^(\d+):([^:]*):(\/.*)$/.exec(line);
    if (!m) continue;
    const [, hierarchy, controllers, whole = ''] = m;
    const deleted = whole.endsWith(' (deleted)');
    lines.push({
      hierarchy: Number(hierarchy),
      controllers: controllers ? controllers.split(',') : [],
      path: deleted ? whole.slice(0, -' (deleted)'.length) : whole,
      deleted,
    });
  }
  return lines;
}

/** [] when the process or thread is gone or may not be read. */
export function readCgroups(
  pid: number | 'self' | `${number}/task/${string}`,
  root = '',
): CgroupLine[] {
  try {
    return parseCgroupFile(readFileSync(`${root}/proc/${pid}/cgroup`, 'utf8'));
  } catch {
    return [];
  }
}
