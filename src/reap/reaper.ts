/** Asked for by pid: who is meant, two looks, the rules, the doing. */
import { hostname } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';
import { inspectFreezer } from '../freezer';
import { loadPreapCore } from '../native';
import { Facts } from '../processes';
import { type ProcessTable, readProcessTable } from '../procfs/batch';
import { type FamilyReport, ReapError, type ReapReport } from './model';
import { DEFAULT_MIN_AGE } from './options';
import { asReaped, notDone, reapInPlace } from './reap';
import { judge } from './rules';
import { Watch } from './watch';

export interface ReapOptions {
  /** Seconds. Default 60. */
  minAge?: number;
  force?: boolean;
  dryRun?: boolean;
  /** Told when the first look is done. */
  onHold?: (seconds: number) => () => void;
  /** Told of each parent as soon as it is done. */
  onDone?: (family: FamilyReport) => void;
}

const Z = 'Z'.charCodeAt(0);
const clock = () => Number(process.hrtime.bigint()) / 1e9;

/** Whose zombies, and of each parent which; null = all of them. */
type Asked = Map<number, Set<number> | null>;

/**
 * Reap zombies in place.
 * @param pids zombies, or living parents of some
 * @throws ReapError when /proc cannot be read, or the addon is missing
 */
export async function reap(
  pids: readonly number[],
  options: ReapOptions = {},
): Promise<ReapReport> {
  const { minAge = DEFAULT_MIN_AGE, force = false, dryRun = false } = options;
  const facts = new Facts('');
  const others: { pid: number; why: string }[] = [];
  const table = look();
  const asked = whoIsMeant(pids, table, others);
  const watch = new Watch(facts, '', (ppid) => asked.has(ppid));
  watch.look(table, clock());
  if (!force && minAge > 0 && watch.size > 0) {
    const done = options.onHold?.(minAge);
    await wait(minAge * 1000);
    done?.();
    watch.look(look(), clock());
  }
  const families: FamilyReport[] = [];
  for (const family of watch.families()) {
    const only = asked.get(family.parent.pid);
    const zombies = only ? family.zombies.filter((z) => only.has(z.pid)) : family.zombies;
    const { take, left, refused } = judge(
      { ...family, zombies },
      facts,
      { minAge, force },
      isFrozen,
    );
    let report = notDone(family.parent, left, refused);
    if (take.length > 0 && dryRun) report = { ...report, reaped: take.map(asReaped) };
    else if (take.length > 0) {
      const done = await reapInPlace(
        { core: loadPreapCore(), facts, descends: false },
        family.parent,
        take,
      );
      report = { ...done, left: [...left, ...done.left] };
    }
    families.push(report);
    options.onDone?.(report);
  }
  return {
    schemaVersion: 1,
    time: new Date().toISOString(),
    host: hostname(),
    dryRun,
    families,
    others,
  };
}

/** @throws ReapError when /proc cannot be read */
function look(): ProcessTable {
  try {
    return readProcessTable();
  } catch (error) {
    throw new ReapError((error as Error).message);
  }
}

function whoIsMeant(
  pids: readonly number[],
  table: ProcessTable,
  others: { pid: number; why: string }[],
): Asked {
  const asked: Asked = new Map();
  for (const pid of pids) {
    const row = table.indexOf(pid);
    const why = row < 0 ? 'there is no such process' : meant(table, row, asked);
    if (why !== null) others.push({ pid, why });
  }
  return asked;
}

/** @returns why this one is not */
function meant(table: ProcessTable, row: number, asked: Asked): string | null {
  const { pid, ppid, state, comm } = table.get(row);
  if (state === 'Z') {
    if (ppid === 0)
      return `(${comm}) its parent is not to be seen; run it in the parent's PID namespace`;
    const known = asked.get(ppid);
    if (known === undefined) asked.set(ppid, new Set([pid]));
    else known?.add(pid);
    return null;
  }
  const { state: states } = table.columns;
  const any = table.childrenOf(pid).some((child) => states[child] === Z);
  if (!any) return `(${comm}) is no zombie and has none`;
  asked.set(pid, null);
  return null;
}

/** Its letter does not show it on v2; where no freezer is mounted nobody is frozen. */
export function isFrozen(pid: number): boolean {
  try {
    const { state } = inspectFreezer(pid);
    return state === 'frozen' || state === 'freezing';
  } catch {
    return false;
  }
}
