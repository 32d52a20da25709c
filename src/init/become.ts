/**
 * The library door: the init for a Node program.
 */
import { isMainThread } from 'node:worker_threads';
import { type Core, loadCore } from '../native';
import type { InitOptions, LogFormat } from './defaults';
import { inherited, openDescriptors } from './descriptors';
import { createLog, type Log } from './log';
import type { InitEvent } from './narrate';
import { checkOptions, IGNORED_BY_NODE } from './options';
import { type CommandEnd, Supervisor } from './supervisor';

/** As the options of the command line; signals by name or number, times in seconds. */
export interface BecomeInitOptions {
  /** Adopt orphans although not PID 1. Default: when not PID 1. */
  subreaper?: boolean;
  /** Forward to the command's process group. */
  group?: boolean;
  /** Signal received -> signal to send instead; 0 drops it. `{ TERM: 'QUIT', HUP: 0 }` */
  rewrite?: Readonly<Record<string, string | number>>;
  /** Exit code of the command -> the one to give. `{ 143: 0 }` */
  remapExit?: Readonly<Record<number, number>>;
  parentDeathSignal?: string | number;
  warnReaped?: boolean;
  /** KILL so long after a forwarded TERM, INT or QUIT. Default: never. */
  grace?: number;
  /** When the command has ended, give the other processes so long. Default: not at all. */
  drain?: number;
  /** Soft limit of open files for the command. */
  nofile?: number;
  /** Look so often whether this container stood frozen. Default: not at all. */
  watchFreezer?: number;
  /** 0 errors, 1 warnings (default), 2 info, 3 debug; to standard error. */
  verbosity?: number;
  logFormat?: LogFormat;
  /**
   * Called for what happens, in order. What it throws is logged and changes
   * nothing: reaping and forwarding do not wait for it.
   */
  onEvent?: (event: InitEvent) => void;
}

export interface BecomeInitCommand extends BecomeInitOptions {
  /** Program and arguments; looked up in PATH. */
  command: readonly [string, ...string[]];
  /** Default: the environment of this process. */
  env?: Readonly<Record<string, string>>;
  /** Descriptors above 2 that the command shall inherit. Default: none. */
  fds?: readonly number[];
}

/**
 * Without a command, where the call returned:
 * - `app`: in the program, started again below the init. Go on as usual.
 * - `plain`: we are not PID 1 and `subreaper` was not asked for: nothing was done.
 */
export type Role = 'app' | 'plain';

const MARK = 'LYCHGATE_RELAUNCHED';
const EXIT_DEADLINE_MS = 5000;
let running = false;

/**
 * Be the container's init.
 *
 * With `command`: run it below this process as `lychgate -- COMMAND` does, and
 * resolve when it has ended. Meanwhile every child of this process is reaped
 * here: node:child_process would never see its own children exit, so do not
 * start any. Afterwards all signal handlers are as before.
 *
 * Without `command`: for a program that is PID 1 itself. Call it first. This
 * process becomes the init and starts the same program again as its child;
 * there the call resolves with 'app' at once, and child_process works as usual.
 * In the init it never resolves: the process leaves with the program's exit code.
 *
 * @throws TypeError for bad options; Error when the addon does not load, when
 * called from a worker, or while a first call is running.
 */
export function becomeInit(options: BecomeInitCommand): Promise<CommandEnd>;
export function becomeInit(options?: BecomeInitOptions): Promise<Role>;
export async function becomeInit(
  options: BecomeInitOptions | BecomeInitCommand = {},
): Promise<CommandEnd | Role> {
  if (!isMainThread) throw new Error('becomeInit: call it in the main thread, not in a worker');
  const checked = normalise(options);
  if ('command' in options) {
    const { command, env, fds } = options;
    if (!Array.isArray(command) || command.length === 0) {
      throw new TypeError('becomeInit: command must be an array of a program and its arguments');
    }
    return supervise(options, checked, {
      argv: command,
      env: env ? Object.entries(env).map(([key, value]) => `${key}=${value}`) : null,
      fds: fds ?? [],
      exitDeadlineMs: 0,
    });
  }
  if (Number(process.env[MARK]) === process.ppid) {
    delete process.env[MARK];
    return 'app';
  }
  if (process.pid !== 1 && options.subreaper !== true) return 'plain';

  const open = openDescriptors();
  const env = { ...process.env, [MARK]: String(process.pid) };
  const end = await supervise(
    options,
    checked,
    {
      argv: [process.execPath, ...process.execArgv, ...process.argv.slice(1)],
      env: Object.entries(env).map(([key, value]) => `${key}=${value ?? ''}`),
      fds: open ? inherited(open) : [],
      exitDeadlineMs: EXIT_DEADLINE_MS,
    },
    true,
  );
  return loadCore().finish(end.exitCode);
}

function normalise(options: BecomeInitOptions): InitOptions {
  return checkOptions({
    subreaper: options.subreaper,
    group: options.group,
    rewrite: Object.entries(options.rewrite ?? {}).map(([from, to]) => `${from}:${to}`),
    'remap-exit': Object.entries(options.remapExit ?? {}).map(([from, to]) => `${from}:${to}`),
    'parent-death-signal': options.parentDeathSignal,
    'warn-reaped': options.warnReaped,
    grace: options.grace,
    drain: options.drain,
    nofile: options.nofile,
    'watch-freezer': options.watchFreezer,
    verbose: options.verbosity,
    'log-format': options.logFormat,
  });
}

interface Start {
  argv: readonly string[];
  env: readonly string[] | null;
  fds: readonly number[];
  exitDeadlineMs: number;
}

async function supervise(
  { onEvent }: BecomeInitOptions,
  options: InitOptions,
  start: Start,
  forGood = false,
): Promise<CommandEnd> {
  if (running) throw new Error('becomeInit: this process is an init already');
  const core: Core = loadCore();
  const log = createLog(options.logFormat, options.verbosity);
  const supervisor = new Supervisor(core, log, guarded(onEvent, log));
  core.arm(supervisor.onWake, IGNORED_BY_NODE);
  running = true;
  try {
    return await supervisor.run({ options, ...start, wantEvents: onEvent !== undefined });
  } finally {
    if (!forGood) core.disarm();
    running = false;
  }
}

/** A listener is somebody else's code: whatever it does, the init goes on. */
function guarded(
  listener: ((event: InitEvent) => void) | undefined,
  log: Log,
): (event: InitEvent) => void {
  if (!listener) return () => {};
  const failed = (error: unknown) =>
    log.write(
      'error',
      'listener',
      `onEvent failed: ${error instanceof Error ? error.message : String(error)}`,
    );
  return (event) => {
    try {
      const result: unknown = listener(event);
      if (result instanceof Promise) result.catch(failed);
    } catch (error) {
      failed(error);
    }
  };
}
