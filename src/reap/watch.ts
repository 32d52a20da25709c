/**
 * Looks again and again, and remembers: since when a zombie is seen, and whether its
 * parent has waited for any child meanwhile.
 */
import { type Facts, type ParentFacts, readParent } from '../processes';
import type { ProcessTable } from '../procfs/batch';
import type { Family, Zombie } from './model';

const Z = 'Z'.charCodeAt(0);

interface Known {
  startTicks: number;
  firstSeen: number;
}

interface KnownParent {
  startTicks: number;
  /** What the kernel adds up of children that were waited for. */
  children: string;
  hasReaped: boolean;
}

/**
 * Faults and times of waited-for children: fields 11, 13, 16 and 17 of stat
 * (proc_pid_stat(5)). They grow at each wait, hardly ever by nothing.
 */
function waitedFor(stat: string): string {
  const f = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return `${f[8]} ${f[10]} ${f[13]} ${f[14]}`;
}

export class Watch {
  readonly #facts: Facts;
  readonly #root: string;
  readonly #wanted: (ppid: number, table: ProcessTable) => boolean;
  #zombies = new Map<number, Known>();
  #parents = new Map<number, KnownParent>();
  /** Of each parent the zombies of the last look. */
  #families = new Map<number, number[]>();
  #table: ProcessTable | undefined;
  #at = 0;

  /** @param wanted is this a parent to be watched? */
  constructor(
    facts: Facts,
    root: string,
    wanted: (ppid: number, table: ProcessTable) => boolean = () => true,
  ) {
    this.#facts = facts;
    this.#root = root;
    this.#wanted = wanted;
  }

  /** @param at seconds of a clock that only goes forward */
  look(table: ProcessTable, at: number): void {
    const before = this.#zombies;
    const families = new Map<number, number[]>();
    const zombies = new Map<number, Known>();
    const asked = new Map<number, boolean>();
    const { pid, ppid, state, startTicks } = table.columns;
    for (let row = 0; row < table.size; row++) {
      if (state[row] !== Z) continue;
      const above = ppid[row] as number;
      let wanted = asked.get(above);
      if (wanted === undefined) {
        wanted = above > 0 && this.#wanted(above, table);
        asked.set(above, wanted);
      }
      if (!wanted) continue;
      const id = pid[row] as number;
      const start = startTicks[row] as number;
      const known = before.get(id);
      zombies.set(id, known?.startTicks === start ? known : { startTicks: start, firstSeen: at });
      const own = families.get(above);
      if (own) own.push(row);
      else families.set(above, [row]);
    }
    this.#meetParents(table, zombies, families);
    this.#zombies = zombies;
    this.#families = families;
    this.#table = table;
    this.#at = at;
  }

  /** Anything at all to be said? */
  get size(): number {
    return this.#zombies.size;
  }

  /** The longest that a zombie of any parent is seen, seconds. */
  get oldest(): number {
    let first = this.#at;
    for (const { firstSeen } of this.#zombies.values()) first = Math.min(first, firstSeen);
    return this.#at - first;
  }

  /** Parents with zombies, by the last look. Reads of each parent what /proc tells. */
  *families(): Generator<Family & { facts: ParentFacts }> {
    const table = this.#table;
    if (!table) return;
    for (const [ppid, rows] of this.#families) {
      const facts = readParent(this.#facts, table, ppid, this.#root);
      if (!facts) continue; /* outside of what is seen */
      const zombies = rows.map((row) => this.#zombie(table, row));
      const hasReaped = this.#parents.get(ppid)?.hasReaped ?? false;
      yield { parent: facts.parent, zombies, hasReaped, facts };
    }
  }

  /** What we made a parent wait for is not its own doing: do not hold it against it. */
  forgive(pid: number, reaped: Iterable<number>): void {
    const known = this.#parents.get(pid);
    if (!known) return;
    known.children = waitedFor(this.#facts.text(pid, 'stat') ?? '');
    for (const id of reaped) this.#zombies.delete(id);
  }

  #zombie(table: ProcessTable, row: number): Zombie {
    const { pid, comm, startTicks, exitCode, threads } = table.get(row);
    const firstSeen = this.#zombies.get(pid)?.firstSeen ?? this.#at;
    return {
      pid,
      tid: null,
      startTicks,
      comm,
      status: exitCode,
      threads,
      seenSeconds: Math.round((this.#at - firstSeen) * 100) / 100,
    };
  }

  /** One with no zombie left is not remembered: its next ones are first seen then. */
  #meetParents(
    table: ProcessTable,
    zombies: ReadonlyMap<number, Known>,
    families: ReadonlyMap<number, readonly number[]>,
  ): void {
    const parents = new Map<number, KnownParent>();
    for (const ppid of families.keys()) {
      const row = table.indexOf(ppid);
      if (row < 0) continue;
      const startTicks = table.columns.startTicks[row] as number;
      const children = waitedFor(this.#facts.text(ppid, 'stat') ?? '');
      const known = this.#parents.get(ppid);
      const hasReaped =
        known?.startTicks === startTicks &&
        (known.hasReaped || known.children !== children || this.#misses(ppid, zombies));
      parents.set(ppid, { startTicks, children, hasReaped });
    }
    this.#parents = parents;
  }

  /** Is one gone that this parent had at the last look? Those we reaped are not known any more. */
  #misses(ppid: number, zombies: ReadonlyMap<number, Known>): boolean {
    const rows = this.#families.get(ppid) ?? [];
    return rows.some((row) => {
      const pid = this.#table?.columns.pid[row] as number;
      const known = this.#zombies.get(pid);
      return known !== undefined && zombies.get(pid) !== known;
    });
  }
}
