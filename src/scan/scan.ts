/**
 * Two looks, and what is the same at both. A finding is a process (pid and start
 * time), in the same state at both looks; those of one parent are one finding.
 */

import { hostname } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';
import { Facts, Limits } from '../processes';
import type { ProcessTable } from '../procfs/batch';
import { type Filter, keep } from './filter';
import { findings } from './findings';
import { type Look, takeLook, type Wanted } from './look';
import type { FindingState, ScanReport } from './model';
import { FirstSeen } from './seen';

export interface ScanOptions extends Filter {
  /** Seconds between the two looks. Default 10. */
  hold?: number;
  /** What to look for. Default all. */
  states?: readonly FindingState[];
  /** Read ROOT/proc and ROOT/sys. Default: the running system. */
  root?: string;
  /** Ends the hold early; the promise rejects with its reason. */
  signal?: AbortSignal;
  /** Told when the first look is done. */
  onHold?: (seconds: number) => void;
}

/** Looks again and again, and remembers. */
export class Scanner {
  readonly #options: ScanOptions;
  readonly #root: string;
  readonly #wanted: Wanted;
  #before: Look | undefined;
  #seen: FirstSeen | undefined;

  constructor(options: ScanOptions) {
    const states = options.states ?? ['Z', 'D', 'frozen'];
    this.#options = options;
    this.#root = (options.root ?? '').replace(/\/+$/, '');
    this.#wanted = {
      zombies: states.includes('Z'),
      stuck: states.includes('D'),
      /* a frozen parent explains a zombie, a frozen task is not stuck */
      frozen: true,
    };
  }

  /** The newest look: undefined before the first. */
  get last(): { table: ProcessTable; at: number } | undefined {
    return this.#before;
  }

  /**
   * Look now. The first look finds nothing by itself.
   * @throws ScanError when /proc cannot be read
   */
  look(): ScanReport {
    const facts = new Facts(this.#root);
    const now = takeLook(facts, this.#root, this.#wanted);
    const before = this.#before ?? now;
    const seen = new FirstSeen(now, this.#seen);
    this.#seen = seen;
    this.#before = now;
    const limits = new Limits(this.#root, now.table);
    const states = this.#options.states ?? ['Z', 'D', 'frozen'];
    const found = findings({
      before,
      now,
      facts,
      limits,
      root: this.#root,
      seen,
    }).filter((f) => states.includes(f.state));
    const kept = keep(found, this.#options);
    const sum = (state: FindingState) =>
      kept
        .filter((f) => f.state === state && f.class !== 'leader-alive' && f.class !== 'd-busy')
        .reduce((n, f) => n + f.count, 0);
    return {
      schemaVersion: 1,
      time: new Date().toISOString(),
      host: hostname(),
      holdSeconds: Math.round((now.at - before.at) * 100) / 100,
      processes: now.table.size,
      zombies: sum('Z'),
      stuck: sum('D'),
      frozen: sum('frozen'),
      findings: kept,
      limit: limits.machine(),
      blind: blindness(facts, now),
    };
  }
}

function blindness(facts: Facts, now: Look): string[] {
  const blind: string[] = [];
  const { unreadable, malformed } = now.table.columns;
  if (!facts.ofMachine) {
    blind.push(
      'only this PID namespace is seen; for the whole machine run it there (hostPID: true)',
    );
  }
  if (process.geteuid?.() !== 0) {
    blind.push('not root: where tasks hang, and the records of container engines, cannot be read');
  }
  if (unreadable > 0) blind.push(`${unreadable} processes could not be read`);
  if (malformed > 0) blind.push(`${malformed} processes have a stat file of another form`);
  for (const [file, times] of facts.refused) {
    blind.push(
      `${file} of ${times} could not be read: it needs root (CAP_SYS_PTRACE, CAP_SYS_ADMIN)`,
    );
  }
  return blind;
}

/**
 * Look, hold, look again.
 * @throws ScanError when /proc cannot be read; the reason of options.signal
 */
export async function scan(options: ScanOptions = {}): Promise<ScanReport> {
  const scanner = new Scanner(options);
  const hold = Math.max(options.hold ?? 10, options.minAge ?? 0);
  if (hold > 0) {
    scanner.look();
    options.onHold?.(hold);
    await wait(hold * 1000, undefined, options.signal ? { signal: options.signal } : {});
  }
  return scanner.look();
}
