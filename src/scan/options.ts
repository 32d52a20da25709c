/** What `lychgate scan` was asked. */
import { parseArgs } from 'node:util';
import { toNumber, toSeconds } from '../arguments';
import { DEFAULT_MIN_AGE } from '../reap';
import { type FindingState, ScanError } from './model';

export const FORMATS = ['table', 'tree', 'json', 'ndjson', 'prometheus'] as const;
export type Format = (typeof FORMATS)[number];
export const ACTIONS = [
  'report',
  'nudge',
  'reap',
  'kill-parent',
  'restart-container',
  'kill-shim',
] as const;
export type ActionName = (typeof ACTIONS)[number];

export interface CommandOptions {
  hold: number;
  states: readonly FindingState[];
  min: number;
  minAge: number;
  container: string | undefined;
  namespace: string | undefined;
  pid: number | undefined;
  format: Format;
  /** Where the report goes, whole or not at all; undefined: standard output. */
  output: string | undefined;
  /** Seconds from look to look; 0 = look once. */
  watch: number;
  root: string;
  action: ActionName;
  yes: boolean;
  force: boolean;
  audit: string | undefined;
  /** Between TERM and KILL. */
  grace: number;
}

export type ParsedScan = { action: 'help' } | { action: 'run'; options: CommandOptions };

const OPTIONS = {
  hold: { type: 'string' },
  state: { type: 'string' },
  min: { type: 'string' },
  'min-age': { type: 'string' },
  container: { type: 'string' },
  namespace: { type: 'string' },
  pid: { type: 'string' },
  format: { type: 'string', short: 'f' },
  output: { type: 'string', short: 'o' },
  watch: { type: 'string' },
  root: { type: 'string' },
  action: { type: 'string' },
  yes: { type: 'boolean' },
  force: { type: 'boolean' },
  audit: { type: 'string' },
  grace: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const;

export const HELP = `Usage: lychgate scan [options]

Finds zombies and stuck (D) and frozen processes, says whose container and pod
they are, and looks again before it says so.

      --hold SECONDS     look again after so long (default 10); a finding is the
                         same process in the same state at both looks
      --state LIST       of Z,D,frozen (default all)
      --min COUNT        findings of at least so many processes
      --min-age SECONDS  seen by us for so long (holds as long)
      --container ID     of this container (id or beginning)
      --namespace NS     of this Kubernetes namespace
      --pid PID          this process, or the children of it
  -f, --format FORMAT    table, tree, json, ndjson or prometheus
  -o, --output FILE      write it there, by renaming: never half a file
      --watch SECONDS    again and again; ages count from first sight
      --root DIR         read DIR/proc and DIR/sys: the host's, mounted there
      --action ACTION    report (default), nudge, reap, kill-parent,
                         restart-container or kill-shim; without --yes it says
                         what it would do. reap makes the parent wait for them
                         (--min-age is 60 then); all the others end something
      --yes              do it
      --force            with kill-shim: also on containerd 2, which leaks then;
                         with reap: whatever their age, and from slow parents
      --grace SECONDS    between TERM and KILL of an action (default 10)
      --audit FILE       add each action to this file, a line of JSON
  -h, --help             print this and exit

Exit: 0 nothing found, 1 findings, 2 could not look, or bad usage.
`;

/** @throws ScanError that names the option */
export function parseScan(argv: readonly string[]): ParsedScan {
  let parsed: ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>;
  try {
    parsed = parseArgs({ args: [...argv], options: OPTIONS, strict: true });
  } catch (error) {
    throw new ScanError((error as Error).message.split(/\.\s/)[0] ?? 'bad options');
  }
  const { values } = parsed;
  if (values.help) return { action: 'help' };
  const root = values.root ?? '';
  if (root !== '' && !root.startsWith('/')) {
    throw new ScanError(`--root must be an absolute path, not '${root}'`);
  }
  const action = oneOf('--action', values.action ?? 'report', ACTIONS);
  const format = oneOf('--format', values.format ?? 'table', FORMATS);
  const watch = values.watch === undefined ? 0 : seconds('--watch', values.watch);
  if (values.watch !== undefined && watch < 0.1)
    throw new ScanError('--watch must be at least 0.1');
  if (values.yes && action === 'report') throw new ScanError('--yes goes with --action');
  if (values.force && action !== 'kill-shim' && action !== 'reap')
    throw new ScanError('--force goes with --action kill-shim or reap');
  if (values.audit !== undefined && action === 'report')
    throw new ScanError('--audit goes with --action');
  if (action !== 'report' && watch > 0) throw new ScanError('--action does not go with --watch');
  return {
    action: 'run',
    options: {
      hold: values.hold === undefined ? 10 : seconds('--hold', values.hold),
      states: states(values.state ?? 'Z,D,frozen'),
      min: values.min === undefined ? 1 : whole('--min', values.min),
      minAge: minAge(values['min-age'], action, values.force === true),
      container: values.container,
      namespace: values.namespace,
      pid: values.pid === undefined ? undefined : whole('--pid', values.pid),
      format,
      output: values.output,
      watch,
      root,
      action,
      yes: values.yes ?? false,
      force: values.force ?? false,
      audit: values.audit,
      grace: values.grace === undefined ? 10 : seconds('--grace', values.grace),
    },
  };
}

function minAge(text: string | undefined, action: ActionName, force: boolean): number {
  if (text !== undefined) return seconds('--min-age', text);
  return action === 'reap' && !force ? DEFAULT_MIN_AGE : 0;
}

const seconds = (option: string, text: string) => toSeconds(option, text, ScanError);
const whole = (option: string, text: string) => toNumber(option, text, ScanError);

function oneOf<T extends string>(option: string, text: string, valid: readonly T[]): T {
  const found = valid.find((v) => v === text);
  if (found === undefined)
    throw new ScanError(`${option} must be ${valid.join(', ')}, not '${text}'`);
  return found;
}

function states(text: string): FindingState[] {
  return text
    .split(',')
    .map((word) => oneOf('--state', word.trim(), ['Z', 'D', 'frozen'] as const));
}
