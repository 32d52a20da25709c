/** Why COMMAND could not be started, and what to do about it. */
import { existsSync } from 'node:fs';
import type { SpawnResult } from '../native';

const ENOENT = 2;
const ENOEXEC = 8;
const EAGAIN = 11;
const EACCES = 13;
const EINVAL = 22;
const EPERM = 1;

/** One line for the log. */
export function explainSpawnError(
  argv: readonly (string | Buffer)[],
  result: Pick<SpawnResult, 'errno' | 'error' | 'step'>,
  nofile: number,
): string {
  const name = argv[0]?.toString() ?? '';
  const reason = result.error ?? `errno ${result.errno}`;
  if (result.step === 'clone') {
    return `cannot create a process for '${name}': ${reason}${
      result.errno === EAGAIN ? '; is pids.max or RLIMIT_NPROC reached?' : ''
    }`;
  }
  if (result.step === 'setrlimit' || result.step === 'getrlimit') {
    const above = result.errno === EINVAL || result.errno === EPERM;
    return `cannot set the soft limit of open files to ${nofile}: ${reason}${
      above ? '; --nofile must not be above the hard limit (ulimit -Hn)' : ''
    }`;
  }
  return `cannot run '${name}': ${reason}${hint(name, result.errno)}`;
}

function hint(name: string, errno: number): string {
  const isPath = name.includes('/');
  if (errno === ENOENT && !isPath) return '; it is in no folder of PATH';
  if (errno === ENOENT && existsSync(name)) {
    return '; the file is there, but the interpreter or loader it names is not';
  }
  if (errno === EACCES && isPath) return '; is it executable (chmod +x), and no folder?';
  if (errno === ENOEXEC) return '; is it a program for another architecture?';
  return '';
}
