/**
 * All of /proc in one pass, for machines with hundreds of thousands of processes:
 * the addon reads, and no object is made for a process unless it is asked for.
 */
import { isUtf8 } from 'node:buffer';
import { loadScanCore, type ProcessColumns, TICKS_PER_SECOND } from '../native';
import type { ProcessStat } from './stat';

const COMM_SIZE = 16;
/** The kernel keeps so many bytes of a name and cuts the rest off. */
const COMM_KEPT = 15;

export interface ProcessRow extends ProcessStat {
  pgrp: number;
  session: number;
  threads: number;
  flags: number;
  cpuTicks: number;
  exitCode: number;
}

/** An index is a row of `columns`; rows ascend by pid. */
export class ProcessTable {
  readonly columns: ProcessColumns;
  #children: { ppid: Int32Array; index: Int32Array } | undefined;

  constructor(columns: ProcessColumns) {
    this.columns = columns;
  }

  get size(): number {
    return this.columns.count;
  }

  /** @throws RangeError when there is no such row */
  get(index: number): ProcessRow {
    const c = this.columns;
    return {
      pid: this.#at(c.pid, index),
      comm: this.commText(index),
      state: String.fromCharCode(this.#at(c.state, index)),
      ppid: this.#at(c.ppid, index),
      startTicks: this.#at(c.startTicks, index),
      pgrp: this.#at(c.pgrp, index),
      session: this.#at(c.session, index),
      threads: this.#at(c.threads, index),
      flags: this.#at(c.flags, index),
      cpuTicks: this.#at(c.cpuTicks, index),
      exitCode: this.#at(c.exitCode, index),
    };
  }

  /** -1 when there is no such process. */
  indexOf(pid: number): number {
    const index = lowerBound(this.columns.pid, pid);
    return this.columns.pid[index] === pid ? index : -1;
  }

  /**
   * Indexes of the processes with this parent, which need not be in the table
   * itself (0, or one that ended meanwhile). A view: not to be written to.
   */
  childrenOf(pid: number): Int32Array {
    this.#children ??= byParent(this.columns);
    const { ppid, index } = this.#children;
    return index.subarray(lowerBound(ppid, pid), lowerBound(ppid, pid + 1));
  }

  /**
   * The name: as UTF-8 when it is, else each byte as one character. Where the
   * kernel cut it inside a character, that one is left out. Control characters
   * are left as they are.
   * @throws RangeError when there is no such row
   */
  commText(index: number): string {
    this.#at(this.columns.pid, index);
    const cell = this.columns.comm.subarray(index * COMM_SIZE, (index + 1) * COMM_SIZE);
    const end = cell.indexOf(0);
    const name = end < 0 ? cell : cell.subarray(0, end);
    for (let cut = 0; cut <= (name.length >= COMM_KEPT ? 3 : 0); cut++) {
      const whole = name.subarray(0, name.length - cut);
      if (isUtf8(whole)) return whole.toString('utf8');
    }
    return name.toString('latin1');
  }

  /**
   * How long ago the process started; a zombie's time of death is not known.
   * @param uptimeSeconds the first number of /proc/uptime, read after the table
   * @throws RangeError when there is no such row
   */
  ageSeconds(index: number, uptimeSeconds: number): number {
    const started = this.#at(this.columns.startTicks, index) / TICKS_PER_SECOND;
    return Math.max(0, uptimeSeconds - started);
  }

  #at(column: ArrayLike<number>, index: number): number {
    const value = column[index];
    if (value === undefined) throw new RangeError(`no row ${index} in a table of ${this.size}`);
    return value;
  }
}

/**
 * Every process visible in this /proc, which may be a test tree. What could not
 * be read is counted in `columns`.
 * @throws an Error with errno and code when the folder itself cannot be read
 */
export function readProcessTable(proc = '/proc'): ProcessTable {
  return new ProcessTable(loadScanCore().scanProc(proc));
}

/** The first place whose value is not below `wanted`, in an ascending column. */
function lowerBound(column: Int32Array, wanted: number): number {
  let low = 0;
  let high = column.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((column[middle] as number) < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Rows ordered by parent, then by pid. */
function byParent({ count, ppid }: ProcessColumns): { ppid: Int32Array; index: Int32Array } {
  /* Both numbers in one: sorting plain numbers is ten times as fast as comparing
   * rows. Exact, as a ppid is below 2^31 and count below 2^22 (PID_MAX_LIMIT). */
  const keys = new Float64Array(count);
  for (let i = 0; i < count; i++) keys[i] = (ppid[i] as number) * count + i;
  keys.sort();
  const sorted = { ppid: new Int32Array(count), index: new Int32Array(count) };
  for (let i = 0; i < count; i++) {
    const key = keys[i] as number;
    const parent = Math.floor(key / count);
    sorted.ppid[i] = parent;
    sorted.index[i] = key - parent * count;
  }
  return sorted;
}
