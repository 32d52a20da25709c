/**
 * Were we frozen? Nobody tells a process: it can only see afterwards that the
 * clock went on and it did not. What else makes such a gap is told apart:
 * CPU time was used (busy), cpu.stat counted it (throttled), CLOCK_MONOTONIC did
 * not move (suspend). Since Linux 6.18 cgroup.stat.local says it for sure.
 */
import { readFileSync } from 'node:fs';
import { readCgroups, readMounts } from '../procfs';

export interface Gap {
  /** stopped: by a signal, or the whole machine stood still. */
  cause: 'frozen' | 'stopped' | 'throttled';
  seconds: number;
  /** The kernel's own count says so. */
  confirmed: boolean;
  text: string;
}

/** One look; seconds. null where the kernel does not tell. */
export interface Look {
  clock: number;
  cpu: number;
  throttled: number | null;
  frozen: number | null;
}

const NOTICEABLE = 0.5; /* seconds; below that a busy machine explains it */

/** What happened between two looks that should be `interval` seconds apart. */
export function judge(before: Look, after: Look, interval: number): Gap | undefined {
  const gap = after.clock - before.clock - interval;
  const seconds = Math.round(gap * 10) / 10;
  const since = (key: 'throttled' | 'frozen') => {
    const [a, b] = [before[key], after[key]];
    return a === null || b === null ? null : b - a;
  };
  const frozen = since('frozen');
  if (frozen !== null && frozen >= NOTICEABLE) {
    const told = Math.round(frozen * 10) / 10;
    const text = `was frozen for ${told.toFixed(1)} s, as the kernel counted`;
    return { cause: 'frozen', seconds: told, confirmed: true, text };
  }
  if (gap < NOTICEABLE || after.cpu - before.cpu > gap / 2) return undefined;
  if ((since('throttled') ?? 0) > gap / 2) {
    const text = `was throttled: stood still for ${seconds.toFixed(1)} s (cpu.max)`;
    return { cause: 'throttled', seconds, confirmed: true, text };
  }
  if (frozen !== null) {
    const text = `stood still for ${seconds.toFixed(1)} s, and was not frozen: stopped, or the machine paused`;
    return { cause: 'stopped', seconds, confirmed: true, text };
  }
  const text = `was frozen for ${seconds.toFixed(1)} s, or stopped: the clock went on and no CPU time was used`;
  return { cause: 'frozen', seconds, confirmed: false, text };
}

/** @returns what ends the watch */
export function watchFreezer(intervalMs: number, report: (gap: Gap) => void): () => void {
  const folder = ownCgroup();
  let last = look(folder);
  const timer = setInterval(() => {
    const now = look(folder);
    const gap = judge(last, now, intervalMs / 1000);
    last = now;
    if (gap) report(gap);
  }, intervalMs);
  return () => clearInterval(timer);
}

function look(folder: string | undefined): Look {
  const { user, system } = process.cpuUsage();
  return {
    clock: Number(process.hrtime.bigint()) / 1e9,
    cpu: (user + system) / 1e6,
    throttled: count(folder, 'cpu.stat', 'throttled_usec'),
    frozen: count(folder, 'cgroup.stat.local', 'frozen_usec'),
  };
}

function count(folder: string | undefined, file: string, key: string): number | null {
  if (folder === undefined) return null;
  try {
    const text = readFileSync(`${folder}/${file}`, 'latin1');
    const m = new RegExp(`^${key} (\\d+)$`, 'm').exec(text);
    return m ? Number(m[1]) / 1e6 : null;
  } catch {
    return null;
  }
}

/** Our folder in version 2; version 1 counts nothing. */
function ownCgroup(): string | undefined {
  try {
    const path = readCgroups('self').find((line) => line.hierarchy === 0)?.path;
    const mount = readMounts('/proc/self/mountinfo').find((m) => m.fsType === 'cgroup2');
    if (path === undefined || !mount) return undefined;
    const rest = mount.root === '/' ? path : path.slice(mount.root.length);
    return path.startsWith(mount.root) ? `${mount.mountPoint}/${rest}` : undefined;
  } catch {
    return undefined;
  }
}
