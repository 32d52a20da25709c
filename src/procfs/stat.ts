/**
 * /proc/PID/stat (proc_pid_stat(5)).
 */
import { readdirSync, readFileSync } from 'node:fs';

export interface ProcessStat {
  pid: number;
  /** Up to 15 bytes; may hold blanks, parentheses and newlines. */
  comm: string;
  /** R, S, D, Z, T, t, X, I ... */
  state: string;
  ppid: number;
  /** Clock ticks since boot. With the pid it names one process for good. */
  startTicks: number;
}

/**
 * Parse one line. The name ends at the last `)`: it may hold any byte itself.
 * @returns undefined when the text is not of that form.
 */
export function parseStat(text: string): ProcessStat | undefined {
  const open = text.indexOf('(');
  const close = text.lastIndexOf(')');
  if (open < 1 || close < open) return undefined;
  /* fields 3.. of the man page stand at index 0.. here */
  const rest = text.slice(close + 2).split(' ');
  const pid = Number.parseInt(text, 10);
  const ppid = Number(rest[1]);
  const startTicks = Number(rest[19]);
  const state = rest[0];
  if (!state || Number.isNaN(pid) || Number.isNaN(ppid) || Number.isNaN(startTicks)) {
    return undefined;
  }
  return { pid, comm: text.slice(open + 1, close), state, ppid, startTicks };
}

/**
 * Every process visible in /proc. One that vanishes meanwhile is left out.
 * @throws when /proc itself cannot be read.
 */
export function readProcesses(proc = '/proc'): ProcessStat[] {
  const found: ProcessStat[] = [];
  for (const name of readdirSync(proc)) {
    if (!/^\d+$/.test(name)) continue;
    let text: string;
    try {
      text = readFileSync(`${proc}/${name}/stat`, 'latin1');
    } catch {
      continue;
    }
    const stat = parseStat(text);
    if (stat) found.push(stat);
  }
  return found;
}

/** All processes below `root` by ppid, itself not among them; parents before children. */
export function descendants(all: readonly ProcessStat[], root: number): ProcessStat[] {
  const children = new Map<number, ProcessStat[]>();
  for (const p of all) {
    const siblings = children.get(p.ppid);
    if (siblings) siblings.push(p);
    else children.set(p.ppid, [p]);
  }
  const found: ProcessStat[] = [];
  const seen = new Set([root]);
  const queue = [root];
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    for (const child of children.get(next) ?? []) {
      if (seen.has(child.pid)) continue; /* a pid reused between two reads */
      seen.add(child.pid);
      found.push(child);
      queue.push(child.pid);
    }
  }
  return found;
}
