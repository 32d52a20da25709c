/** Since when a process is seen in the state it is in: looks are far apart, so "at least". */
import type { Look, StuckTask } from './look';

const Z = 'Z'.charCodeAt(0);

export class FirstSeen {
  readonly #look: Look;
  /** By row of the look's table; Infinity: no zombie. undefined: all at this look. */
  readonly #zombies: Float64Array | undefined;
  /** By thread id. */
  readonly #stuck = new Map<number, number>();

  /**
   * @param look the newest one
   * @param before what was known until then
   */
  constructor(look: Look, before?: FirstSeen) {
    this.#look = look;
    const { table, zombies, stuck, at } = look;
    const { pid, startTicks } = table.columns;
    if (before) {
      this.#zombies = new Float64Array(table.size).fill(Number.POSITIVE_INFINITY);
      for (const row of zombies) {
        this.#zombies[row] = before.#zombie(pid[row] as number, startTicks[row] as number, at);
      }
    }
    for (const [id, task] of stuck) this.#stuck.set(id, before ? before.#task(id, task, at) : at);
  }

  /** Seconds, of the one seen longest. @param rows of the newest look's table */
  zombies(rows: readonly number[]): number {
    if (!this.#zombies) return 0;
    let first = this.#look.at;
    for (const row of rows) {
      const at = this.#zombies[row] as number;
      if (at < first) first = at;
    }
    return this.#since(first);
  }

  /** Seconds. @param id of a thread in the newest look's `stuck` */
  stuck(id: number): number {
    return this.#since(this.#stuck.get(id) ?? this.#look.at);
  }

  #since(first: number): number {
    return Math.round((this.#look.at - first) * 100) / 100;
  }

  #zombie(pid: number, startTicks: number, now: number): number {
    const { table, at } = this.#look;
    const { columns } = table;
    const row = table.indexOf(pid);
    if (row < 0 || columns.startTicks[row] !== startTicks || columns.state[row] !== Z) return now;
    return this.#zombies?.[row] ?? at;
  }

  #task(id: number, { startTicks }: StuckTask, now: number): number {
    const same = this.#look.stuck.get(id)?.startTicks === startTicks;
    return (same ? this.#stuck.get(id) : undefined) ?? now;
  }
}
