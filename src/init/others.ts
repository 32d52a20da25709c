/**
 * The processes besides COMMAND that we are responsible for: as PID 1 every one
 * of the namespace, as a subreaper our descendants.
 *
 * PID 1 uses kill(-1): one atomic step, and it needs no /proc. A subreaper shares
 * its namespace with strangers, so it signals one by one, each checked again.
 */
import type { Core } from '../native';
import { descendants, type ProcessStat, readProcesses } from '../procfs';
import { sig } from '../signals';

export interface Others {
  /** Is any of them left? false also when they cannot be seen (canSee says so). */
  any(): boolean;
  /** Those that can be named; may be empty although some are left (no /proc). */
  list(): ProcessStat[];
  /** Send to all; best effort, a process may end meanwhile. */
  signal(signal: number): void;
  canSee: boolean;
}

const ESRCH = 3;
const isAlive = (p: ProcessStat) => p.state !== 'Z' && p.state !== 'X';

export function createOthers(core: Core, self: number): Others {
  const read = (): ProcessStat[] | undefined => {
    try {
      return readProcesses();
    } catch {
      return undefined;
    }
  };
  if (self === 1) {
    return {
      any: () => core.signalAll(0) !== ESRCH,
      list: () => (read() ?? []).filter((p) => p.pid !== 1 && isAlive(p)),
      signal: (signal) => void core.signalAll(signal),
      canSee: true,
    };
  }
  const below = () => descendants(read() ?? [], self);
  return {
    any: () => below().length > 0,
    list: () => below().filter(isAlive),
    signal(signal) {
      for (let round = 0; round < ROUNDS; round++) {
        const found = below().filter(isAlive);
        for (const p of found) core.signalExact(p.pid, p.startTicks, signal);
        /* KILL is repeated for those born meanwhile; anything else is said once */
        if (signal !== sig('KILL') || found.length === 0) return;
      }
    },
    canSee: read() !== undefined,
  };
}

const ROUNDS = 5;
