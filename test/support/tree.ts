/** Trees of plain files that stand in for /proc and /sys, for contents that cannot be made here. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

export type Entry = string | { link: string };

const made: string[] = [];

/** @param files path below the root -> text, or a symbolic link. Returns the root. */
export function tree(files: Readonly<Record<string, Entry>>): string {
  const root = mkdtempSync(join(tmpdir(), 'lychgate-tree-'));
  made.push(root);
  for (const [path, entry] of Object.entries(files)) {
    const file = join(root, path);
    mkdirSync(dirname(file), { recursive: true });
    if (typeof entry === 'string') writeFileSync(file, entry);
    else symlinkSync(entry.link, file);
  }
  return root;
}

/** For afterEach. */
export function removeTrees(): void {
  for (const root of made.splice(0)) rmSync(root, { recursive: true });
}

/** A line of /proc/PID/stat. */
export function stat(
  pid: number,
  comm: string,
  { state = 'S', ppid = 1, start = 1000, threads = 1 } = {},
): string {
  return `${pid} (${comm}) ${state} ${ppid} ${pid} ${pid} 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 ${threads} 0 ${start} 9 10 18446744073709551615 ${'0 '.repeat(26)}0\n`;
}
