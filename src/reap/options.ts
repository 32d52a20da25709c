/** What `lychgate reap` was asked. */
import { parseArgs } from 'node:util';
import { toNumber, toSeconds } from '../arguments';
import { ReapError } from './model';

export const DEFAULT_MIN_AGE = 60;

export interface CommandOptions {
  pids: readonly number[];
  minAge: number;
  force: boolean;
  dryRun: boolean;
  format: 'text' | 'json';
  audit: string | undefined;
}

export type ParsedReap = { action: 'help' } | { action: 'run'; options: CommandOptions };

const OPTIONS = {
  'min-age': { type: 'string' },
  force: { type: 'boolean' },
  'dry-run': { type: 'boolean', short: 'n' },
  format: { type: 'string', short: 'f' },
  audit: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const;

export const HELP = `Usage: lychgate reap [options] PID...

Makes a living parent wait for its zombies, which nobody else can: the parent runs
on, stopped for less than a millisecond at a time. PID is a zombie, or a parent
whose zombies are all meant. The parent can then no longer learn how they ended:
see the README before you do it to a program that will still ask.

      --min-age SECONDS  only those seen by us for so long (default ${DEFAULT_MIN_AGE}; it
                         looks, waits so long, and looks again)
      --force            whatever their age, and though the parent does reap, slowly;
                         never those of a shim, a daemon of the machine, a
                         debugger, a stopped or frozen parent
  -n, --dry-run          say what would be reaped
  -f, --format FORMAT    text or json
      --audit FILE       add what was done to this file, a line of JSON
  -h, --help             print this and exit

Exit: 0 all were reaped, or there were none; 1 some were left; 2 bad usage, or it
could not look.
`;

/** @throws ReapError that names the option */
export function parseReap(argv: readonly string[]): ParsedReap {
  let parsed: ReturnType<typeof parseArgs<{ options: typeof OPTIONS; allowPositionals: true }>>;
  try {
    parsed = parseArgs({ args: [...argv], options: OPTIONS, strict: true, allowPositionals: true });
  } catch (error) {
    throw new ReapError((error as Error).message.split(/\.\s/)[0] ?? 'bad options');
  }
  const { values, positionals } = parsed;
  if (values.help) return { action: 'help' };
  if (positionals.length === 0) throw new ReapError('no PID given; usage: lychgate reap PID...');
  const format = values.format ?? 'text';
  if (format !== 'text' && format !== 'json')
    throw new ReapError(`--format must be text or json, not '${format}'`);
  return {
    action: 'run',
    options: {
      pids: [...new Set(positionals.map((text) => toNumber('PID', text, ReapError)))],
      minAge:
        values['min-age'] === undefined
          ? DEFAULT_MIN_AGE
          : toSeconds('--min-age', values['min-age'], ReapError),
      force: values.force ?? false,
      dryRun: values['dry-run'] ?? false,
      format,
      audit: values.audit,
    },
  };
}
