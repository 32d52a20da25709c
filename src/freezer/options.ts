/** What `lychgate freezer` was asked. */
import { parseArgs } from 'node:util';
import { toSeconds } from '../arguments';
import { FreezerError } from './model';

export interface FreezerOptions {
  argument: string | undefined;
  thaw: boolean;
  ancestors: boolean;
  recursive: boolean;
  /** Seconds; null = not asked for. */
  wait: number | null;
  /** null: the other of what it is now. */
  until: 'frozen' | 'thawed' | null;
  format: 'text' | 'json';
  root: string;
}

export type ParsedFreezer = { action: 'help' } | { action: 'run'; options: FreezerOptions };

const OPTIONS = {
  thaw: { type: 'boolean' },
  ancestors: { type: 'boolean' },
  recursive: { type: 'boolean', short: 'r' },
  wait: { type: 'string' },
  until: { type: 'string' },
  format: { type: 'string' },
  root: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const;

export const HELP = `Usage: lychgate freezer [options] [PID|CGROUP|CONTAINER]

Is it frozen, by whom, since when? Without an argument: this container. CGROUP is
a path in the file system or within its mount; CONTAINER an id or unique prefix.

      --thaw           thaw it, where this very cgroup was asked to freeze
      --ancestors      with --thaw: also the ancestors that were asked to freeze
  -r, --recursive      also name what is frozen by itself below
      --wait SECONDS   wait until it is thawed (or, when it runs, frozen);
                       with --thaw: how long the thaw may take (default 5)
      --until STATE    what to wait for: frozen or thawed
      --format FORMAT  text or json
      --root DIR       read DIR/proc and DIR/sys: the host's, mounted there
  -h, --help           print this and exit

Exit: 0 running or thawed; 1 frozen or freezing (with --recursive: also when
something below is); 3 frozen by an ancestor, and so --thaw did not make it run;
2 could not look or act, or bad usage.
`;

/** @throws FreezerError that names the option */
export function parseFreezer(argv: readonly string[]): ParsedFreezer {
  let parsed: ReturnType<typeof parseArgs<{ options: typeof OPTIONS; allowPositionals: true }>>;
  try {
    parsed = parseArgs({ args: [...argv], options: OPTIONS, allowPositionals: true, strict: true });
  } catch (error) {
    /* Its first sentence names the option; the rest explains "--". */
    throw new FreezerError((error as Error).message.split(/\.\s/)[0] ?? 'bad options');
  }
  const { values, positionals } = parsed;
  if (values.help) return { action: 'help' };
  if (positionals.length > 1) {
    throw new FreezerError(`one PID, cgroup or container at a time, not ${positionals.join(' ')}`);
  }
  const { thaw = false, ancestors = false, recursive = false, until, format = 'text' } = values;
  if (ancestors && !thaw) throw new FreezerError('--ancestors goes with --thaw');
  if (until !== undefined && until !== 'frozen' && until !== 'thawed') {
    throw new FreezerError(`--until must be frozen or thawed, not '${until}'`);
  }
  if (until !== undefined && values.wait === undefined) {
    throw new FreezerError('--until goes with --wait SECONDS');
  }
  if (until === 'frozen' && thaw) throw new FreezerError('--until frozen does not go with --thaw');
  if (format !== 'text' && format !== 'json') {
    throw new FreezerError(`--format must be text or json, not '${format}'`);
  }
  const root = values.root ?? '';
  if (root !== '' && !root.startsWith('/')) {
    throw new FreezerError(`--root must be an absolute path, not '${root}'`);
  }
  const wait = values.wait === undefined ? null : toSeconds('--wait', values.wait, FreezerError);
  return {
    action: 'run',
    options: {
      argument: positionals[0],
      thaw,
      ancestors,
      recursive,
      wait,
      until: until ?? null,
      format,
      root,
    },
  };
}
