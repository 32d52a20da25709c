/**
 * The options of the init, once: what parses them, what reads them from the
 * environment and what prints the help all go by this table.
 */
export type FlagKind = 'switch' | 'count' | 'value' | 'list';

export interface Flag {
  short?: string;
  kind: FlagKind;
  /** How the help names the value. */
  value?: string;
  /** A switch that --no-NAME turns off, so that a command line can undo the environment. */
  negatable?: true;
  /** LYCHGATE_... ; null = the command line alone. */
  env: string | null;
  /** tini's variable with the same meaning; for a switch its presence counts. */
  tini?: string;
  help: string;
}

export const FLAGS = {
  subreaper: {
    short: 's',
    kind: 'switch',
    negatable: true,
    env: 'LYCHGATE_SUBREAPER',
    tini: 'TINI_SUBREAPER',
    help: 'adopt orphans although not PID 1 (default: yes when not PID 1)',
  },
  group: {
    short: 'g',
    kind: 'switch',
    negatable: true,
    env: 'LYCHGATE_GROUP',
    tini: 'TINI_KILL_PROCESS_GROUP',
    help: "forward signals to COMMAND's process group",
  },
  rewrite: {
    short: 'r',
    kind: 'list',
    value: 'FROM:TO',
    env: 'LYCHGATE_REWRITE',
    help: 'forward signal FROM as TO; 0 drops it (repeatable)',
  },
  'remap-exit': {
    short: 'e',
    kind: 'list',
    value: 'FROM[:TO]',
    env: 'LYCHGATE_REMAP_EXIT',
    help: 'exit with TO (default 0) when COMMAND exits with FROM (repeatable)',
  },
  'parent-death-signal': {
    short: 'p',
    kind: 'value',
    value: 'SIG',
    env: 'LYCHGATE_PARENT_DEATH_SIGNAL',
    help: 'get signal SIG when our own parent dies',
  },
  'warn-reaped': {
    short: 'w',
    kind: 'switch',
    negatable: true,
    env: 'LYCHGATE_WARN_REAPED',
    help: 'a line for each reaped orphan: pid, name, age, exit status',
  },
  grace: {
    kind: 'value',
    value: 'SECONDS',
    env: 'LYCHGATE_GRACE',
    help: 'KILL what remains so long after a forwarded TERM, INT or QUIT',
  },
  drain: {
    kind: 'value',
    value: 'SECONDS',
    env: 'LYCHGATE_DRAIN',
    help: 'when COMMAND has ended: TERM all other processes, wait, then KILL',
  },
  neglected: {
    kind: 'value',
    value: 'warn|reap|ignore',
    env: 'LYCHGATE_NEGLECTED',
    help: 'zombies whose living parent does not wait: say so (default), reap, or nothing',
  },
  'neglected-after': {
    kind: 'value',
    value: 'SECONDS',
    env: 'LYCHGATE_NEGLECTED_AFTER',
    help: 'when a zombie counts as neglected (default 60)',
  },
  nofile: {
    kind: 'value',
    value: 'SOFT',
    env: 'LYCHGATE_NOFILE',
    help: 'soft limit of open files for COMMAND (Node raised the inherited one)',
  },
  'watch-freezer': {
    kind: 'value',
    value: 'SECONDS',
    env: 'LYCHGATE_WATCH_FREEZER',
    help: 'look so often whether we stood frozen meanwhile, and say so (wakes us up)',
  },
  'log-format': {
    kind: 'value',
    value: 'text|json',
    env: 'LYCHGATE_LOG_FORMAT',
    help: 'form of our messages, on standard error (default text)',
  },
  verbose: {
    short: 'v',
    kind: 'count',
    env: 'LYCHGATE_VERBOSITY',
    tini: 'TINI_VERBOSITY',
    help: 'say more; repeatable (environment: 0 errors, 1 warnings, 2 info, 3 debug)',
  },
  license: { short: 'l', kind: 'switch', env: null, help: 'print the license and exit' },
  version: { kind: 'switch', env: null, help: 'print the version and exit' },
  help: { short: 'h', kind: 'switch', env: null, help: 'print this and exit' },
} as const satisfies Readonly<Record<string, Flag>>;

export type FlagName = keyof typeof FLAGS;

export const FLAG_LIST = Object.entries(FLAGS) as readonly (readonly [FlagName, Flag])[];
