/** Where reports go: standard output, or a file that is there whole or not at all. */
import { closeSync, fchmodSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { onExit } from 'signal-exit';

/** It could not be written: the user's to mend. */
export class OutputError extends Error {
  override name = 'OutputError';
}

function writeAll(fd: number, text: string | Uint8Array): void {
  let rest = typeof text === 'string' ? Buffer.from(text) : text;
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EPIPE' && fd === 1) return; /* the reader has seen enough */
      if (code !== 'EAGAIN') throw error;
    }
  }
}

export function toStdout(text: string): void {
  writeAll(1, text);
}

/** A line to standard error, with the command's name. */
export const stderrOf =
  (command: string) =>
  (text: string): void =>
    writeAll(2, `lychgate ${command}: ${text}\n`);

/**
 * Written beside it and renamed: the textfile collector never reads half a file.
 * @param mode whatever the umask is; else 0644 less the umask
 * @throws OutputError
 */
export function toFile(file: string, text: string | Uint8Array, mode?: number): void {
  const draft = `${file}.${process.pid}.tmp`;
  const forget = onExit(() => rmSync(draft, { force: true }));
  try {
    const fd = openSync(draft, 'wx', 0o644);
    try {
      writeAll(fd, text);
      if (mode !== undefined) fchmodSync(fd, mode);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(draft, file);
  } catch (error) {
    rmSync(draft, { force: true });
    throw new OutputError(`cannot write ${file}: ${(error as Error).message}`);
  } finally {
    forget();
  }
}
