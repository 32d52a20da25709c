/** How a process ended, in the forms we tell it. */
import { signalName } from './signals';

export interface Ending {
  /** Exit code, null when a signal ended it. */
  code: number | null;
  /** The signal's name, null when it exited. */
  signal: string | null;
}

/** @param status as waitpid(2) gives it */
export function decodeStatus(status: number): Ending {
  const signal = status & 0x7f;
  return signal === 0
    ? { code: (status >> 8) & 0xff, signal: null }
    : { code: null, signal: signalName(signal) };
}

/** The code a shell would give: 128+n after signal n. */
export function plainExitCode(status: number): number {
  const signal = status & 0x7f;
  return signal === 0 ? (status >> 8) & 0xff : 128 + signal;
}

export function describeEnding(end: Ending): string {
  return end.signal === null ? `exit status ${end.code}` : `killed by ${end.signal}`;
}
