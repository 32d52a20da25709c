/**
 * --neglected: zombies that no init can reap, because their parent lives and does not
 * wait. Looked for on a slow timer, within what this init is responsible for.
 */
import { loadPreapCore } from '../native';
import { Facts, type Limit, Limits, mendFor, type Parent } from '../processes';
import { type ProcessTable, readProcessTable } from '../procfs/batch';
import {
  endings,
  type FamilyReport,
  type Judged,
  judge,
  notDone,
  type Reaped,
  reapInPlace,
  Watch,
  zombiesOf,
} from '../reap';

export interface NeglectedReport {
  parent: { pid: number; comm: string; command: string | null };
  /** Zombies that were seen for long enough. */
  count: number;
  /** Since we saw the first of them, seconds. */
  seconds: number;
  /** The limit of processes that is nearest. */
  limit: Limit | null;
  /** How those ended that were reaped; of many the first. */
  reaped: readonly Reaped[];
  refused: string | null;
  /** How long the parent stood still at most, milliseconds. */
  longestMs: number;
}

export type Tell = (
  type: 'neglected' | 'neglected-reaped' | 'neglected-refused',
  report: NeglectedReport,
  text: string,
) => void;

/** In a line of the log; there may be thousands. */
const MAX_LISTED = 100;
const COMMAND_SHOWN = 120;

const who = ({ pid, comm, command }: Parent) => {
  const line = command ?? comm;
  return `${pid} (${line.length > COMMAND_SHOWN ? `${line.slice(0, COMMAND_SHOWN)}...` : line})`;
};

export class NeglectedWatch {
  readonly #mode: 'warn' | 'reap';
  readonly #after: number;
  readonly #tell: Tell;
  readonly #facts = new Facts('');
  readonly #watch: Watch;
  /** Of each parent how many zombies were told of, and with which words it was refused. */
  readonly #told = new Map<string, { count: number; refused: string | null }>();
  readonly #self: number;
  #ended = false;

  /** @param init the pid of the init that answers for the processes: ours, or our parent's */
  constructor(mode: 'warn' | 'reap', afterSeconds: number, init: number, tell: Tell) {
    this.#mode = mode;
    this.#self = init;
    this.#after = afterSeconds;
    this.#tell = tell;
    this.#watch = new Watch(this.#facts, '', (ppid, table) => this.#mine(ppid, table));
  }

  /** Look once; says and does what is due. Rejects when /proc or the addon cannot be used. */
  async look(): Promise<void> {
    if (this.#ended) return;
    if (!this.#facts.isOwn(process.pid))
      return; /* another namespace's /proc: its pids are not ours */
    /* again each time: somebody may have killed it */
    if (this.#mode === 'reap') loadPreapCore().keepPreap(true);
    const table = readProcessTable();
    this.#watch.look(table, Number(process.hrtime.bigint()) / 1e9);
    if (this.#watch.size === 0 || this.#watch.oldest < this.#after) return;
    const limits = new Limits('', table);
    for (const family of [...this.#watch.families()]) {
      if (this.#ended) return;
      const old = family.zombies.filter((z) => z.seenSeconds >= this.#after && z.threads <= 1);
      if (old.length === 0) continue;
      /* not Math.max(...): there may be more than a call takes arguments */
      const seconds = old.reduce((most, z) => Math.max(most, z.seenSeconds), 0);
      const base = { count: old.length, seconds, limit: limits.of(family.parent.pid) };
      if (this.#mode === 'warn') {
        this.#warn(family.parent, base);
        continue;
      }
      const rules = { minAge: this.#after, force: false };
      /* frozen with us we would not run; else the addon says that it does not */
      const judged = judge(family, this.#facts, rules, () => false);
      await this.#reap(family.parent, judged, base, this.#descends(family.parent.pid, table));
    }
  }

  /** Nothing is said or done any more. */
  end(): void {
    this.#ended = true;
  }

  /** Once, and again when they have doubled. */
  #warn(parent: Parent, base: Pick<NeglectedReport, 'count' | 'seconds' | 'limit'>): void {
    if (this.#known(parent, base.count, null)) return;
    const text =
      `${who(parent)} does not wait for its children: ${zombiesOf(base.count)}, for ${Math.round(base.seconds)} s and more` +
      `${headroom(base.limit)}. To mend: ${mendFor(`${parent.comm} ${parent.command ?? ''}`)}; ` +
      'or --neglected=reap (it can then not learn how they ended)';
    this.#tell('neglected', report(parent, base, null), text);
  }

  async #reap(
    parent: Parent,
    { take, left, refused }: Judged,
    base: Pick<NeglectedReport, 'count' | 'seconds' | 'limit'>,
    descends: boolean,
  ): Promise<void> {
    let done: FamilyReport = notDone(parent, left, refused);
    if (take.length > 0) {
      const doing = { core: loadPreapCore(), facts: this.#facts, descends };
      done = await reapInPlace(doing, parent, take);
      this.#watch.forgive(
        parent.pid,
        done.reaped.map((r) => r.pid),
      );
    }
    if (done.reaped.length > 0) {
      const text =
        `reaped ${zombiesOf(done.reaped.length)} of ${who(parent)}, which did not wait for them ` +
        `for ${Math.round(base.seconds)} s: ${endings(done.reaped)}. It can no longer learn that`;
      this.#tell('neglected-reaped', report(parent, base, done), text);
    }
    if (done.refused === null || this.#known(parent, base.count, done.refused)) return;
    const text = `cannot reap ${zombiesOf(base.count)} of ${who(parent)}${headroom(base.limit)}: ${done.refused}`;
    this.#tell('neglected-refused', report(parent, base, done), text);
  }

  #known(parent: Parent, count: number, refused: string | null): boolean {
    const key = `${parent.pid}:${parent.startTicks}`;
    const told = this.#told.get(key);
    if (told && told.refused === refused && count < told.count * 2) return true;
    if (this.#told.size > 1000) this.#told.clear(); /* of parents long gone */
    this.#told.set(key, { count, refused });
    return false;
  }

  /** PID 1 answers for all it sees, a subreaper for its descendants. */
  #mine(ppid: number, table: ProcessTable): boolean {
    if (ppid === this.#self) return false; /* the core reaps these */
    return this.#self === 1 || this.#descends(ppid, table);
  }

  #descends(pid: number, table: ProcessTable): boolean {
    let at = pid;
    for (let steps = 0; steps < table.size; steps++) {
      const row = table.indexOf(at);
      if (row < 0) return false;
      at = table.columns.ppid[row] as number;
      if (at === this.#self) return true;
    }
    return false;
  }
}

const headroom = (limit: Limit | null) =>
  limit ? ` (${limit.name}: ${limit.current} of ${limit.max} used)` : '';

function report(
  { pid, comm, command }: Parent,
  base: Pick<NeglectedReport, 'count' | 'seconds' | 'limit'>,
  done: FamilyReport | null,
): NeglectedReport {
  return {
    parent: { pid, comm, command },
    ...base,
    reaped: done?.reaped.slice(0, MAX_LISTED) ?? [],
    refused: done?.refused ?? null,
    longestMs: done?.longestMs ?? 0,
  };
}
