/**
 * /proc/PID/mountinfo (proc_pid_mountinfo(5)).
 */
import { readFileSync } from 'node:fs';

export interface Mount {
  id: number;
  parent: number;
  /** The part of the file system that is mounted; seen from our cgroup namespace for cgroups. */
  root: string;
  mountPoint: string;
  /** Of this mount: rw, relatime ... */
  options: readonly string[];
  fsType: string;
  /** Of the file system: rw, freezer ... */
  superOptions: readonly string[];
}

/** Lines of another form are left out. */
export function parseMountinfo(text: string): Mount[] {
  const mounts: Mount[] = [];
  for (const line of text.split('\n')) {
    const [before, after] = line.split(' - ', 2);
    const [id, parent, , root, mountPoint, options] = before?.split(' ') ?? [];
    const [fsType, , superOptions] = after?.split(' ') ?? [];
    if (!root || !mountPoint || !options || !fsType) continue;
    mounts.push({
      id: Number(id),
      parent: Number(parent),
      root: unquote(root),
      mountPoint: unquote(mountPoint),
      options: options.split(','),
      fsType,
      superOptions: superOptions?.split(',') ?? [],
    });
  }
  return mounts;
}

/** Blank, tab, newline and backslash come as three octal digits. */
function unquote(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

/**
 * Those that a path still leads to: a later mount on the same place, or on a
 * folder above it, hides what was there.
 */
export function visibleMounts(mounts: readonly Mount[]): Mount[] {
  const byId = new Map(mounts.map((m) => [m.id, m]));
  return mounts.filter((mount) => {
    const chain = new Set<number>();
    for (let m: Mount | undefined = mount; m && !chain.has(m.id); m = byId.get(m.parent)) {
      chain.add(m.id);
    }
    return !mounts.some(
      (other) =>
        !chain.has(other.id) &&
        chain.has(other.parent) &&
        isWithin(mount.mountPoint, other.mountPoint),
    );
  });
}

/** Is path the folder itself or below it? */
export function isWithin(path: string, folder: string): boolean {
  return path === folder || folder === '/' || path.startsWith(`${folder}/`);
}

/** @throws when the file cannot be read */
export function readMounts(file: string): Mount[] {
  return visibleMounts(parseMountinfo(readFileSync(file, 'utf8')));
}
