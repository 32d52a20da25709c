/**
 * Messages of the init: to standard error, one line each, in one write.
 *
 * fs.writeSync, not process.stderr: the latter puts the shared description into
 * non-blocking mode, and COMMAND would see it. A line that nobody can take is
 * counted and dropped, never waited for.
 */
import { writeSync } from 'node:fs';
import { printable } from '../printable';
import type { LogFormat } from './defaults';

export type Level = 'error' | 'warn' | 'info' | 'debug';

const RANK: Readonly<Record<Level, number>> = { error: 0, warn: 1, info: 2, debug: 3 };
const LABEL: Readonly<Record<Level, string>> = {
  error: 'error: ',
  warn: 'warning: ',
  info: '',
  debug: 'debug: ',
};

export type Fields = Readonly<Record<string, unknown>>;

export interface Log {
  enabled(level: Level): boolean;
  /** @param event a stable word for programs; the message is for people. */
  write(level: Level, event: string, message: string, fields?: Fields): void;
}

export function createLog(
  format: LogFormat,
  verbosity: number,
  emit: (line: string) => boolean = writeStderr,
): Log {
  let lost = 0;
  const line = (level: Level, event: string, message: string, fields?: Fields) =>
    format === 'json'
      ? `${JSON.stringify({ time: new Date().toISOString(), level, event, ...fields, message })}\n`
      : `lychgate: ${LABEL[level]}${printable(message)}\n`;
  const put = (text: string) => {
    if (!emit(text)) lost += 1;
    return lost;
  };
  return {
    enabled: (level) => RANK[level] <= verbosity,
    write(level, event, message, fields) {
      if (RANK[level] > verbosity) return;
      if (lost > 0) {
        const before = lost;
        lost = 0;
        if (
          put(line('warn', 'log-lost', `${before} lines could not be written`, { lines: before }))
        ) {
          lost += before;
          return;
        }
      }
      put(line(level, event, message, fields));
    },
  };
}

function writeStderr(text: string): boolean {
  let rest = Buffer.from(text, 'utf8');
  for (let tries = 0; tries < 3; ) {
    try {
      rest = rest.subarray(writeSync(2, rest));
      if (rest.length === 0) return true;
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code !== 'EAGAIN' && code !== 'EINTR') return false;
      tries += 1;
    }
  }
  return false;
}
