/** --audit FILE: a line of JSON for each thing done, appended as it is done. */
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { hostname, userInfo } from 'node:os';
import { type Finding, type ProcessRef, ScanError } from './model';

export interface AuditEntry {
  action: string;
  target: ProcessRef;
  /** null: a look at what came of it. */
  signal: string | null;
  result: string;
  finding: Finding;
}

export interface Audit {
  write(entry: AuditEntry): void;
  close(): void;
}

/** @throws ScanError when the file cannot be opened: then nothing is done at all */
export function openAudit(file: string | undefined): Audit {
  if (file === undefined) return { write() {}, close() {} };
  const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW } = constants;
  let fd: number;
  try {
    fd = openSync(file, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0o600);
  } catch (error) {
    throw new ScanError(
      `cannot write --audit ${file}, so nothing is done: ${(error as Error).message}`,
    );
  }
  return {
    write({ action, target, signal, result, finding }) {
      const { class: kind, count, parent, container } = finding;
      const line = {
        time: new Date().toISOString(),
        host: hostname(),
        user: userInfo().username,
        action,
        signal,
        result,
        target,
        finding: { class: kind, count, parent, container },
      };
      writeSync(fd, `${JSON.stringify(line)}\n`);
    },
    close: () => closeSync(fd),
  };
}
