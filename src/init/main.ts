/**
 * The command line's way into the init. This is PID 1's own path: nothing that
 * is not needed to start COMMAND is loaded or computed before it runs.
 */
import { writeSync } from 'node:fs';
import { loadCore } from '../native';
import { exactWords } from './argv';
import { inherited, openDescriptors } from './descriptors';
import { createLog, type Log } from './log';
import { IGNORED_BY_NODE, type Parsed, parse, UsageError } from './options';
import { Supervisor } from './supervisor';

/** The core leaves by itself when this code has not answered COMMAND's end by then. */
const EXIT_DEADLINE_MS = 5000;

/** Runs until COMMAND has ended, and ends the process. */
export async function main(argv: readonly string[]): Promise<void> {
  /* Before anything else: from here on signals are kept for COMMAND. */
  let onWake = () => {};
  let core: ReturnType<typeof loadCore>;
  try {
    core = loadCore();
    core.arm(() => onWake(), IGNORED_BY_NODE);
  } catch (error) {
    createLog('text', 1).write('error', 'addon', messageOf(error));
    process.exit(126);
  }

  let parsed: Parsed;
  try {
    parsed = parse(argv, process.env);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    createLog('text', 1).write('error', 'usage', error.message);
    return core.finish(2);
  }
  if (parsed.action !== 'run') {
    const texts = await import('./help');
    writeSync(1, `${texts[parsed.action]().trimEnd()}\n`);
    return core.finish(0);
  }

  const { options, command, warnings } = parsed;
  const log = createLog(options.logFormat, options.verbosity);
  surviveOurselves(log);
  closeInspector();
  for (const warning of warnings) log.write('warn', 'environment', warning);

  const open = openDescriptors();
  if (!open)
    log.write('info', 'no-proc', '/proc is not readable: only descriptors 0 to 2 are passed on');
  const supervisor = new Supervisor(core, log, () => {});
  onWake = supervisor.onWake;
  try {
    const run = supervisor.run({
      options,
      argv: exactWords(command),
      env: null,
      fds: open ? inherited(open) : [],
      exitDeadlineMs: EXIT_DEADLINE_MS,
      wantEvents: false,
    });
    setImmediate(closeInspector); /* a SIGUSR1 that came before arm() opens it late */
    core.finish((await run).exitCode);
  } catch (error) {
    log.write('error', 'start', messageOf(error));
    core.finish(126);
  }
}

/** PID 1 does not die of an exception: it is logged, and the core goes on. */
function surviveOurselves(log: Log): void {
  const report = (kind: string) => (error: unknown) =>
    log.write('error', 'internal', `${kind}: ${messageOf(error)}; reaping and forwarding go on`);
  process.on('uncaughtException', report('uncaught exception'));
  process.on('unhandledRejection', report('unhandled rejection'));
}

/**
 * --inspect in NODE_OPTIONS is meant for COMMAND, and SIGUSR1 before arm() was
 * meant for it too; in us either opens a port. _debugEnd closes it without
 * loading node:inspector (2 ms).
 */
function closeInspector(): void {
  (process as unknown as { _debugEnd?: () => void })._debugEnd?.();
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
