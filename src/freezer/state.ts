/**
 * The files of one cgroup's freezer.
 *
 * v1 (freezer-subsystem.rst): freezer.state is FROZEN, FREEZING or THAWED;
 * self_freezing and parent_freezing say who asked. Missing before Linux 3.8.
 * v2 (cgroup-v2.rst): cgroup.freeze is this cgroup's own request and nothing
 * else; cgroup.events `frozen` is what was reached, whoever asked.
 */
import { readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Hierarchy, pathOf, walk } from '../cgroups';
import type { CgroupFreezer, FrozenRelative } from './model';
import { ownerOf } from './owner';

/** The text, or the errno's name. */
function read(file: string): { text: string } | { code: string } {
  try {
    return { text: readFileSync(file, 'latin1').trim() };
  } catch (error) {
    return { code: (error as NodeJS.ErrnoException).code ?? 'EIO' };
  }
}

function flag(file: string): boolean | null {
  const r = read(file);
  return 'text' in r && /^[01]$/.test(r.text) ? r.text === '1' : null;
}

export function field(file: string, key: string): number | null {
  const r = read(file);
  const m = 'text' in r ? new RegExp(`^${key} (\\d+)$`, 'm').exec(r.text) : null;
  return m ? Number(m[1]) : null;
}

/** Why there is no state: a folder without the file is the root cgroup. */
function absent(directory: string, code: string): CgroupFreezer {
  if (code !== 'ENOENT' && code !== 'ENODEV') return { state: 'unknown', self: null, parent: null };
  try {
    statSync(`${directory}/cgroup.procs`);
    return { state: 'root', self: false, parent: false };
  } catch {
    return { state: 'gone', self: null, parent: null };
  }
}

export function readV1(directory: string): CgroupFreezer {
  const r = read(`${directory}/freezer.state`);
  if ('code' in r) return absent(directory, r.code);
  const state = r.text === 'THAWED' ? 'running' : r.text === 'FROZEN' ? 'frozen' : 'freezing';
  const self = flag(`${directory}/freezer.self_freezing`);
  const parent = flag(`${directory}/freezer.parent_freezing`);
  /* Without the two files whoever is frozen is taken to have been asked, as runc does. */
  if (self === null) return { state, self: state !== 'running', parent: null };
  return { state, self, parent };
}

export function readV2(directory: string, ancestors: readonly string[]): CgroupFreezer {
  const own = read(`${directory}/cgroup.freeze`);
  if ('code' in own) return absent(directory, own.code);
  const self = own.text === '1';
  const reached = field(`${directory}/cgroup.events`, 'frozen') === 1;
  /* Reached without a request here or in sight: asked for above what is mounted. */
  const parent = ancestors.some((a) => flag(`${a}/cgroup.freeze`) === true) || (reached && !self);
  return { state: reached ? 'frozen' : self || parent ? 'freezing' : 'running', self, parent };
}

/** Folders from the parent up to the mount point. */
export function ancestorsOf(h: Hierarchy, directory: string): string[] {
  const found: string[] = [];
  for (let d = directory; d !== h.mountPoint && d.length > h.mountPoint.length; ) {
    d = dirname(d);
    found.push(d);
  }
  return found;
}

export function readState(h: Hierarchy, directory: string): CgroupFreezer {
  return h.version === 1 ? readV1(directory) : readV2(directory, ancestorsOf(h, directory));
}

function relative(h: Hierarchy, directory: string): FrozenRelative {
  const { state, self } = readState(h, directory);
  const path = pathOf(h, directory);
  return { path, directory, state, self, owner: ownerOf(path, h.root) };
}

/** Ancestors that were asked to freeze, nearest first. */
export function frozenAncestors(h: Hierarchy, directory: string): FrozenRelative[] {
  return ancestorsOf(h, directory)
    .map((d) => relative(h, d))
    .filter((r) => r.self === true);
}

/** Cgroups below that were asked to freeze. */
export function frozenDescendants(h: Hierarchy, directory: string): FrozenRelative[] {
  const found: FrozenRelative[] = [];
  for (const d of walk(directory)) {
    if (d === directory) continue;
    if (flag(h.version === 1 ? `${d}/freezer.self_freezing` : `${d}/cgroup.freeze`) === true) {
      found.push(relative(h, d));
    }
  }
  return found;
}
