/** --audit FILE: a line of JSON for each thing done, appended as it is done. */
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { hostname, userInfo } from 'node:os';
import { OutputError } from './write';

export interface Audit {
  /** Time, host and user are put before it. */
  write(entry: Readonly<Record<string, unknown>>): void;
  close(): void;
}

/** @throws OutputError when the file cannot be opened: then nothing is done at all */
export function openAudit(file: string | undefined): Audit {
  if (file === undefined) return { write() {}, close() {} };
  const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW } = constants;
  let fd: number;
  try {
    fd = openSync(file, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0o600);
  } catch (error) {
    throw new OutputError(
      `cannot write --audit ${file}, so nothing is done: ${(error as Error).message}`,
    );
  }
  return {
    write(entry) {
      const line = {
        time: new Date().toISOString(),
        host: hostname(),
        user: userName(),
        ...entry,
      };
      writeSync(fd, `${JSON.stringify(line)}\n`);
    },
    close: () => closeSync(fd),
  };
}

/** A container's user need not have a name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.());
  }
}
